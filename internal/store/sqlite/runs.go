package sqlite

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/units"
)

const (
	runColumns = `id, name, kind, project, priority, spec, spec_file, dir, state, stop_asked,
		submitted, ended, not_before, failures, exit_code, reason, submission, stop_grace, target, trial`

	putRun = `INSERT INTO runs (` + runColumns + `)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
		ON CONFLICT (id) DO UPDATE SET name = ?2, kind = ?3, project = ?4, priority = ?5, spec = ?6, spec_file = ?7,
		dir = ?8, state = ?9, stop_asked = ?10, submitted = ?11, ended = ?12, not_before = ?13, failures = ?14,
		exit_code = ?15, reason = ?16, submission = ?17, stop_grace = ?18, target = ?19, trial = ?20`

	selectRuns = `SELECT ` + runColumns + ` FROM runs `
	suggested  = 100 // of the newest runs an unknown ID is compared with so many
	newestRuns = ` ORDER BY submitted DESC, seq DESC LIMIT ?1`
	liveRuns   = `state IN ('queued', 'running')` // as in the index runs_live
)

// PutRun inserts or replaces a run by ID.
func (t *tx) PutRun(run fleet.Run) error {
	spec := run.Spec
	if spec == nil {
		spec = []byte{}
	}
	trial, err := encodeTrial(run.Trial)
	if err != nil {
		return err
	}
	_, err = t.exec(putRun, run.ID, run.Name, run.Kind, run.Project, run.Priority, spec, run.SpecFile, run.Dir,
		string(run.State), run.StopAsked, instant(run.Submitted), instant(run.Ended), instant(run.NotBefore),
		run.Failures, run.ExitCode, run.Reason, run.Submission, int64(run.StopGrace), run.Target, trial)
	return classify(err, "put run "+run.ID)
}

// Run returns the run of the ID.
func (t *tx) Run(id string) (fleet.Run, error) {
	run, err := one(t, scanRun, selectRuns+`WHERE id = ?1`, id)
	if errors.Is(err, errAbsent) {
		return fleet.Run{}, t.noRun(id)
	}
	return run, classify(err, "read run "+id)
}

// noRun says that there is no run of an ID, and which may have been meant: the
// newest of that name but for trials, or one whose ID or name is near.
func (t *tx) noRun(id string) error {
	known, err := all(t, func(row scanner) (known [2]string, err error) {
		err = row.Scan(&known[0], &known[1])
		return known, err
	},
		`SELECT id, CASE WHEN trial = '' THEN name ELSE '' END FROM runs ORDER BY submitted DESC, seq DESC LIMIT ?1`, suggested)
	if err != nil {
		return classify(err, "list runs")
	}
	var ids, names []string
	for _, k := range known {
		ids, names = append(ids, k[0]), append(names, k[1])
	}
	near := id
	if spec.Nearest(id, ids) == "" && !slices.Contains(names, id) {
		near = spec.Nearest(id, names)
	}
	if i := slices.Index(names, near); i >= 0 && near != "" {
		return fault.Newf(fault.NotFound, "no run %q; did you mean %s?", id, ids[i])
	}
	return fault.Newf(fault.NotFound, "no run %q%s", id, spec.DidYouMean(id, ids))
}

// RunBySubmission returns the run of a submission's key.
func (t *tx) RunBySubmission(key string) (fleet.Run, error) {
	run, err := one(t, scanRun, selectRuns+`WHERE submission = ?1 AND submission <> ''`, key)
	if errors.Is(err, errAbsent) {
		return fleet.Run{}, fault.Newf(fault.NotFound, "no run of submission %q", key)
	}
	return run, classify(err, "read the run of a submission")
}

// Runs lists runs, newest submission first.
func (t *tx) Runs(filter store.RunFilter) ([]fleet.Run, error) {
	limit := filter.Limit
	if limit <= 0 {
		limit = -1 // SQLite's word for all
	}
	where, args := "", []any{limit}
	switch {
	case filter.Live && filter.Project != "":
		where, args = `WHERE `+liveRuns+` AND project = ?2`, append(args, filter.Project)
	case filter.Live:
		where = `WHERE ` + liveRuns
	case filter.Project != "":
		where, args = `WHERE project = ?2`, append(args, filter.Project)
	}
	runs, err := all(t, scanRun, selectRuns+where+newestRuns, args...)
	return runs, classify(err, "list runs")
}

