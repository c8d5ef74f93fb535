package planner

import (
	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// power is the megawatts of a site in a period.
func power(s plan.Site, t plan.Period) float64 {
	if len(s.Ramp) > 0 {
		return meanOf(s.Ramp, t)
	}
	return s.Megawatts
}

const kilowattsPerMegawatt = 1000

// sites bounds the power that nodes of all offers at a site draw together.
func (r *recourse) sites() {
	for _, s := range r.m.Portfolio.Sites {
		for t, period := range r.m.Periods {
			var terms []lp.Term
			for l := range r.m.lines {
				if o := r.m.offers[r.m.lines[l].offer]; o.Site == s.Name {
					for _, c := range r.byLine[l][t] {
						terms = append(terms, lp.Term{Var: r.columns[c].v, Coefficient: o.Kilowatts / kilowattsPerMegawatt})
					}
				}
			}
			if len(terms) > 0 {
				r.m.row(r.info(rowSite, s.Name, t, "power of site "+s.Name), -inf, power(s, period), terms...)
			}
		}
	}
}

// sites checks the power that a period draws at each site.
func (c *checker) sites() {
	period := &c.result.Periods[c.period]
	for _, s := range c.Portfolio.Sites {
		drawn := 0.0
		for _, n := range period.Nodes {
			if o := c.offerNamed(n.Offer); o >= 0 && c.offers[o].Site == s.Name {
				drawn += float64(n.NodeHours) / period.Hours() * c.offers[o].Kilowatts / kilowattsPerMegawatt
			}
		}
		if limit := power(s, period.Period); above(drawn, limit) {
			c.fail("site", s.Name, "site %s has %.1f MW and the plan draws %.1f", s.Name, limit, drawn)
		}
	}
}
