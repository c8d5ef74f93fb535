package planner

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// Violation is something that a plan breaks.
type Violation struct {
	Future  string `json:"future"`
	Period  string `json:"period"`
	Kind    string `json:"kind"`
	Subject string `json:"subject"`
	Message string `json:"message"`
}

// checkTolerance is relative: schedules are rounded up to whole node-hours.
const checkTolerance = 2e-3

// Check works out without a solver whether a plan keeps what its portfolio
// asks, whoever made it: capacity, demand, qualification, exclusivity, shares,
// covenants, cash, and the spend that billing confirms.
func Check(p *Problem, made *plan.Plan) ([]Violation, error) {
	c := checker{Problem: p, plan: made, violations: []Violation{}}
	decided := policyOf(&made.Choice, p.futures)
	if !decided.fits(p.zero()) {
		return nil, fault.New(fault.Invalid, "the plan's first stage does not belong to its portfolio")
	}
	c.period = -1
	c.foresight(decided)
	for i := range made.Futures {
		if i >= len(p.futures) || made.Futures[i].Name != p.futures[i].name || len(made.Futures[i].Periods) != len(p.Periods) {
			return nil, fault.New(fault.Invalid, "the plan's futures are not those of its portfolio")
		}
		c.future, c.result, c.first = &p.futures[i], &made.Futures[i], pathOf(&made.Choice, made.Futures[i].Name)
		if i == 0 || len(made.Choice.Branches) > 0 {
			c.signings()
		}
		if err := c.checkFuture(); err != nil {
			return nil, err
		}
	}
	return c.violations, nil
}

type checker struct {
	*Problem
	plan       *plan.Plan
	first      *decided
	future     *future
	result     *plan.Future
	violations []Violation
	period     int
}

func (c *checker) fail(kind, subject, format string, args ...any) {
	v := Violation{Kind: kind, Subject: subject, Message: fmt.Sprintf(format, args...)}
	if c.result != nil {
		v.Future = c.result.Name
	}
	if c.period >= 0 {
		v.Period = c.Periods[c.period].Label()
	}
	c.violations = append(c.violations, v)
}

// foresight checks that nothing is decided by what cannot be seen by then.
func (c *checker) foresight(chosen policy) {
	differ := func(futures []future, at time.Time, what string, number func(*decided) float64) {
		for _, group := range alike(futures, at) {
			for _, s := range group {
				if one, other := number(chosen.in(group[0])), number(chosen.in(s)); math.Abs(one-other) > 1e-6*math.Max(math.Abs(one), 1) {
					c.fail("foresight", what, "%s is decided otherwise if %s than if %s on %s, when nobody can tell them apart yet", what, futures[s].name, futures[group[0]].name, at.Format(time.DateOnly))
					return
				}
			}
		}
	}
	for i, d := range c.deals {
		differ(c.futures, d.start, d.Contract, func(one *decided) float64 { return one.Sign[i] * one.Size[i] })
	}
	for i, b := range c.buyingOptions() {
		differ(c.futures, c.Periods[b.period].From, c.offers[b.offer].Name, func(one *decided) float64 { return one.Buy[i] })
	}
	for i, b := range c.portingOptions() {
		differ(c.futures, c.Periods[b.period].From, b.model+" to "+b.family, func(one *decided) float64 { return one.Port[i] })
	}
}

// above reports whether x exceeds a limit by more than rounding.
func above(x, limit float64) bool { return x > limit+checkTolerance*math.Max(math.Abs(limit), 1) }

func (c *checker) signings() {
	c.period = -1
	starts := map[string]float64{}
	for i, d := range c.deals {
		starts[d.Contract] += c.first.Sign[i]
		if d.fixed && c.first.Sign[i] < 0.5 {
			c.fail("signing", d.Contract, "%s is in force and the plan does not hold it", d.Contract)
		}
		if d.Size != nil && above(c.first.Size[i], d.Size.Max) {
			c.fail("signing", d.Contract, "%s is signed at size %g; at most %g is offered", d.Contract, c.first.Size[i], d.Size.Max)
		}
	}
	for _, d := range (&model{Problem: c.Problem}).uniqueDeals() {
		if starts[d.Contract] > 1.5 {
			c.fail("signing", d.Contract, "%s is signed more than once", d.Contract)
		}
		for _, other := range d.Requires {
			if starts[d.Contract] > 0.5 && starts[other] < 0.5 {
				c.fail("signing", d.Contract, "%s requires %s, which is not signed", d.Contract, other)
			}
		}
		for _, other := range d.Excludes {
			if starts[d.Contract] > 0.5 && starts[other] > 0.5 {
				c.fail("signing", d.Contract, "%s excludes %s, and both are signed", d.Contract, other)
			}
		}
	}
}