func scanRun(row scanner) (fleet.Run, error) {
	var r fleet.Run
	var trial string
	err := row.Scan(&r.ID, &r.Name, &r.Kind, &r.Project, &r.Priority, &r.Spec, &r.SpecFile, &r.Dir,
		&r.State, &r.StopAsked, (*instant)(&r.Submitted), (*instant)(&r.Ended), (*instant)(&r.NotBefore),
		&r.Failures, &r.ExitCode, &r.Reason, &r.Submission, &r.StopGrace, &r.Target, &trial)
	if len(r.Spec) == 0 {
		r.Spec = nil
	}
	if err == nil && trial != "" {
		r.Trial = &fleet.Trial{}
		err = json.Unmarshal([]byte(trial), r.Trial)
	}
	return r, err
}

// encodeTrial is the text of a trial, "" for none.
func encodeTrial(trial *fleet.Trial) (string, error) {
	if trial == nil {
		return "", nil
	}
	text, err := json.Marshal(trial)
	return string(text), err
}

const (
	attemptColumns = `run, number, epoch, pool, site, nodes, ranks, state, created, started, ended, exit_code, reason,
		metered, provider, chipmaker, chip, chips, rate, rate_currency, imputed, progress_at, step, steps, loss, tokens,
		tokens_per_second, checkpoint_step, eval_loss, baseline_loss, cores, region, instance_type, purchase_option,
		checkpoint_store, bad_node, slow, loss_nan_since`

	putAttempt = `INSERT INTO attempts (` + attemptColumns + `)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
		?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38)
		ON CONFLICT (run, number) DO UPDATE SET epoch = ?3, pool = ?4, site = ?5, nodes = ?6, ranks = ?7, state = ?8,
		created = ?9, started = ?10, ended = ?11, exit_code = ?12, reason = ?13, metered = ?14, provider = ?15,
		chipmaker = ?16, chip = ?17, chips = ?18, rate = ?19, rate_currency = ?20, imputed = ?21, progress_at = ?22,
		step = ?23, steps = ?24, loss = ?25, tokens = ?26, tokens_per_second = ?27, checkpoint_step = ?28,
		eval_loss = ?29, baseline_loss = ?30, cores = ?31, region = ?32, instance_type = ?33, purchase_option = ?34,
		checkpoint_store = ?35, bad_node = ?36, slow = ?37, loss_nan_since = ?38`

	selectAttempts = `SELECT ` + attemptColumns + ` FROM attempts `
)

// PutAttempt inserts or replaces an attempt of a known run.
func (t *tx) PutAttempt(a fleet.Attempt) error {
	p := a.Progress
	slow, err := encodeSlow(a.Slow)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "store: encode slow ranks")
	}
	_, err = t.exec(putAttempt, a.Run, a.Number, a.Epoch, a.Pool, a.Site, a.Nodes, a.Ranks, string(a.State),
		instant(a.Created), instant(a.Started), instant(a.Ended), a.Exit, a.Reason, instant(a.Metered),
		a.Provider, a.Chipmaker, a.Chip, a.Chips, exactRate(a.Rate), string(a.Rate.Currency), a.Imputed,
		instant(p.At), p.Step, p.Steps, real(p.Loss), p.Tokens, real(p.TokensPerSecond), p.CheckpointStep,
		real(p.EvalLoss), real(p.BaselineLoss), a.Cores, a.Region, a.InstanceType, a.Option,
		a.Store, a.BadNode, slow, p.LossNaNSince)
	return classify(err, "put attempt "+a.Key())
}

// Attempts lists the attempts of a run by number.
func (t *tx) Attempts(run string) ([]fleet.Attempt, error) {
	attempts, err := all(t, scanAttempt, selectAttempts+`WHERE run = ?1 ORDER BY number`, run)
	return attempts, classify(err, "list the attempts of run "+run)
}

