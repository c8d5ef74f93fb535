package reconcile

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

const (
	// qualifications is the blob of the store that keeps what trials showed.
	qualifications = "qualifications"
	// TrialSteps and TrialTolerance are what a trial measures, and by how much
	// of it its loss may differ, where nobody says.
	TrialSteps     = 50
	TrialTolerance = 0.05
	// measuredMark opens the reason of the attempt of a trial that is ended
	// because it has measured enough, and lasts in the store.
	measuredMark = "measured: "
)

// qualified is what trials have shown, as it is in the store.
type qualified struct {
	mu   sync.Mutex
	read bool
	list []fleet.Qualification
}

// stale has the store read anew.
func (q *qualified) stale() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.read = false
}

// Qualifications lists what trials have shown, by model and chip family.
func (l *Loop) Qualifications(ctx context.Context) (list []fleet.Qualification, err error) {
	l.models.mu.Lock()
	defer l.models.mu.Unlock()
	if !l.models.read {
		err := l.Store.View(ctx, func(tx store.Tx) error {
			l.models.list, err = readQualifications(tx)
			return err
		})
		if err != nil {
			return nil, err
		}
		l.models.read = true
	}
	return slices.Clone(l.models.list), nil
}

func readQualifications(tx store.Tx) ([]fleet.Qualification, error) {
	data, err := tx.Blob(qualifications)
	if err != nil || data == nil {
		return nil, err
	}
	var list []fleet.Qualification
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading qualifications")
	}
	return list, nil
}

// putQualification keeps what a trial showed, in the place of what an earlier
// one showed of the same model on the same instance type and size.
func putQualification(tx store.Tx, q fleet.Qualification) error {
	list, err := readQualifications(tx)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(o fleet.Qualification) bool {
		return o.Model == q.Model && o.Chip == q.Chip && o.InstanceType == q.InstanceType && o.Nodes == q.Nodes
	})
	list = append(list, q)
	slices.SortStableFunc(list, func(a, b fleet.Qualification) int {
		return strings.Compare(a.Model+" "+a.Family+" "+a.Pool, b.Model+" "+b.Family+" "+b.Pool)
	})
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return tx.PutBlob(qualifications, data)
}

// subjectOf is what is qualified for a chip family: the model of a workload, or
// the workload itself where it names none.
func subjectOf(w *workload.Workload) string {
	if model := modelOf(w); model != "" {
		return model
	}
	return w.Name
}

// qualified reports whether a trial showed that a workload's model trains on a
// chip family.
func (l *Loop) qualified(w *workload.Workload, family chip.Family) bool {
	list, err := l.Qualifications(context.Background())
	if err != nil {
		l.Log.Warn("qualifications cannot be read", "error", err)
	}
	subject := subjectOf(w)
	return slices.ContainsFunc(list, func(q fleet.Qualification) bool {
		return q.Model == subject && q.Family == string(family)
	})
}

// Measured returns what a trial of a workload's model measured on a pool, or on
// one of the same instance type and chip.
func (l *Loop) Measured(w *workload.Workload, pool fleet.Pool) (nodes int, tokensPerSecond float64, ok bool) {
	list, err := l.Qualifications(context.Background())
	if err != nil {
		return 0, 0, false
	}
	subject := subjectOf(w)
	for _, q := range list {
		if q.Model == subject && q.Chip == pool.Chip && q.InstanceType == pool.InstanceType && q.Speed > 0 && (q.InstanceType != "" || q.Pool == pool.ID()) {
			return q.Nodes, q.Speed, true
		}
	}
	return 0, 0, false
}

// TrialRequest asks for a trial of a run's model on a pool.
type TrialRequest struct {
	Run       string
	Pool      string  // Pool.ID
	Steps     int64   // 0 is TrialSteps
	Tolerance float64 // 0 is TrialTolerance
}