func (c *checker) checkFuture() error {
	for t := range c.Periods {
		c.period = t
		c.capacity()
		c.sites()
		c.placement()
		c.exclusivity()
		c.shares()
	}
	c.period = -1
	c.demand()
	c.covenants()
	return c.money()
}

func (c *checker) offerNamed(name string) int {
	return slices.IndexFunc(c.offers, func(o offer) bool { return o.Name == name })
}

// capacity checks nodes against what there is, and what commitments cover.
func (c *checker) capacity() {
	period := &c.result.Periods[c.period]
	used := map[string]float64{}
	for _, n := range period.Nodes {
		o := c.offerNamed(n.Offer)
		if o < 0 {
			c.fail("capacity", n.Offer, "no offer is called %q", n.Offer)
			continue
		}
		if n.Option == c.offers[o].Option {
			used[n.Offer] += float64(n.NodeHours)
		}
	}
	for o, offered := range c.offers {
		limit := c.held(o)
		if hours := used[offered.Name]; above(hours, limit*period.Hours()+float64(len(period.Nodes))) {
			c.fail("capacity", offered.Name, "%s has %.1f nodes and the plan uses %.1f", offered.Name, limit, hours/period.Hours())
		}
	}
}

// held is the nodes of an offer in the period under the plan's first stage.
func (c *checker) held(o int) float64 {
	t, offered := c.Periods[c.period], c.offers[o]
	capacity := c.future.capacity[o][c.period]
	switch {
	case offered.purchase >= 0:
		nodes := 0.0
		for i, b := range c.buyingOptions() {
			if b.offer == o && i < len(c.first.Buy) {
				nodes += c.first.Buy[i] * t.Part(b.ready, c.Portfolio.Purchases[b.purchase].Life.After(b.ready))
			}
		}
		return nodes
	case offered.deal != "":
		nodes := 0.0
		for i, d := range c.deals {
			if k := c.future.terms[i]; d.Contract == offered.deal && k != nil && c.first.Size[i] > 0 {
				nodes += multiply(capacity*c.first.Size[i], t.Part(k.contract.Term.From.Time, k.contract.Term.To.Time))
			}
		}
		return nodes + c.reservedNodes(o)
	}
	return capacity + c.reservedNodes(o)
}

// reservedNodes is what capacity reservations add to an offer.
func (c *checker) reservedNodes(o int) float64 {
	nodes := 0.0
	for i, k := range c.future.terms {
		if k == nil {
			continue
		}
		for _, b := range k.bundles {
			for _, l := range c.linesOf(o) {
				if b.adds && b.option == "" && b.useOf(l, c.period) > 0 {
					nodes += b.capacity[c.period] * c.first.Size[i]
					break
				}
			}
		}
	}
	return nodes
}

// placement checks that work runs where it may, on chips that were taken.
func (c *checker) placement() {
	period := &c.result.Periods[c.period]
	chips, busy := map[string]float64{}, map[string]float64{}
	key := func(provider, chip, class string) string { return provider + " " + chip + " " + class }
	for _, n := range period.Nodes {
		if o := c.offerNamed(n.Offer); o >= 0 {
			chips[key(n.Provider, n.Chip, n.Class)] += float64(n.NodeHours) * float64(c.offers[o].Chips)
		}
	}
	for _, w := range period.Work {
		busy[key(w.Provider, w.Chip, w.Class)] += w.Chips * period.Hours()
		i := slices.IndexFunc(c.works, func(one work) bool { return one.Name == w.Demand })
		if i < 0 {
			c.fail("placement", w.Demand, "no demand is called %q", w.Demand)
			continue
		}
		c.qualifiedFor(c.works[i], w)
		if rate := w.Units / period.Hours() / max(w.Chips, 1e-9); above(rate, c.works[i].eta[w.Chip]*c.future.factor[i][w.Chip][c.period]) {
			c.fail("placement", w.Demand, "%s does %.4g units per chip-hour on %s; the plan counts %.4g", w.Demand, c.works[i].eta[w.Chip], w.Chip, rate)
		}
	}
	for _, name := range sortedNames(busy) {
		if above(busy[name], chips[name]) {
			c.fail("placement", name, "%s works on %.1f chips and only %.1f are taken", strings.TrimSpace(name), busy[name]/period.Hours(), chips[name]/period.Hours())
		}
	}
}

