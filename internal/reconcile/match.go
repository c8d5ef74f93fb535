package reconcile

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// parsedRuns keeps the workloads of live runs, which are read from the file as
// it was submitted and never change.
type parsedRuns struct {
	mu    sync.Mutex
	byRun map[string]*workload.Workload
}

// workload reads the file of a run as it was valid when it was submitted: a
// deadline that has passed since does not make it invalid.
func (l *Loop) workload(run fleet.Run) (*workload.Workload, error) {
	l.parsed.mu.Lock()
	defer l.parsed.mu.Unlock()
	if w, ok := l.parsed.byRun[run.ID]; ok {
		return w, nil
	}
	w, err := workload.ParseStored(run.SpecFile, run.Spec)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the stored file of run "+run.ID)
	}
	if l.parsed.byRun == nil {
		l.parsed.byRun = map[string]*workload.Workload{}
	}
	l.parsed.byRun[run.ID] = w
	return w, nil
}

// forget drops what is kept in memory of runs that are no longer live.
func (l *Loop) forget(live map[string]fleet.Run) {
	l.merits.forget(live)
	l.parsed.mu.Lock()
	defer l.parsed.mu.Unlock()
	for id := range l.parsed.byRun {
		if _, ok := live[id]; !ok {
			delete(l.parsed.byRun, id)
		}
	}
}

// policyOf is the loop's policy with what the workload sets itself.
func (l *Loop) policyOf(run fleet.Run) Policy {
	policy := l.Policy
	w, err := l.workload(run)
	if err != nil {
		return policy // place tells of it
	}
	if w.Restarts.Limit != nil {
		policy.Restarts = *w.Restarts.Limit
	}
	if w.Restarts.Backoff > 0 {
		policy.Backoff = time.Duration(w.Restarts.Backoff)
	}
	if w.Restarts.MaxBackoff > 0 {
		policy.BackoffMax = time.Duration(w.Restarts.MaxBackoff)
	}
	return policy
}

// option is a pool that can take a run, with what it costs there.
type option struct {
	candidate scheduler.Candidate
	hourly    *big.Rat     // of all nodes
	cost      units.Amount // of the whole run, where known
	known     bool
	unpriced  bool // nothing is known of what it costs
	price     scheduler.Price
}

// rank puts pools with a prediction before those with a price alone, and those
// without a price last.
func (o option) rank() int {
	switch {
	case o.known:
		return 0
	case !o.unpriced:
		return 1
	}
	return 2
}

// match finds the pools that can take a run in merit order, and says what
// rules out the others; a pool that it moves to goes first. earlier are its
// attempts, whose newest checkpoint a pool must be able to go on from. Where the cost of the whole run can be predicted the
// cheapest run comes first; pools without a prediction follow by the price of
// an hour.
func (l *Loop) match(run fleet.Run, earlier []fleet.Attempt, pools []fleet.Pool, now time.Time) scheduler.Waiting {
	if run.NotBefore.Sub(now) > l.policyOf(run).BackoffMax {
		run.NotBefore = time.Time{} // no rest is that long: the clock was set back
	}
	waiting := scheduler.Waiting{Run: run}
	w, err := l.workload(run)
	if err != nil {
		waiting.RuledOut = []string{err.Error()}
		return waiting
	}
	var options []option
	for _, pool := range pools {
		best, known := l.merit(run, w, pool)
		if known = known && !pool.Unpriced; !known {
			best = scheduler.Prospect{}
		}
		candidate, obstacle := l.consider(w, pool, best.Nodes)
		if obstacle == "" {
			obstacle = l.barred(run, w, earlier, pool, pools)
		}
		if obstacle != "" {
			waiting.RuledOut = append(waiting.RuledOut, pool.ID()+": "+obstacle)
			continue
		}
		o := option{candidate: candidate, cost: best.Cost, known: known, unpriced: pool.Unpriced}
		o.price = l.priceIn(pool, run.Project, candidate.Need, lengthAt(best, pool.Rate))
		rate := pool.Rate
		if o.price.Contracted() {
			rate, o.cost = o.price.Marginal, repriced(best.Cost, pool.Rate, o.price.Marginal)
		}
		o.hourly = new(big.Rat).Mul(rate.Rat(), big.NewRat(int64(candidate.Need.Nodes), 1))
		options = append(options, o)
	}
	slices.SortStableFunc(options, func(a, b option) int {
		if a.rank() != b.rank() {
			return cmp.Compare(a.rank(), b.rank())
		}
		if a.known {
			return cmp.Or(cmp.Compare(a.cost.Micros, b.cost.Micros), cmp.Compare(a.candidate.Pool, b.candidate.Pool))
		}
		return cmp.Or(a.hourly.Cmp(b.hourly), cmp.Compare(a.candidate.Pool, b.candidate.Pool))
	})
	for i, o := range options {
		o.candidate.Reasons = []string{why(i, options, pools)}
		if words := o.price.Words("there"); words != "" {
			o.candidate.Reasons = append(o.candidate.Reasons, words)
		}
		waiting.Candidates = append(waiting.Candidates, o.candidate)
	}
	if run.Target != "" {
		waiting.Candidates = targetFirst(run.Target, waiting.Candidates)
	}
	return waiting
}

// targetFirst puts the pools that a run moves to before the others.
func targetFirst(target string, candidates []scheduler.Candidate) []scheduler.Candidate {
	var first, rest []scheduler.Candidate
	for _, c := range candidates {
		if scheduler.Aims(target, c.Pool) {
			c.Reasons = []string{"it moves here"}
			first = append(first, c)
			continue
		}
		c.Reasons = append([]string{target + ", where it was to go, cannot take it any more"}, c.Reasons...)
		rest = append(rest, c)
	}
	return append(first, rest...)
}