// LiveAttempts lists the attempts that are not final, oldest first.
func (t *tx) LiveAttempts() ([]fleet.Attempt, error) {
	attempts, err := all(t, scanAttempt, selectAttempts+
		`WHERE state IN ('recorded', 'running') ORDER BY created, run, number`)
	return attempts, classify(err, "list live attempts")
}

// PoolUses sums what attempts did, by pool.
func (t *tx) PoolUses(since, now time.Time) ([]store.PoolUse, error) {
	const nanosPerHour = 3.6e12
	uses, err := all(t, func(row scanner) (u store.PoolUse, err error) {
		err = row.Scan(&u.Pool, &u.Hours, &u.Lost)
		return u, err
	}, `SELECT pool, sum(max(0, coalesce(ended, ?2) - started)) / ?3, sum(state = 'lost') FROM attempts
		WHERE started >= ?1 GROUP BY pool ORDER BY pool`, instant(since), instant(now), nanosPerHour)
	return uses, classify(err, "sum the use of pools")
}

func scanAttempt(row scanner) (fleet.Attempt, error) {
	var a fleet.Attempt
	var rate, slow string
	var currency units.Currency
	p := &a.Progress
	err := row.Scan(&a.Run, &a.Number, &a.Epoch, &a.Pool, &a.Site, &a.Nodes, &a.Ranks, &a.State,
		(*instant)(&a.Created), (*instant)(&a.Started), (*instant)(&a.Ended), &a.Exit, &a.Reason, (*instant)(&a.Metered),
		&a.Provider, &a.Chipmaker, &a.Chip, &a.Chips, &rate, &currency, &a.Imputed,
		(*instant)(&p.At), &p.Step, &p.Steps, (*real)(&p.Loss), &p.Tokens, (*real)(&p.TokensPerSecond), &p.CheckpointStep,
		(*real)(&p.EvalLoss), (*real)(&p.BaselineLoss), &a.Cores,
		&a.Region, &a.InstanceType, &a.Option, &a.Store, &a.BadNode, &slow, &p.LossNaNSince)
	if err != nil {
		return a, err
	}
	if slow != "" {
		if err := json.Unmarshal([]byte(slow), &a.Slow); err != nil {
			return a, err
		}
	}
	a.Rate, err = units.ParseRate(rate, currency)
	return a, err
}

// encodeSlow is the text of slow ranks, "" for none.
func encodeSlow(ranks []fleet.SlowRank) (string, error) {
	if len(ranks) == 0 {
		return "", nil
	}
	text, err := json.Marshal(ranks)
	return string(text), err
}

// AppendDecision appends a decision about a known run.
func (t *tx) AppendDecision(d fleet.Decision) error {
	reasons, err := json.Marshal(d.Reasons)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "store: encode reasons")
	}
	_, err = t.exec(`INSERT INTO decisions (run, at, verb, subject, reasons) VALUES (?1, ?2, ?3, ?4, ?5)`,
		d.Run, instant(d.At), d.Verb, d.Subject, string(reasons))
	return classify(err, "append a decision about run "+d.Run)
}

// Decisions lists the decisions about a run in the order they were appended.
func (t *tx) Decisions(run string) ([]fleet.Decision, error) {
	decisions, err := all(t, scanDecision,
		`SELECT run, at, verb, subject, reasons FROM decisions WHERE run = ?1 ORDER BY seq`, run)
	return decisions, classify(err, "list the decisions about run "+run)
}

// DecisionsSince lists the decisions of a verb about all runs from a time on,
// oldest first.
func (t *tx) DecisionsSince(verb string, since time.Time) ([]fleet.Decision, error) {
	decisions, err := all(t, scanDecision,
		`SELECT run, at, verb, subject, reasons FROM decisions WHERE verb = ?1 AND at >= ?2 ORDER BY at, seq`, verb, instant(since))
	return decisions, classify(err, "list decisions to "+verb)
}

func scanDecision(row scanner) (fleet.Decision, error) {
	var d fleet.Decision
	var reasons []byte
	if err := row.Scan(&d.Run, (*instant)(&d.At), &d.Verb, &d.Subject, &reasons); err != nil {
		return d, err
	}
	return d, json.Unmarshal(reasons, &d.Reasons)
}
