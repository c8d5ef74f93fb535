package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

const (
	// ageStep is how long a run waits to gain one point of priority: any
	// priority gap closes in time, so nobody starves.
	ageStep = 15 * time.Minute
	// patience is how long a run lets later ones pass it by on pools that it
	// could use itself; after that these pools are kept free for it.
	patience = 10 * time.Minute
)

// Need is what a run asks of a pool.
type Need struct {
	Nodes        int // 0 means 1
	Ranks        int // over all nodes
	ChipsPerNode int // 0 means all chips of a node
	CoresPerRank int // family cpu: 0 means that the run takes its nodes whole
}

// Candidate is a pool that a queued run may use.
type Candidate struct {
	Pool    string // fleet.Pool.ID
	Need    Need
	Reasons []string // why it stands where it does in the merit order
}

// Waiting is a queued run with the pools that can take it in merit order.
type Waiting struct {
	Run        fleet.Run
	Candidates []Candidate
	RuledOut   []string // why other pools cannot take it
	Held       []string // why budgets keep it off pools that could take it
	HeldBy     string   // the first such budget
}

// Snapshot is all that Place looks at.
type Snapshot struct {
	Now    time.Time
	Pools  []fleet.Pool
	Live   []fleet.Attempt   // attempts that hold nodes
	Holder map[string]string // project of each run in Live
	Queue  []Waiting
	Quotas map[string]int // chips that a project may hold at once

	Coming []Coming // runs that are leaving another pool for a place that is kept for them
}

// Coming is room that is kept for a run on its way.
type Coming struct {
	Run   string
	Pool  string
	Nodes int
	Cores int // host cores on each node, where it shares one
}

// Placement says that a run starts now.
type Placement struct {
	Run     string
	Pool    fleet.Pool
	Nodes   int
	Ranks   int
	Chips   int        // over all nodes
	Cores   int        // host cores held on each node, family cpu
	Rate    units.Rate // per node-hour for the held share of a node
	Reasons []string
}

// Wait says that a run stays queued, and why.
type Wait struct {
	Run      string
	Position int // in the queue, from 1
	Reasons  []string
}

// Place decides which queued runs start now. Runs are served by priority,
// which grows with waiting, then by submission; each takes the first pool of
// its merit order that has room. A run that has waited longer than patience
// keeps later ones off the pools that it could use.
func Place(s Snapshot) ([]Placement, []Wait) {
	state := newPlacing(s)
	queue := slices.Clone(s.Queue)
	slices.SortStableFunc(queue, func(a, b Waiting) int { return Turn(a.Run, b.Run, s.Now) })
	var placements []Placement
	var waits []Wait
	for _, waiting := range queue {
		placement, reasons := state.try(waiting)
		if placement != nil {
			placements = append(placements, *placement)
			continue
		}
		waits = append(waits, Wait{Run: waiting.Run.ID, Position: len(waits) + 1, Reasons: reasons})
	}
	return placements, waits
}

// Turn orders queued runs by when they are served.
func Turn(a, b fleet.Run, now time.Time) int {
	return cmp.Or(
		-compareBool(a.Target != "", b.Target != ""), // on its way: its room is kept
		cmp.Compare(standing(b, now), standing(a, now)),
		a.Submitted.Compare(b.Submitted),
		cmp.Compare(a.ID, b.ID),
	)
}

// standing is the priority of a run with what it gained by waiting.
func standing(run fleet.Run, now time.Time) int {
	return run.Priority + int(max(0, now.Sub(run.Submitted))/ageStep)
}

// placing is the room left while runs are placed one after the other.
type placing struct {
	snapshot Snapshot
	pools    map[string]fleet.Pool
	nodes    map[string]int    // free whole nodes by pool
	cores    map[string]int    // free cores on the partly used node of a one-node cpu pool
	held     map[string]int    // chips held by project
	kept     map[string]string // run for which a pool is kept free
}

func newPlacing(s Snapshot) *placing {
	p := &placing{s, map[string]fleet.Pool{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]string{}}
	for _, pool := range s.Pools {
		p.pools[pool.ID()] = pool
		p.nodes[pool.ID()] = max(pool.Nodes, pool.MaxNodes)
		p.cores[pool.ID()] = pool.Cores
	}
	for _, attempt := range s.Live {
		p.take(attempt.Pool, attempt.Nodes, attempt.Cores)
		p.held[s.Holder[attempt.Run]] += attempt.Chips
	}
	for _, coming := range s.Coming {
		p.take(coming.Pool, coming.Nodes, coming.Cores)
	}
	return p
}

// take removes what an attempt holds from the room of its pool. Part of a node
// can be held only in a pool of one node (this machine).
func (p *placing) take(pool string, nodes, cores int) {
	if cores > 0 && p.pools[pool].Nodes == 1 {
		p.cores[pool] -= cores
		if p.cores[pool] <= 0 {
			p.nodes[pool] = 0
		}
		return
	}
	p.nodes[pool] -= nodes
	if p.nodes[pool] <= 0 {
		p.cores[pool] = 0
	}
}