func (c *checker) qualifiedFor(w work, placed plan.Placed) {
	family := ""
	for _, o := range c.offers {
		if o.Chip == placed.Chip {
			family = o.family
		}
	}
	families, _ := c.qualified(w.Model)
	if families == nil || among(families, family) || placed.Units == 0 {
		return
	}
	for i, b := range c.portingOptions() {
		if b.model == w.Model && b.family == family && i < len(c.first.Port) && c.first.Port[i] > 0.5 && b.ready.Before(c.Periods[c.period].To) {
			return
		}
	}
	c.fail("qualification", w.Model, "%s runs on %s and is not validated there by then", w.Name, placed.Chip)
}

func (c *checker) exclusivity() {
	for i, k := range c.future.terms {
		if k == nil || c.first.Sign[i] < 0.5 {
			continue
		}
		for _, e := range k.exclusive {
			for _, w := range c.result.Periods[c.period].Work {
				if e.part[c.period] > 0 && !strings.EqualFold(w.Provider, e.holder) && among(e.classes, w.Class) {
					c.fail("exclusivity", e.label, "%s runs on %s; %s keeps it with %s", w.Demand, w.Provider, e.label, e.holder)
				}
			}
		}
	}
}

// shares checks hedges by chip-hours and by quantity, which need no prices; of
// money only the most is checked, at the schedule's rates.
func (c *checker) shares() {
	period := &c.result.Periods[c.period]
	for _, h := range c.Portfolio.Hedges {
		if h.Per != "" || h.From != nil && period.From.Before(h.From.Time) || h.To != nil && !period.From.Before(h.To.Time) {
			continue
		}
		parts, whole := c.measure(h)
		if whole == 0 || c.hasFees() && (h.Measure == "" || h.Measure == contract.Spend) {
			continue
		}
		for _, value := range c.values(string(h.Of)) {
			share := parts[value] / whole
			if h.Which != "" && !strings.EqualFold(h.Which, value) {
				continue
			}
			if h.AtMost != nil && share > h.AtMost.InexactFloat64()+1e-2 {
				c.fail("hedge", value, "%s has %s of %s; at most %s is allowed", value, percent(share), measureWord(h.Measure), percent(h.AtMost.InexactFloat64()))
			}
			if h.AtLeast != nil && share < h.AtLeast.InexactFloat64()-1e-2 {
				c.fail("hedge", value, "%s has %s of %s; at least %s is needed", value, percent(share), measureWord(h.Measure), percent(h.AtLeast.InexactFloat64()))
			}
		}
	}
}

func (c *checker) hasFees() bool {
	for i, k := range c.future.terms {
		if k != nil && c.first.Sign[i] > 0.5 && len(k.bundles) > 0 {
			return true
		}
	}
	return false
}

func (c *checker) measure(h plan.Hedge) (parts map[string]float64, whole float64) {
	parts = map[string]float64{}
	for _, n := range c.result.Periods[c.period].Nodes {
		o := c.offerNamed(n.Offer)
		if o < 0 {
			continue
		}
		size := float64(n.NodeHours) * n.Rate
		switch h.Measure {
		case contract.ChipTime:
			size = float64(n.NodeHours) * float64(c.offers[o].Chips)
		case contract.Quantity:
			size = float64(n.NodeHours)
		case contract.ListCost:
			var list float64
			_, _ = fmt.Sscanf(n.List, "%g", &list)
			size = float64(n.NodeHours) * list
		}
		parts[c.offers[o].is(string(h.Of))] += size
		whole += size
	}
	return parts, whole
}

