package plan

import "time"

// Period is a span [From, To) of the horizon.
type Period struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Hours returns the length of the period.
func (p Period) Hours() float64 { return p.To.Sub(p.From).Hours() }

// Part returns the share of the period that lies in [from, to).
func (p Period) Part(from, to time.Time) float64 {
	if from.Before(p.From) {
		from = p.From
	}
	if to.After(p.To) {
		to = p.To
	}
	if !from.Before(to) {
		return 0
	}
	return to.Sub(from).Hours() / p.Hours()
}

// Periods cuts the horizon.
func (p *Portfolio) Periods() []Period {
	if p.Horizon.From == nil {
		return nil
	}
	at, end := p.Horizon.From.Time, p.Horizon.To.Time
	var periods []Period
	for _, stretch := range p.Horizon.Periods {
		until := end
		if stretch.For != nil {
			until = stretch.For.After(at)
		}
		for at.Before(until) && at.Before(end) && len(periods) <= maxPeriods {
			next := stretch.Every.Next(at)
			if next.After(end) {
				next = end
			}
			periods = append(periods, Period{at, next})
			at = next
		}
	}
	return periods
}

// Label names the period for people.
func (p Period) Label() string {
	switch length := p.To.Sub(p.From); {
	case length <= time.Hour:
		return p.From.Format("2006-01-02T15h")
	case length <= 24*time.Hour:
		return p.From.Format(time.DateOnly)
	}
	return p.From.Format("2006-01")
}
