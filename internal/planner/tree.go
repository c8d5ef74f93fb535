package planner

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// choices are the decisions to sign, buy and port as one future meets them. What
// is decided before futures can be told apart is the same variable in all of them.
type choices struct {
	sign, size [][]lp.Term // by deal
	buys       []buying
	ports      []port
}

// decided is what is signed, bought and ported on one path through the tree of
// what is seen.
type decided struct {
	Sign, Size []float64 // by deal
	Buy        []float64 // by buying option
	Port       []float64 // by porting option
}

// policy is what is decided in each future; one entry stands for all of them.
// Futures that are never told apart share their entry.
type policy []*decided

// some reports whether any path is so.
func (p policy) some(so func(d *decided) bool) bool { return slices.ContainsFunc(p, so) }

func (p policy) in(s int) *decided { return p[min(s, len(p)-1)] }

// shown is when each effect of a scenario is seen, and when the scenario as a
// whole is; the zero time is never.
func (p *Problem) shown(s plan.Scenario) (effects []time.Time, whole time.Time) {
	if s.Reveal != nil {
		whole = s.Reveal.Time
	}
	for _, e := range s.Effects {
		at := time.Time{}
		if p.Portfolio.Reveal != nil && s.Reveal == nil {
			from := p.start
			if e.From != nil && e.From.After(from) {
				from = e.From.Time
			}
			at = p.Portfolio.Reveal.After(from)
		}
		effects = append(effects, at)
	}
	return effects, whole
}

// seenBy is what is known of a future on a day.
func (f *future) seenBy(at time.Time) string {
	open := func(t time.Time) bool { return !t.IsZero() && !at.Before(t) }
	if open(f.whole) {
		return "future " + f.name
	}
	var seen []string
	for i, e := range f.effects {
		if i < len(f.shown) && open(f.shown[i]) {
			text, _ := json.Marshal(e) // plain data
			seen = append(seen, string(text))
		}
	}
	slices.Sort(seen)
	return strings.Join(seen, "\n")
}

// alike groups the futures that cannot be told apart on a day.
func alike(futures []future, at time.Time) [][]int {
	index := map[string]int{}
	var groups [][]int
	for s := range futures {
		key := futures[s].seenBy(at)
		g, known := index[key]
		if !known {
			g = len(groups)
			index[key] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], s)
	}
	return groups
}

// allSeen is a day after all that is ever seen.
func allSeen() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }

// branches groups futures by what a decision on a day may depend on.
func (m *model) branches(at time.Time) [][]int { return alike(m.futures, at) }

// eachLeaf calls a function for each path through the tree, once, with one of
// its futures.
func (m *model) eachLeaf(do func(r *recourse)) {
	for _, group := range alike(m.futures, allSeen()) {
		do(m.recourse[group[0]])
	}
}

// revealed lists the days on which futures are told apart, in order.
func revealed(futures []future) []time.Time {
	var days []time.Time
	for _, f := range futures {
		for _, at := range append(slices.Clone(f.shown), f.whole) {
			if !at.IsZero() {
				days = append(days, at)
			}
		}
	}
	slices.SortFunc(days, time.Time.Compare)
	days = slices.CompactFunc(days, time.Time.Equal)
	apart := 1
	return slices.DeleteFunc(days, func(at time.Time) bool {
		n := len(alike(futures, at))
		more := n > apart
		apart = max(apart, n)
		return !more
	})
}

// stage writes a policy down: what all futures share, and the paths where they part.
func (p policy) stage(futures []future) plan.FirstStage {
	common := p.in(0).clone()
	out := plan.FirstStage{Sign: common.Sign, Size: common.Size, Buy: common.Buy, Port: common.Port}
	if len(p) < 2 || len(alike(futures, allSeen())) < 2 {
		return out
	}
	differ := false
	for s := range futures {
		each(func(x ...*float64) { differ = differ || *x[0] != *x[1] }, p.in(0), p.in(s))
	}
	if !differ {
		return out
	}
	for s := range futures {
		each(func(x ...*float64) {
			if *x[1] != *x[2] {
				*x[0] = 0
			}
		}, common, p.in(0), p.in(s))
	}
	for _, group := range alike(futures, allSeen()) {
		one := p.in(group[0]).clone()
		branch := plan.Branch{Sign: one.Sign, Size: one.Size, Buy: one.Buy, Port: one.Port}
		for _, s := range group {
			branch.Futures = append(branch.Futures, futures[s].name)
		}
		out.Branches = append(out.Branches, branch)
	}
	return out
}

// policyOf reads a first stage as what is decided in each of some futures.
func policyOf(first *plan.FirstStage, futures []future) policy {
	if first == nil {
		return nil
	}
	if len(first.Branches) == 0 {
		return policy{&decided{first.Sign, first.Size, first.Buy, first.Port}}
	}
	var all policy
	for _, f := range futures {
		all = append(all, pathOf(first, f.name))
	}
	return all
}

// pathOf is what a first stage decides in the future of a name.
func pathOf(first *plan.FirstStage, name string) *decided {
	for _, b := range first.Branches {
		if slices.Contains(b.Futures, name) {
			return &decided{b.Sign, b.Size, b.Buy, b.Port}
		}
	}
	return &decided{first.Sign, first.Size, first.Buy, first.Port}
}

func (d *decided) clone() *decided {
	return &decided{slices.Clone(d.Sign), slices.Clone(d.Size), slices.Clone(d.Buy), slices.Clone(d.Port)}
}

// clone copies a policy; futures that share their entry go on sharing it.
func (p policy) clone() policy {
	copies := map[*decided]*decided{}
	out := make(policy, len(p))
	for i, d := range p {
		if copies[d] == nil {
			copies[d] = d.clone()
		}
		out[i] = copies[d]
	}
	return out
}

// forEach is the policy with an entry of its own for each of n futures.
func (p policy) forEach(n int) policy {
	out := make(policy, n)
	for s := range out {
		out[s] = p.in(s).clone()
	}
	return out
}

// fits reports whether a policy is one of this problem.
func (p policy) fits(zero *decided) bool {
	for _, d := range p {
		if len(d.Sign) != len(zero.Sign) || len(d.Size) != len(zero.Size) || len(d.Buy) != len(zero.Buy) || len(d.Port) != len(zero.Port) {
			return false
		}
	}
	return len(p) > 0
}

// each applies a function to the numbers of several paths, side by side.
func each(f func(x ...*float64), all ...*decided) {
	lists := func(d *decided) [][]float64 { return [][]float64{d.Sign, d.Size, d.Buy, d.Port} }
	for k := range lists(all[0]) {
		for i := range lists(all[0])[k] {
			var x []*float64
			for _, d := range all {
				x = append(x, &lists(d)[k][i])
			}
			f(x...)
		}
	}
}