func (p *placing) try(waiting Waiting) (*Placement, []string) {
	run := waiting.Run
	if run.NotBefore.After(p.snapshot.Now) {
		return nil, []string{fmt.Sprintf("backs off after a failure until %s", run.NotBefore.UTC().Format(time.TimeOnly))}
	}
	if len(waiting.Candidates) == 0 && len(waiting.Held) > 0 {
		return nil, append(slices.Clone(waiting.Held), waiting.RuledOut...)
	}
	if len(waiting.Candidates) == 0 {
		return nil, append([]string{"no connected pool can take it"}, waiting.RuledOut...)
	}
	var reasons []string
	for _, candidate := range waiting.Candidates {
		placement, obstacle := p.fit(run, candidate)
		if placement != nil {
			p.take(candidate.Pool, placement.Nodes, placement.Cores)
			p.held[run.Project] += placement.Chips
			return placement, nil
		}
		reasons = append(reasons, obstacle)
	}
	if p.snapshot.Now.Sub(run.Submitted) > patience {
		p.keep(waiting)
	}
	return nil, reasons
}

// keep reserves the pools that could take an impatient run, if they grew free:
// a run that its project's quota holds back has no use for the room that it
// would keep from others.
func (p *placing) keep(waiting Waiting) {
	for _, candidate := range waiting.Candidates {
		pool, known := p.pools[candidate.Pool]
		if !known || p.overQuota(waiting.Run, max(1, candidate.Need.Nodes)*chipsOf(candidate.Need, pool)) != "" {
			continue
		}
		if p.kept[candidate.Pool] == "" {
			p.kept[candidate.Pool] = waiting.Run.ID
		}
	}
}

// overQuota says why the project of a run may not hold so many more chips, or "".
func (p *placing) overQuota(run fleet.Run, chips int) string {
	quota, limited := p.snapshot.Quotas[run.Project]
	if !limited || p.held[run.Project]+chips <= quota {
		return ""
	}
	return fmt.Sprintf("project %s holds %d of its quota of %d chips and this run needs %d",
		run.Project, p.held[run.Project], quota, chips)
}

// fit returns the placement of a run on a candidate, or why there is none now.
func (p *placing) fit(run fleet.Run, candidate Candidate) (*Placement, string) {
	pool, known := p.pools[candidate.Pool]
	if !known {
		return nil, candidate.Pool + " is not connected"
	}
	need := candidate.Need
	placement := Placement{
		Run: run.ID, Pool: pool, Nodes: max(1, need.Nodes), Ranks: max(1, need.Ranks),
		Rate: pool.Rate, Reasons: candidate.Reasons,
	}
	placement.Chips = placement.Nodes * chipsOf(need, pool)
	if need.CoresPerRank > 0 && pool.Nodes == 1 {
		placement.Cores = need.CoresPerRank * placement.Ranks
		placement.Rate = shareOf(pool.Rate, placement.Cores, pool.Cores)
	}
	if why := closed(pool, p.snapshot.Now); why != "" {
		return nil, why
	}
	if keeper := p.kept[candidate.Pool]; keeper != "" {
		return nil, fmt.Sprintf("%s is kept for %s, which has waited longer", candidate.Pool, keeper)
	}
	if obstacle := p.room(placement); obstacle != "" {
		return nil, obstacle
	}
	if obstacle := p.overQuota(run, placement.Chips); obstacle != "" {
		return nil, obstacle
	}
	return &placement, ""
}

// closed says why a pool takes no new gang, or "".
func closed(pool fleet.Pool, now time.Time) string {
	switch {
	case pool.Draining:
		return fmt.Sprintf("site %s drains", pool.Site)
	case !pool.Ends.IsZero() && pool.Ends.Sub(now) <= noticeOf(pool):
		return fmt.Sprintf("the capacity of %s ends at %s", pool.ID(), clockTime(pool.Ends))
	}
	return ""
}

func (p *placing) room(placement Placement) string {
	id := placement.Pool.ID()
	if placement.Cores > 0 {
		if free := max(0, p.cores[id]); placement.Cores > free {
			return fmt.Sprintf("%s has %d of %d cores free and it needs %d", id, free, placement.Pool.Cores, placement.Cores)
		}
		return ""
	}
	free := max(0, p.nodes[id])
	if placement.Pool.Nodes == 1 && p.cores[id] < placement.Pool.Cores {
		free = 0 // the one node is partly used and this run wants it whole
	}
	if placement.Nodes > free {
		return fmt.Sprintf("%s has %d of %d nodes free and it needs %d", id, free, max(placement.Pool.Nodes, placement.Pool.MaxNodes), placement.Nodes)
	}
	return ""
}

func chipsOf(need Need, pool fleet.Pool) int {
	if need.ChipsPerNode > 0 {
		return need.ChipsPerNode
	}
	return max(1, pool.ChipsPerNode)
}

// shareOf prices part of a node: rate × held ÷ all.
func shareOf(rate units.Rate, held, all int) units.Rate {
	if all <= 0 || held >= all {
		return rate
	}
	return rate.Scale(decimal.NewFromInt(int64(held)).DivRound(decimal.NewFromInt(int64(all)), 12))
}