// demand checks that work that must be done is done.
func (c *checker) demand() {
	for i, w := range c.works {
		for _, window := range (&recourse{m: &model{Problem: c.Problem}, f: c.future}).windows(w) {
			done, needed := 0.0, 0.0
			for _, t := range window {
				for _, placed := range c.result.Periods[t].Work {
					if placed.Demand == w.Name {
						done += placed.Units
					}
				}
				for _, u := range c.result.Unserved {
					if u.Demand == w.Name && u.Period == c.Periods[t].Label() {
						done += u.Units
					}
				}
				needed += c.future.demand[i][t] * c.Periods[t].Hours()
			}
			if w.Total > 0 {
				needed = w.Total * product(c.future.effects, plan.Traffic, c.Periods[0], func(e plan.Effect) bool { return among(e.Demand, w.Name) })
			}
			if above(needed, done) {
				c.period = window[len(window)-1]
				c.fail("demand", w.Name, "%s needs %.4g units of work and gets %.4g", w.Name, needed, done)
			}
		}
	}
	c.period = -1
	for _, u := range c.result.Unserved {
		if i := slices.IndexFunc(c.works, func(one work) bool { return one.Name == u.Demand }); i >= 0 && c.works[i].Unserved == nil {
			c.fail("demand", u.Demand, "%s must be served and %.4g units are not", u.Demand, u.Units)
		}
	}
}

// covenants checks shares of work on the chips that contracts name.
func (c *checker) covenants() {
	for i, k := range c.future.terms {
		if k == nil || c.first.Sign[i] < 0.5 {
			continue
		}
		for _, v := range k.covenants {
			if v.measure == contract.Spend || v.measure == contract.ListCost {
				continue // billing says: see Standing
			}
			for n, w := range v.windows {
				if len(v.cures) == 0 || !c.keeps(v, v.cures[n]) {
					c.covenantWindow(v, w)
				}
			}
		}
	}
}

// keeps reports whether a span keeps a covenant; one beyond the horizon does not.
func (c *checker) keeps(v covenant, w span) bool {
	on, needed := c.worked(v, w)
	return len(w.part) > 0 && on >= needed*(1-checkTolerance)-1
}

// worked is what a span has of a covenant's work, and what it should have.
func (c *checker) worked(v covenant, w span) (on, needed float64) {
	all, hours := 0.0, 0.0
	for _, t := range sortedPeriods(w.part) {
		hours += w.part[t] * c.Periods[t].Hours()
		for _, n := range c.result.Periods[t].Nodes {
			o := c.offerNamed(n.Offer)
			for l := range c.lines {
				if o >= 0 && c.lines[l].offer == o && c.lines[l].class == n.Class && v.lines[l] {
					on += v.on[l] * float64(n.NodeHours) * w.part[t]
					all += v.all[l] * float64(n.NodeHours) * w.part[t]
				}
			}
		}
	}
	return on, v.share*all + v.absolute*hours
}

func (c *checker) covenantWindow(v covenant, w span) {
	on, needed := c.worked(v, w)
	words := v.label + " in " + c.Periods[w.due].Label()
	if on < needed*(1-checkTolerance)-1 && !slices.Contains(c.result.Breaches, words) {
		c.period = w.due
		c.fail("covenant", v.label, "covenant %s is broken: %.4g of %.4g", v.label, on, needed)
		c.period = -1
	}
}

// money checks the stated spend against billing, and cash against its floor.
func (c *checker) money() error {
	var uses []use
	for t := range c.result.Periods {
		for _, n := range c.result.Periods[t].Nodes {
			o := c.offerNamed(n.Offer)
			for _, l := range c.linesOf(max(o, 0)) {
				if o >= 0 && c.lines[l].class == n.Class {
					var list float64
					if _, err := fmt.Sscanf(n.List, "%g", &list); err != nil {
						return fault.Newf(fault.Invalid, "list rate %q of %s is no number", n.List, n.Offer)
					}
					u := use{line: l, period: t, list: list, nodeHours: n.NodeHours}
					if n.Option != c.offers[o].Option {
						u.option = n.Option
					}
					uses = append(uses, u)
				}
			}
		}
	}
	billed, err := c.billOf(c.contractsOf(c.future, c.first), uses)
	if err != nil {
		return err
	}
	stated := float64(c.result.Billed.Micros)
	if math.Abs(float64(billed.total)-stated) > checkTolerance*math.Abs(stated)+1e6 {
		c.fail("spend", "billing", "billing says %s and the plan %s", money(float64(billed.total)/1e6), money(stated/1e6))
	}
	if f := c.Portfolio.Financing; f != nil && c.result.CashLow != nil && c.result.CashLow.Amount < float(f.Floor)-1e-3*math.Max(float(f.Cash), 1) {
		c.fail("cash", "cash", "cash falls to %s in %s; its floor is %s", money(c.result.CashLow.Amount), c.result.CashLow.Period, money(float(f.Floor)))
	}
	return nil
}