// AskTrial queues a run that goes on from a run's newest checkpoint on a pool,
// for some steps: they show how fast the model trains there and whether its
// loss goes on. The run itself is not touched.
func (l *Loop) AskTrial(ctx context.Context, request TrialRequest) (fleet.Run, error) {
	of, attempts, err := l.runWithAttempts(ctx, request.Run)
	if err != nil {
		return fleet.Run{}, err
	}
	trial, err := l.trialOf(ctx, of, attempts, request)
	if err != nil {
		return fleet.Run{}, err
	}
	run := fleet.Run{
		Name: of.Name, Kind: of.Kind, Project: of.Project, Priority: of.Priority, Spec: of.Spec, SpecFile: of.SpecFile, Dir: of.Dir,
		State: fleet.Queued, Submitted: l.Clock(), Trial: trial,
	}
	err = l.Store.Update(ctx, func(tx store.Tx) error {
		if run.ID, err = l.freeID(tx, of.Name+"-trial"); err != nil {
			return err
		}
		if err := tx.PutRun(run); err != nil {
			return err
		}
		return tx.AppendDecision(*decision(run, l.Clock(), "try", trial.Pool, fmt.Sprintf("whether %s goes on there from its checkpoint at step %d, or a newer one if it waits", of.ID, trial.From)))
	})
	if err == nil {
		l.Kick()
	}
	return run, err
}

func (l *Loop) trialOf(ctx context.Context, of fleet.Run, attempts []fleet.Attempt, request TrialRequest) (*fleet.Trial, error) {
	refuse := func(format string, args ...any) (*fleet.Trial, error) {
		return nil, fault.Newf(fault.Conflict, "run %s cannot be tried on %s: %s", of.ID, request.Pool, fmt.Sprintf(format, args...))
	}
	if of.Trial != nil {
		return refuse("it is a trial itself")
	}
	pool, err := l.pool(ctx, request.Pool)
	if err != nil {
		return nil, fault.Newf(fault.NotFound, "no connected pool is %q (yard sites)%s", request.Pool, spec.DidYouMean(request.Pool, poolIDs(l.knownPools())))
	}
	w, err := l.workload(of)
	if err != nil {
		return nil, err
	}
	best, _ := l.Merit(w, pool)
	if _, obstacle := l.consider(w, pool, best.Nodes); obstacle != "" {
		return refuse("%s %s", pool.ID(), obstacle)
	}
	at := slices.IndexFunc(attempts, func(a fleet.Attempt) bool { return a.Progress.CheckpointStep == newestCheckpoint(attempts) })
	if at < 0 || newestCheckpoint(attempts) == 0 {
		return refuse("it has no checkpoint yet")
	}
	from := attempts[at]
	here, _ := l.pool(ctx, from.Pool)
	if why := w.Unreadable(chip.Family(familyNamed(from, here)), chip.Family(pool.Family)); why != "" {
		return refuse("%s", why)
	}
	if from.Site != pool.Site && (from.Store == "" || l.storeOf(pool.Site, of.ID) == "") {
		return refuse("the sites %s and %s share no store of checkpoints", from.Site, pool.Site)
	}
	if request.Steps < 0 {
		return refuse("a trial makes one step or more, and %d were asked for", request.Steps)
	}
	trial := &fleet.Trial{
		Of: of.ID, Pool: pool.ID(), From: from.Progress.CheckpointStep, Epoch: attempts[len(attempts)-1].Epoch, Steps: request.Steps, Tolerance: request.Tolerance,
	}
	if trial.Steps <= 0 {
		trial.Steps = TrialSteps
	}
	if trial.Tolerance <= 0 {
		trial.Tolerance = TrialTolerance
	}
	trial.Loss = l.lossAbout(ctx, attempts, *trial)
	return trial, nil
}

func poolIDs(pools []fleet.Pool) []string {
	var ids []string
	for _, pool := range pools {
		ids = append(ids, pool.ID())
	}
	return ids
}

// lossAbout is the loss that a run reported about the steps of a trial, on
// average; 0 where it reported none.
func (l *Loop) lossAbout(ctx context.Context, attempts []fleet.Attempt, trial fleet.Trial) float64 {
	var points []fleet.Progress
	for _, a := range attempts {
		eng, err := l.Sites.Engine(a.Site)
		if err != nil {
			continue
		}
		if history, err := eng.History(ctx, a.Key()); err == nil {
			points = append(points, history...)
		}
		points = append(points, a.Progress)
	}
	return meanLoss(points, trial.From-trial.Steps, trial.From+trial.Steps)
}

