package planner

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// Worth is what a contract, covenant or tranche is worth: the cost of the best
// plan without it, less that with it. A covenant is judged with the money that
// hangs on it.
type Worth struct {
	What        string      `json:"what"`
	Kind        string      `json:"kind"` // contract, covenant, tranche
	Signed      bool        `json:"signed"`
	Value       *Difference `json:"value,omitempty"` // nil where one of the two plans does not exist
	Alone       *Difference `json:"costs_alone,omitempty"`
	With        []string    `json:"with,omitempty"` // what hangs on the covenant
	Verdict     string      `json:"verdict"`        // accept, refuse, indifferent, or too close to call
	Indifferent string      `json:"indifferent_at,omitempty"`
}

// Verdicts.
const (
	accept     = "accept"
	refuse     = "refuse"
	either     = "indifferent"
	tooClose   = "too close to call"
	impossible = "refuse: no plan can keep it"
	needed     = "accept: there is no plan without it"
)

// worths values every contract that could be signed, every covenant and every
// tranche, by the best plans with and without it.
func (l *levers) worths(ctx context.Context) ([]Worth, error) {
	var all []Worth
	for _, d := range (&model{Problem: l.p}).uniqueDeals() {
		with, found, err := l.contract(ctx, d)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
		if with == nil {
			continue
		}
		parts, err := l.parts(ctx, d, with)
		if err != nil {
			return nil, err
		}
		all = append(all, parts...)
	}
	return all, nil
}

// contract values a contract and returns the best plan that has it.
func (l *levers) contract(ctx context.Context, d deal) (*answer, []Worth, error) {
	if d.fixed {
		return l.best, nil, nil
	}
	signed := l.signed(d.Contract)
	words := map[bool]string{true: "without ", false: "with "}[signed] + d.Contract
	other, err := l.maybe(ctx, words, question{sign: map[string]bool{d.Contract: !signed}})
	if err != nil {
		return nil, nil, err
	}
	w := Worth{What: d.Contract, Kind: "contract", Signed: signed}
	with, without := l.best, other
	if !signed {
		with, without = other, l.best
	}
	w.judge(with, without)
	if w.Value != nil {
		w.Indifferent = fmt.Sprintf("at a price of %s once, now", money(w.Value.Value))
		if w.Value.Value < 0 {
			w.Indifferent = fmt.Sprintf("if signing it brought %s more, once, now", money(-w.Value.Value))
		}
	}
	return with, []Worth{w}, nil
}

func (l *levers) signed(name string) bool {
	for i, d := range l.p.deals {
		if d.Contract == name && l.signs(i) {
			return true
		}
	}
	return false
}

// signs reports whether the best plan signs a deal, in some future.
func (l *levers) signs(deal int) bool {
	return slices.ContainsFunc(l.best.recourse, func(r *recourse) bool { return l.best.Values[r.sign[deal][0].Var] > 0.5 })
}

// parts values the covenants of a contract, and the money that hangs on it,
// against the best plan that has it.
func (l *levers) parts(ctx context.Context, d deal, with *answer) ([]Worth, error) {
	var all []Worth
	inflows := l.inflowsOf(d.Contract)
	signed := d.fixed || l.signed(d.Contract)
	hold := question{}
	if !signed {
		hold.sign = map[string]bool{d.Contract: true}
	}
	for _, label := range l.covenantsOf(d.Contract) {
		w, err := l.covenant(ctx, label, inflows, hold, with)
		if err != nil {
			return nil, err
		}
		w.Signed = signed
		all = append(all, *w)
	}
	for _, name := range inflows {
		q := hold
		q.without = map[string]bool{name: true}
		without, err := l.maybe(ctx, "without "+name, q)
		if err != nil {
			return nil, err
		}
		w := Worth{What: name, Kind: "tranche", Signed: signed}
		if w.judge(with, without); w.Value != nil {
			w.Indifferent = fmt.Sprintf("at a price of %s once, now", money(math.Max(w.Value.Value, 0)))
		}
		all = append(all, w)
	}
	return all, nil
}

// covenant values a covenant with what hangs on it, and says what it costs alone.
func (l *levers) covenant(ctx context.Context, label string, inflows []string, hold question, with *answer) (*Worth, error) {
	w := &Worth{What: label, Kind: "covenant", With: inflows}
	q := hold
	q.without = map[string]bool{label: true}
	alone, err := l.maybe(ctx, "without "+label, q)
	if err != nil {
		return nil, err
	}
	neither := alone
	if len(inflows) > 0 {
		q = question{without: map[string]bool{label: true}} // the contract too may be left then
		for _, name := range inflows {
			q.without[name] = true
		}
		if neither, err = l.maybe(ctx, "without "+label+" and what hangs on it", q); err != nil {
			return nil, err
		}
	}
	w.judge(with, neither)
	if alone == nil || neither == nil {
		return w, nil
	}
	cost := more(with, alone)
	cost.Value = math.Max(cost.Value, 0)
	w.Alone = &cost
	switch brings := more(neither, alone).Value; {
	case len(inflows) == 0:
		w.Indifferent = fmt.Sprintf("if it brought %s, once, now", money(cost.Value))
	case brings > 0:
		w.Indifferent = fmt.Sprintf("at %s of what hangs on it (%s)", percent(cost.Value/brings), money(brings))
	}
	return w, nil
}

func (l *levers) covenantsOf(name string) []string {
	var labels []string
	for i, d := range l.p.deals {
		if d.Contract != name || l.p.futures[0].terms[i] == nil {
			continue
		}
		for _, k := range l.p.futures[0].terms[i].covenants {
			if !slices.Contains(labels, k.label) {
				labels = append(labels, k.label)
			}
		}
		break
	}
	return labels
}

// inflowsOf lists the money within the horizon that hangs on a contract.
func (l *levers) inflowsOf(name string) []string {
	var names []string
	if l.p.Portfolio.Financing == nil {
		return nil
	}
	for _, inflow := range l.p.Portfolio.Financing.Inflows {
		if inflow.Requires == name && l.p.periodAt(inflow.At.Time) >= 0 {
			names = append(names, inflow.Name)
		}
	}
	return names
}

// countWorths is how many questions worths asks.
func (l *levers) countWorths() int {
	n := 0
	for _, d := range (&model{Problem: l.p}).uniqueDeals() {
		inflows := len(l.inflowsOf(d.Contract))
		perCovenant := 1 + min(inflows, 1)
		n += perCovenant*len(l.covenantsOf(d.Contract)) + inflows
		if !d.fixed {
			n++
		}
	}
	return n
}

// judge says what to do, as far as the gaps of the two plans allow.
func (w *Worth) judge(with, without *answer) {
	switch {
	case with == nil:
		w.Verdict = impossible
		return
	case without == nil:
		w.Verdict = needed
		return
	}
	value := more(without, with)
	w.Value = &value
	tiny := 1e-6 * math.Abs(with.Objective*with.scale)
	switch {
	case value.Low >= -tiny && value.High <= tiny:
		w.Verdict = either
	case value.Low > tiny:
		w.Verdict = accept
	case value.High < -tiny:
		w.Verdict = refuse
	default:
		w.Verdict = tooClose
	}
}
