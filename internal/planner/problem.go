package planner

import (
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// Problem is a portfolio made ready for deciding: offers with their chips,
// work with its throughput, contracts with their possible starts, futures.
type Problem struct {
	Portfolio *plan.Portfolio
	Periods   []plan.Period
	Notes     []string // what of the portfolio the model leaves out

	works   []work
	offers  []offer
	lines   []line
	groups  []group
	deals   []deal
	futures []future
	start   time.Time
	end     time.Time
}

// work is a class of demand.
type work struct {
	*plan.Demand
	eta map[string]float64 // units of work per chip-hour, by chip
}

// offer is nodes at a price, with what is known of their chip.
type offer struct {
	plan.Offer
	family   string
	purchase int // index of the purchase that it comes from; −1 for none
	deal     string
}

// line is an offer as one kind of work uses it: what billing calls a line.
type line struct {
	offer, group int
	class        string // "" where no contract tells classes apart
}

// group is lines that do the same work alike: same chip, provider and region.
// Work is placed on groups, nodes are taken from lines.
type group struct {
	chip, family, provider, region, class string
	lines                                 []int
}

// deal is a contract with one possible start.
type deal struct {
	*plan.Signing
	terms *contract.Contract
	start time.Time
	fixed bool
	label string
}

// Compile prepares a portfolio. Offers of the catalog are taken where the
// portfolio selects them.
func Compile(p *plan.Portfolio, offers *catalog.Catalog, throughput Throughput) (*Problem, error) {
	problem := &Problem{Portfolio: p, Periods: p.Periods(), start: p.Horizon.From.Time, end: p.Horizon.To.Time}
	if err := problem.addOffers(offers); err != nil {
		return nil, err
	}
	if err := problem.addWork(throughput); err != nil {
		return nil, err
	}
	problem.addDeals()
	problem.addLines()
	problem.addFutures()
	return problem, nil
}

// Throughput asks the estimator for the units of work per chip-hour of a
// demand on a chip; 0 where it cannot run there.
type Throughput func(e plan.Estimate, chipID string) (float64, error)

func (p *Problem) addOffers(all *catalog.Catalog) error {
	for _, o := range p.Portfolio.Offers {
		if err := p.addOffer(o, -1); err != nil {
			return err
		}
	}
	for i, o := range p.Portfolio.Purchases {
		if err := p.addOffer(o.Offer, i); err != nil {
			return err
		}
	}
	for _, selection := range p.Portfolio.Catalog {
		if all == nil {
			return fault.New(fault.Invalid, "the portfolio takes offers from the catalog, and none is given")
		}
		for _, o := range all.Offers {
			if !selects(selection, o) {
				continue
			}
			if err := p.addOffer(fromCatalog(selection, o), -1); err != nil {
				return err
			}
		}
	}
	if len(p.offers) == 0 {
		return fault.New(fault.Invalid, "no offer of the catalog matches the portfolio's selection")
	}
	return nil
}

func selects(s plan.Selection, o catalog.Offer) bool {
	return matches(s.Provider, o.Type.Provider) && matches(s.InstanceType, o.Type.Name) && matches(s.Region, o.Region) &&
		matches(s.Option, string(o.Option)) && o.Type.Chip != nil && matches(s.Chip, o.Type.Chip.ID)
}

func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(name))
	return err == nil && ok
}

func fromCatalog(s plan.Selection, o catalog.Offer) plan.Offer {
	var price contract.Number
	_ = price.UnmarshalText([]byte(o.Price.Decimal())) // a rate always reads back
	return plan.Offer{
		Name: strings.Join([]string{o.Type.Provider, o.Region, o.Type.Name, string(o.Option)}, " "), Provider: o.Type.Provider, Region: o.Region,
		InstanceType: o.Type.Name, Option: string(o.Option), Chip: o.Type.Chip.ID, Chips: o.Type.Chips, Price: price, Capacity: s.Capacity,
		Yearly: s.Yearly, Source: o.Source,
	}
}

func (p *Problem) addOffer(o plan.Offer, purchase int) error {
	added := offer{Offer: o, family: o.Family, purchase: purchase, deal: o.Contract}
	if known, err := chip.Find(o.Chip); err == nil {
		added.Chip = known.ID
		if added.Chipmaker == "" {
			added.Chipmaker = string(known.Maker)
		}
		if added.family == "" {
			added.family = string(known.Family)
		}
	} else if o.Chipmaker == "" || o.Family == "" {
		return fault.Newf(fault.Invalid, "offer %s: %s; or give its chipmaker and family", o.Name, err)
	}
	p.offers = append(p.offers, added)
	return nil
}

// addWork finds the throughput of each class on each chip.
func (p *Problem) addWork(throughput Throughput) error {
	for i := range p.Portfolio.Demand {
		w := work{Demand: &p.Portfolio.Demand[i], eta: map[string]float64{}}
		for name, eta := range w.Throughput {
			if known, err := chip.Find(name); err == nil {
				name = known.ID
			}
			w.eta[name] = eta
		}
		if w.Estimate != nil {
			if err := p.estimateWork(&w, throughput); err != nil {
				return err
			}
		}
		if w.History != nil {
			if err := p.takeHistory(&w); err != nil {
				return err
			}
		}
		p.works = append(p.works, w)
	}
	return nil
}