// meanLoss is the mean loss of the points after one step and up to another.
func meanLoss(points []fleet.Progress, after, upTo int64) float64 {
	sum, n := 0.0, 0
	for _, p := range points {
		if p.Step > after && p.Step <= upTo && p.Loss != 0 {
			sum, n = sum+p.Loss, n+1
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// evidence is what a trial that has ended leaves to be judged.
type evidence struct {
	history   []fleet.Progress
	reference float64 // the loss of the run that is tried about the same steps; 0 where it is not known
	perStep   int64   // tokens
	subject   string
	family    string
	instances string
}

// beganAt is the step that a trial made none of its own before: it may have
// waited while the run that it tries wrote newer checkpoints, so that its own
// reports say it. Exact is whether that is the step of its checkpoint for sure.
func beganAt(trial fleet.Trial, points []fleet.Progress) (step int64, exact bool) {
	at := slices.IndexFunc(points, func(p fleet.Progress) bool { return p.Step > 0 })
	if at < 0 {
		return trial.From, true
	}
	first := points[at]
	if c := first.CheckpointStep; c >= trial.From && c > 0 && c < first.Step {
		return c, true
	}
	return max(trial.From, first.Step-1), first.Step-1 <= trial.From
}

// originOfTrial says where a trial began.
func originOfTrial(step int64, exact bool) string {
	if exact {
		return fmt.Sprintf("from the checkpoint at step %d", step)
	}
	return fmt.Sprintf("from step %d, before the first that it reported", step)
}

// enough says why a trial's attempt is to be ended that made steps after one,
// or "".
func enough(trial *fleet.Trial, p fleet.Progress, began int64) string {
	switch {
	case trial == nil || p.Step == 0:
		return ""
	case p.Step < trial.From:
		return fmt.Sprintf("%sit is at step %d and the checkpoint was of step %d", measuredMark, p.Step, trial.From)
	case began > 0 && p.Step >= began+trial.Steps:
		return fmt.Sprintf("%s%d steps from step %d", measuredMark, p.Step-began, began)
	}
	return ""
}

func measuring(a fleet.Attempt) bool {
	return !a.State.Final() && strings.HasPrefix(a.Reason, measuredMark)
}

// gather reads what a trial that ended has reported.
func (l *Loop) gather(ctx context.Context, eng engine.Engine, s sight) (*evidence, error) {
	w, err := l.workload(s.run)
	if err != nil {
		return nil, err
	}
	e := &evidence{subject: subjectOf(w)}
	if w.Training != nil {
		e.perStep = w.Training.TokensPerStep()
	}
	if pool, err := l.pool(ctx, s.attempt.Pool); err == nil {
		e.family, e.instances = pool.Family, pool.InstanceType
	}
	if e.history, err = reported(ctx, eng, s); err != nil {
		return nil, err
	}
	about := *s.run.Trial
	about.From, _ = beganAt(about, e.history)
	_, tried, err := l.runWithAttempts(ctx, about.Of)
	if err != nil {
		return nil, err
	}
	e.reference = cmp.Or(l.lossAbout(ctx, tried, about), about.Loss)
	return e, nil
}

// reported is all that the gang of an attempt has reported.
func reported(ctx context.Context, eng engine.Engine, s sight) ([]fleet.Progress, error) {
	history, err := eng.History(ctx, s.attempt.Key())
	if err != nil && !fault.Is(err, fault.Lost) {
		return nil, err
	}
	return append(history, s.status.Progress), nil
}

// begun is where a trial that may have made enough steps began; 0 where it has
// not made so many.
func begun(ctx context.Context, eng engine.Engine, s sight) (int64, error) {
	if s.status.Progress.Step < s.run.Trial.From+s.run.Trial.Steps || s.attempt.Reason != "" {
		return 0, nil
	}
	points, err := reported(ctx, eng, s)
	if err != nil {
		return 0, err
	}
	step, _ := beganAt(*s.run.Trial, points)
	return step, nil
}

// judge decides what a trial has shown: a qualification, or why there is none.
func judge(run fleet.Run, attempt fleet.Attempt, e *evidence, now time.Time) (*fleet.Qualification, string) {
	trial := run.Trial
	from, exact := beganAt(*trial, e.history)
	var points []fleet.Progress
	for _, p := range e.history {
		if p.Step > from && !p.At.IsZero() {
			points = append(points, p)
		}
		if p.Step > 0 && p.Step < trial.From {
			return nil, fmt.Sprintf("it began at step %d and not behind the checkpoint at step %d: the checkpoint was not read", p.Step, trial.From)
		}
	}
	if len(points) == 0 {
		return nil, "it reported no step"
	}
	q := &fleet.Qualification{
		Model: e.subject, Family: e.family, Chip: attempt.Chip, InstanceType: e.instances, Pool: attempt.Pool, Nodes: attempt.Nodes,
		Steps: points[len(points)-1].Step - from, Speed: speedOf(points, e.perStep), Of: trial.Of, Trial: run.ID, At: now,
		Loss: meanLoss(points, from, math.MaxInt64), Reference: e.reference,
	}
	off := math.Abs(q.Loss-q.Reference) / q.Reference
	switch {
	case q.Steps < trial.Steps:
		return nil, fmt.Sprintf("it made %d steps %s, and %d were asked for", q.Steps, originOfTrial(from, exact), trial.Steps)
	case math.IsNaN(q.Loss) || math.IsInf(q.Loss, 0) || slices.ContainsFunc(points, func(p fleet.Progress) bool { return p.LossNaNSince > 0 }):
		return nil, "its loss is not a number"
	case q.Reference > 0 && q.Loss > 0 && off > trial.Tolerance:
		return nil, fmt.Sprintf("its loss is %.4g and that of %s about the same steps %.4g: %s apart, and %s is allowed", q.Loss, trial.Of, q.Reference, share(off), share(trial.Tolerance))
	}
	return q, ""
}

func share(x float64) string { return fmt.Sprintf("%.1f%%", 100*x) }

// speedOf is tokens per second over the steps of a trial without the first,
// which may compile: by the tokens of a step that the file says, or else by
// those reported. Where neither is known it is the speed that was reported last.
func speedOf(points []fleet.Progress, perStep int64) float64 {
	first, last := points[0], points[len(points)-1]
	tokens := last.Tokens - first.Tokens
	if perStep > 0 {
		tokens = (last.Step - first.Step) * perStep
	}
	if took := last.At.Sub(first.At).Seconds(); tokens > 0 && took > 0 {
		return float64(tokens) / took
	}
	return last.TokensPerSecond
}

// judged ends a trial by what it has shown.
func (o outcome) judged(e *evidence, now time.Time) outcome {
	q, against := judge(o.run, o.attempt, e, now)
	if against != "" {
		o.attempt.State = fleet.AttemptFailed
		o.attempt.Reason = against
		o.decision = decision(o.run, now, "disqualify", o.attempt.Pool, against)
		return o.end(changeFailed, fleet.Failed, "not qualified: "+against, now)
	}
	o.qualification = q
	o.attempt.State, o.attempt.Exit = fleet.AttemptSucceeded, 0
	shown := []string{fmt.Sprintf("%s trains on %s: %d steps %s", q.Model, q.Family, q.Steps, originOfTrial(beganAt(*o.run.Trial, e.history)))}
	if q.Speed > 0 {
		shown = append(shown, fmt.Sprintf("%.4g tokens/s on %d nodes", q.Speed, q.Nodes))
	}
	if q.Reference > 0 && q.Loss > 0 {
		shown = append(shown, fmt.Sprintf("loss %.4g, and %.4g of %s about the same steps", q.Loss, q.Reference, q.Of))
	} else {
		shown = append(shown, "no loss to compare was reported")
	}
	o.decision = decision(o.run, now, "qualify", o.attempt.Pool, shown...)
	return o.end(changeSucceeded, fleet.Succeeded, "qualified: "+strings.Join(shown, ", "), now)
}
