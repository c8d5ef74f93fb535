package plan

import (
	"fmt"
	"math"
	"slices"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// maxPeriods bounds a horizon: a plan of hours over years is not meant.
const maxPeriods = 1000

// validate checks what the shape of the file cannot: names that must exist,
// orders of dates, and numbers that make no sense.
func validate(d *spec.Document, p *Portfolio) {
	v := validator{d, p, map[string]bool{}}
	v.horizon()
	if len(p.Demand) == 0 {
		d.Faultf("demand", "the list is empty; a plan needs work to serve")
	}
	for i := range p.Demand {
		v.demand(fmt.Sprintf("demand[%d]", i), &p.Demand[i])
	}
	for i := range p.Sites {
		v.site(fmt.Sprintf("sites[%d]", i), &p.Sites[i])
	}
	for i := range p.Offers {
		v.offer(fmt.Sprintf("offers[%d]", i), &p.Offers[i])
	}
	for i := range p.Purchases {
		v.offer(fmt.Sprintf("purchases[%d]", i), &p.Purchases[i].Offer)
		if p.Purchases[i].Life == (contract.Span{}) {
			d.Faultf(fmt.Sprintf("purchases[%d].life", i), "hardware that lasts no time cannot be planned")
		}
	}
	if len(p.Offers)+len(p.Purchases)+len(p.Catalog) == 0 {
		d.Faultf("offers", "there is nothing to run on; give offers, purchases or catalog")
	}
	v.contracts()
	v.qualification()
	v.money()
	v.hedges()
	v.scenarios()
	if r := p.Risk; r.Weight < 0 || r.Weight > 1 || r.Tail < 0 || r.Tail >= 1 || r.Discount < 0 || r.Discount > 1 {
		d.Faultf("risk", "weight and discount lie between 0 and 1, tail below 1")
	}
}

type validator struct {
	d     *spec.Document
	p     *Portfolio
	names map[string]bool
}

// unique refuses a name that the same list has already.
func (v validator) unique(list, field, name string) {
	if v.names[list+" "+name] {
		v.d.Faultf(field, "%q is there already", name)
	}
	v.names[list+" "+name] = true
}

func (v validator) horizon() {
	h := v.p.Horizon
	switch {
	case v.d.Faulty("horizon") || v.d.Faulty("horizon.to") || v.d.Faulty("horizon.from"):
	case h.From == nil:
		v.d.Faultf("horizon.from", "needed where the file has no as_of")
	case !h.From.Before(h.To.Time):
		v.d.Faultf("horizon.to", "%s is not after the start, %s", day(h.To), day(*h.From))
	case len(v.p.Periods()) > maxPeriods:
		v.d.Faultf("horizon.periods", "more than %d periods; use longer ones", maxPeriods)
	}
	for i, stretch := range h.Periods {
		if stretch.For == nil && i < len(h.Periods)-1 {
			v.d.Faultf(fmt.Sprintf("horizon.periods[%d].for", i), "needed for all but the last")
		}
	}
}

func day(at contract.Instant) string {
	text, _ := at.MarshalText() // it never fails
	return string(text)
}

// largestFactor bounds what something is multiplied by: beyond it no model is
// one that a solver can work with.
const largestFactor = 1e6

func absurd(x float64) bool { return !(x >= 0) || math.IsInf(x, 0) }

func (v validator) demand(field string, w *Demand) {
	v.unique("demand", field+".name", w.Name)
	if slices.ContainsFunc(append([]float64{w.Rate, w.Total, w.Most, w.Growth, w.Headroom}, w.Season...), absurd) {
		v.d.Faultf(field, "quantities of work are not negative")
	}
	if w.Growth > largestFactor {
		v.d.Faultf(field+".growth", "found %g; valid: 0 to %g", w.Growth, float64(largestFactor))
	}
	for i, factor := range w.Season {
		if factor > largestFactor {
			v.d.Faultf(fmt.Sprintf("%s.season[%d]", field, i), "found %g; valid: 0 to %g", factor, float64(largestFactor))
		}
	}
	given := 0
	for _, set := range []bool{w.Rate > 0, w.Total > 0, len(w.Steps) > 0, w.History != nil} {
		if set {
			given++
		}
	}
	if given != 1 {
		v.d.Faultf(field, "one of rate, steps, history and total is needed")
	}
	if w.Total > 0 && w.Class != Training {
		v.d.Faultf(field+".total", "only a training programme has a total; others have a rate")
	}
	if n := len(w.Season); n != 0 && n != 12 {
		v.d.Faultf(field+".season", "%d factors; twelve are needed, January first", n)
	}
	if w.From != nil && w.To != nil && !w.From.Before(w.To.Time) {
		v.d.Faultf(field+".to", "%s is not after %s", day(*w.To), day(*w.From))
	}
	if len(w.Throughput) == 0 && w.Estimate == nil {
		v.d.Faultf(field+".throughput", "how much work a chip does in an hour is needed, or estimate")
	}
	if e := w.Estimate; e != nil && e.Serves() == (e.Sequence > 0 || e.Batch > 0 || e.Chips > 0) {
		v.d.Faultf(field+".estimate", "a training needs sequence, batch and chips, a service input and output")
	}
	if e := w.Estimate; e != nil && !e.Serves() && (e.Sequence <= 0 || e.Batch <= 0 || e.Chips <= 0) {
		v.d.Faultf(field+".estimate", "a training needs sequence, batch and chips")
	}
	for chip, rate := range w.Throughput {
		if absurd(rate) {
			v.d.Faultf(field+".throughput."+chip, "%g: work per chip-hour is not negative", rate)
		}
	}
}

func (v validator) offer(field string, o *Offer) {
	v.unique("offers", field+".name", o.Name)
	if o.Chips < 1 {
		v.d.Faultf(field+".chips", "a node has at least one chip")
	}
	if o.Capacity != nil && absurd(*o.Capacity) {
		v.d.Faultf(field+".capacity", "capacity is not negative")
	}
	if absurd(o.Yearly) || o.Yearly > 10 {
		v.d.Faultf(field+".yearly_price_factor", "a factor such as 0.85 is needed")
	}
	if absurd(o.Surge) || o.Surge > 1 {
		v.d.Faultf(field+".surge", "a share between 0 and 1 is needed")
	}
	if o.Site != "" && !slices.Contains(v.sites(), o.Site) {
		v.d.Faultf(field+".site", "unknown site %q%s", o.Site, spec.DidYouMean(o.Site, v.sites()))
	}
	if o.Site != "" && !(o.Kilowatts > 0) {
		v.d.Faultf(field+".kilowatts", "needed where the offer shares the power of a site")
	}
	if o.Contract != "" && !v.known(o.Contract) {
		v.d.Faultf(field+".contract", "unknown contract %q%s", o.Contract, spec.DidYouMean(o.Contract, v.signings()))
	}
}

func (v validator) site(field string, s *Site) {
	v.unique("sites", field+".name", s.Name)
	if absurd(s.Megawatts) || (s.Megawatts > 0) == (len(s.Ramp) > 0) {
		v.d.Faultf(field, "one of megawatts and ramp is needed")
	}
	for i, step := range s.Ramp {
		if absurd(step.Value) {
			v.d.Faultf(fmt.Sprintf("%s.ramp[%d].value", field, i), "power is not negative")
		}
	}
}

func (v validator) sites() []string {
	var names []string
	for _, s := range v.p.Sites {
		names = append(names, s.Name)
	}
	return names
}

func (v validator) signings() []string {
	var names []string
	for _, s := range v.p.Contracts {
		names = append(names, s.Contract)
	}
	return names
}

func (v validator) known(name string) bool { return slices.Contains(v.signings(), name) }

func (v validator) contracts() {
	var terms []string
	for _, c := range v.p.Terms {
		terms = append(terms, c.Name)
		v.unique("terms", "contracts", c.Name)
		if c.Currency != v.p.Currency && c.Currency != "" {
			v.d.Faultf("contracts", "contract %s is in %s and the portfolio in %s", c.Name, c.Currency, v.p.Currency)
		}
	}
	for i, s := range v.p.Contracts {
		field := fmt.Sprintf("contracts[%d]", i)
		v.unique("contracts", field+".contract", s.Contract)
		if v.p.TermsOf(s.Contract) == nil {
			v.d.Faultf(field+".contract", "no document of kind Contract has the name %q%s", s.Contract, spec.DidYouMean(s.Contract, terms))
		}
		for _, other := range slices.Concat(s.Requires, s.Excludes) {
			if !v.known(other) {
				v.d.Faultf(field, "unknown contract %q%s", other, spec.DidYouMean(other, v.signings()))
			}
		}
		if z := s.Size; z != nil && (absurd(z.Min) || absurd(z.Max) || z.Max == 0 || z.Min > z.Max || absurd(z.Step)) {
			v.d.Faultf(field+".size", "0 ≤ min ≤ max is needed, and max above 0")
		}
		if s.Status == Signed && len(s.Starts) > 0 {
			v.d.Faultf(field+".starts", "a signed contract starts when its terms say")
		}
	}
}

func (v validator) qualification() {
	var models []string
	for _, w := range v.p.Demand {
		models = append(models, w.Model)
	}
	for i, q := range v.p.Qualification {
		field := fmt.Sprintf("qualification[%d]", i)
		v.unique("qualification", field+".model", q.Model)
		if !slices.Contains(models, q.Model) {
			v.d.Faultf(field+".model", "no demand is of the model %q%s", q.Model, spec.DidYouMean(q.Model, models))
		}
	}
}

func (v validator) money() {
	if v.p.Financing == nil {
		return
	}
	for i, inflow := range v.p.Financing.Inflows {
		field := fmt.Sprintf("financing.inflows[%d]", i)
		v.unique("inflows", field+".name", inflow.Name)
		if inflow.Requires != "" && !v.known(inflow.Requires) {
			v.d.Faultf(field+".requires", "unknown contract %q%s", inflow.Requires, spec.DidYouMean(inflow.Requires, v.signings()))
		}
	}
}

func (v validator) hedges() {
	for i, h := range v.p.Hedges {
		if h.AtMost == nil && h.AtLeast == nil {
			v.d.Faultf(fmt.Sprintf("hedges[%d]", i), "at_most, at_least or both are needed")
		}
	}
	for i, s := range v.p.Survive {
		if s.Of != ByProvider && s.Of != ByChipmaker {
			v.d.Faultf(fmt.Sprintf("survive[%d].of", i), "found %q; valid: provider, chipmaker", s.Of)
		}
	}
}

func (v validator) scenarios() {
	sum := 0.0
	if v.p.Reveal != nil && *v.p.Reveal == (contract.Span{}) {
		v.d.Faultf("reveal", "a span such as 3mo is needed; without the field nothing depends on what is seen")
	}
	for i, s := range v.p.Scenarios {
		field := fmt.Sprintf("scenarios[%d]", i)
		v.unique("scenarios", field+".name", s.Name)
		if !(s.Probability > 0 && s.Probability <= 1) {
			v.d.Faultf(field+".probability", "a probability above 0 and at most 1 is needed")
		}
		sum += s.Probability
		if start := v.p.Horizon.From; s.Reveal != nil && start != nil && !s.Reveal.After(start.Time) {
			v.d.Faultf(field+".reveal", "%s is not after the start of the horizon, %s; what is known by then is no scenario", day(*s.Reveal), day(*start))
		}
		for j, e := range s.Effects {
			v.effect(fmt.Sprintf("%s.effects[%d]", field, j), e)
		}
	}
	if len(v.p.Scenarios) > 0 && math.Abs(sum-1) > 1e-6 {
		v.d.Faultf("scenarios", "the probabilities sum to %g; they must sum to 1", sum)
	}
}

func (v validator) effect(field string, e Effect) {
	switch e.What {
	case Delay, Block:
		if e.Factor != nil {
			v.d.Faultf(field+".factor", "a %s has a length (for), not a factor", e.What)
		}
		if e.What == Delay && e.For == nil {
			v.d.Faultf(field+".for", "how much later is needed, such as 6mo")
		}
	default:
		switch {
		case e.Factor == nil:
			v.d.Faultf(field+".factor", "a factor such as 1.5 is needed")
		case absurd(*e.Factor) || *e.Factor > largestFactor:
			v.d.Faultf(field+".factor", "found %g; a factor such as 1.5 is needed: 0 to %g", *e.Factor, float64(largestFactor))
		}
	}
	for _, name := range e.Contracts {
		if !v.known(name) {
			v.d.Faultf(field+".contracts", "unknown contract %q%s", name, spec.DidYouMean(name, v.signings()))
		}
	}
}