func (p *Problem) estimateWork(w *work, throughput Throughput) error {
	if throughput == nil {
		return fault.Newf(fault.Invalid, "demand %s: no estimator at hand; give its throughput", w.Name)
	}
	for _, o := range p.offers {
		if _, known := w.eta[o.Chip]; known {
			continue
		}
		tokens, err := throughput(*w.Estimate, o.Chip)
		if err != nil {
			return fault.Newf(fault.KindOf(err), "demand %s on %s: %s", w.Name, o.Chip, err)
		}
		w.eta[o.Chip] = tokens / max(w.Estimate.Tokens, 1)
	}
	return nil
}

// addDeals lists every contract with each of its possible starts. A right of
// first refusal of a contract in force holds back others' offers.
func (p *Problem) addDeals() {
	for i := range p.Portfolio.Contracts {
		s := &p.Portfolio.Contracts[i]
		terms := p.Portfolio.TermsOf(s.Contract)
		starts := []time.Time{terms.Term.From.Time}
		for _, at := range s.Starts {
			starts = append(starts, at.Time)
		}
		for _, at := range starts {
			d := deal{Signing: s, terms: terms, start: at, fixed: s.Status == plan.Signed, label: s.Contract}
			if !d.fixed {
				if at.Before(p.Portfolio.AsOf.Time) {
					at = p.Portfolio.AsOf.Time // the past cannot be signed
				}
				d.start = p.refused(terms, at)
			}
			if len(p.deals) > 0 && p.deals[len(p.deals)-1].Contract == d.Contract && p.deals[len(p.deals)-1].start.Equal(d.start) {
				continue
			}
			if len(starts) > 1 {
				d.label += " from " + d.start.Format(time.DateOnly)
			}
			p.deals = append(p.deals, d)
		}
	}
}

// refused returns when a third party's contract may start at the earliest.
func (p *Problem) refused(c *contract.Contract, at time.Time) time.Time {
	for _, s := range p.Portfolio.Contracts {
		if s.Status != plan.Signed {
			continue
		}
		holder := p.Portfolio.TermsOf(s.Contract)
		for i := range holder.Clauses {
			right := holder.Clauses[i].RightOfFirstRefusal
			if right == nil || strings.EqualFold(right.Holder, c.Counterparty) || !holder.Ends(&holder.Clauses[i]).After(p.Portfolio.AsOf.Time) {
				continue
			}
			offered := p.Portfolio.AsOf.Time
			if c.Offered != nil {
				offered = c.Offered.Time
			}
			if first := right.Window.After(offered); first.After(at) {
				at = first
			}
		}
	}
	return at
}

// addLines makes a line of every offer that some work can use, one for each
// class where a contract tells classes apart, and groups those that are alike.
func (p *Problem) addLines() {
	classes, regions := p.toldApart()
	for i, o := range p.offers {
		for _, class := range classes {
			if !p.usable(o, class) {
				continue
			}
			key := groupKey{o.Chip, o.family, o.Provider, "", class}
			if regions {
				key.region = o.Region
			}
			at := slices.IndexFunc(p.groups, func(g group) bool { return g.key() == key })
			if at < 0 {
				at = len(p.groups)
				p.groups = append(p.groups, group{chip: key.chip, family: key.family, provider: key.provider, region: key.region, class: class})
			}
			p.groups[at].lines = append(p.groups[at].lines, len(p.lines))
			p.lines = append(p.lines, line{offer: i, group: at, class: class})
		}
	}
}

type groupKey struct{ chip, family, provider, region, class string }

func (g group) key() groupKey { return groupKey{g.chip, g.family, g.provider, g.region, g.class} }

// toldApart returns the classes that contracts tell apart ("" for all alike),
// and whether any demand is bound to regions.
func (p *Problem) toldApart() (classes []string, regions bool) {
	apart := false
	for _, d := range p.deals {
		for i := range d.terms.Clauses {
			clause := &d.terms.Clauses[i]
			scope := d.terms.ScopeOf(clause)
			apart = apart || scope.Limits("classes") || clause.Exclusivity != nil
		}
	}
	for _, w := range p.works {
		regions = regions || len(w.Regions) > 0
	}
	if !apart {
		return []string{""}, regions
	}
	for _, w := range p.works {
		if !slices.Contains(classes, string(w.Class)) {
			classes = append(classes, string(w.Class))
		}
	}
	return classes, regions
}

func (p *Problem) usable(o offer, class string) bool {
	return slices.ContainsFunc(p.works, func(w work) bool { return (class == "" || class == string(w.Class)) && w.eta[o.Chip] > 0 })
}

// runs reports whether the work may be placed on the group.
func (w work) runs(g group) bool {
	return (g.class == "" || g.class == string(w.Class)) && w.eta[g.chip] > 0 &&
		among(w.Providers, g.provider) && among(w.Chips, g.chip) && (len(w.Regions) == 0 || among(w.Regions, g.region))
}

func among(names []string, name string) bool {
	return len(names) == 0 || slices.ContainsFunc(names, func(one string) bool { return matches(one, name) })
}

// subject is the line as scopes of contracts judge it.
func (p *Problem) subject(l line) contract.Subject {
	o := p.offers[l.offer]
	return contract.Subject{
		Provider: o.Provider, Region: o.Region, InstanceType: o.InstanceType, Chip: o.Chip, Chipmaker: o.Chipmaker, Option: o.Option, Class: l.class,
	}
}

// qualified returns the families in which a model is validated, nil for all,
// and the options to port it.
func (p *Problem) qualified(model string) (families []string, porting []plan.Porting) {
	for _, q := range p.Portfolio.Qualification {
		if q.Model == model {
			return q.Families, q.Porting
		}
	}
	return nil, nil
}

// most is no limit on nodes, for offers that have none.
var most = math.Inf(1)