// barred says why a run that has a checkpoint, or is a trial, cannot go on in a
// pool, or "".
func (l *Loop) barred(run fleet.Run, w *workload.Workload, earlier []fleet.Attempt, pool fleet.Pool, pools []fleet.Pool) string {
	if run.Trial != nil {
		if run.Trial.Pool != pool.ID() {
			return "the trial is of " + run.Trial.Pool
		}
		return ""
	}
	for _, a := range slices.Backward(earlier) {
		if a.Progress.CheckpointStep == 0 {
			continue
		}
		here, _ := findPool(pools, a.Pool)
		if bars := l.bars(run, a, here, pool, w); len(bars) > 0 {
			return bars[0]
		}
		return ""
	}
	return ""
}

// why says why an option stands where it does.
func why(i int, options []option, pools []fleet.Pool) string {
	o := options[i]
	switch {
	case len(options) == 1:
		return fmt.Sprintf("the only connected pool with a %s variant", familyOf(pools, o.candidate.Pool))
	case o.unpriced && i == 0:
		return fmt.Sprintf("no price is known of the %d pools that can take it", len(options))
	case i > 0:
		return fmt.Sprintf("number %d of %d in merit order: those before it are full", i+1, len(options))
	case o.known:
		return fmt.Sprintf("the whole run costs least here, %s, of %d pools that can take it", o.cost.Short(), len(options))
	}
	return fmt.Sprintf("the cheapest hour of %d pools that can take it", len(options))
}

func familyOf(pools []fleet.Pool, id string) string {
	for _, pool := range pools {
		if pool.ID() == id {
			return pool.Family
		}
	}
	return ""
}

// consider works out what a workload needs of a pool, or why the pool cannot
// take it. best is the size of least cost, 0 where it is not known; what the
// file says goes first.
func (l *Loop) consider(w *workload.Workload, pool fleet.Pool, best int) (scheduler.Candidate, string) {
	if pool.Fault != "" {
		return scheduler.Candidate{}, "cannot be reached now: " + pool.Fault
	}
	variant, ok := w.Variants[chip.Family(pool.Family)]
	if !ok {
		return scheduler.Candidate{}, fmt.Sprintf("needs a %s variant in the file", pool.Family)
	}
	maker := chip.Maker(chipmaker(pool))
	if excluded := w.Excludes(pool.Provider, maker, pool.Region, catalog.Option(pool.Option)); len(excluded) > 0 {
		return scheduler.Candidate{}, excluded[0]
	}
	nodes := max(1, w.Place.Nodes)
	switch {
	case w.Place.Nodes > 0:
	case best > 0:
		nodes = best
	case w.Place.Chips.Min > 0:
		nodes = (w.Place.Chips.Min + pool.ChipsPerNode - 1) / max(1, pool.ChipsPerNode)
	}
	if size := max(pool.Nodes, pool.MaxNodes); nodes > size {
		return scheduler.Candidate{}, fmt.Sprintf("has %d nodes and the run needs %d", size, nodes)
	}
	ranks := ranksOn(variant, pool, nodes)
	perNode := (ranks + nodes - 1) / nodes
	if variant.Cores*perNode > pool.Cores {
		return scheduler.Candidate{}, fmt.Sprintf("has %d cores a node and the run needs %d", pool.Cores, variant.Cores*perNode)
	}
	if need := int64(variant.Memory) * int64(perNode); need > pool.Memory {
		return scheduler.Candidate{}, fmt.Sprintf("has %d GB of memory a node and the run needs %d", pool.Memory>>30, need>>30)
	}
	if obstacle := l.foreign(variant, pool); obstacle != "" {
		return scheduler.Candidate{}, obstacle
	}
	need := scheduler.Need{Nodes: nodes, Ranks: ranks}
	if chip.Family(pool.Family) == chip.CPU {
		need.CoresPerRank = variant.Cores
	}
	return scheduler.Candidate{Pool: pool.ID(), Need: need}, ""
}

// ownCommand is why an image alone runs nowhere: yard's agent starts the ranks.
const ownCommand = "needs a command in the variant: that of its image is not taken"

// foreign says what of a variant the engine of a pool does not run, or "".
func (l *Loop) foreign(variant workload.Variant, pool fleet.Pool) string {
	place, err := l.Sites.Find(pool.Site)
	if err != nil {
		return "is not connected"
	}
	switch site.Engine(place.Engine) {
	case site.KubernetesEngine:
		if variant.Image == "" {
			return "runs images, and the variant has none"
		}
		if len(variant.Command) == 0 {
			return ownCommand
		}
	case site.SlurmEngine:
		if len(variant.Command) == 0 {
			return ownCommand
		}
		contained := variant.Image != "" && place.File != nil && place.File.Slurm != nil && place.File.Slurm.Containers != site.NoContainers && place.File.Slurm.Containers != ""
		for _, mount := range variant.Mounts {
			if !contained && mount.From != mount.Path {
				return fmt.Sprintf("mounts nothing: %s must be there under its own path", mount.Path)
			}
		}
	default:
		if len(variant.Command) == 0 || len(variant.Mounts) > 0 {
			return "runs commands, without images and mounts"
		}
	}
	return ""
}

func ranksOn(variant workload.Variant, pool fleet.Pool, nodes int) int {
	chips := pool.ChipsPerNode
	if chip.Family(pool.Family) == chip.CPU {
		chips = 0
	}
	return variant.Gang(nodes, chips)
}
