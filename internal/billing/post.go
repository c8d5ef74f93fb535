package billing

import (
	"cmp"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// lineOfUse is what an entry of the ledger is billed as: node-hours at the rate
// of their placement for a list price. A part of a node is a node of that
// part's price.
func lineOfUse(e ledger.Entry) Line {
	return Line{
		Subject: contract.Subject{
			Provider: e.Provider, Region: e.Region, InstanceType: e.InstanceType, Chip: e.Chip, Chipmaker: e.Chipmaker,
			Option: e.Option, Project: e.Project, Unit: "hour",
		},
		ListRate: e.Rate.Decimal(), Currency: e.Rate.Currency, Chips: e.Chips / max(e.Nodes, 1),
	}
}

// quantityOfUse is the exact node-hours of an entry, negative for a reversal.
func quantityOfUse(e ledger.Entry) num {
	n := lowest(int64(e.To.Sub(e.From)), int64(time.Hour)).mul(whole(int64(e.Nodes)))
	if e.Reverses != 0 {
		return n.neg()
	}
	return n
}

// Take records an entry of use of the ledger, or takes one back. An entry lies
// within one hour.
func (b *Book) Take(e ledger.Entry) error {
	hour := floorHour(e.From.Unix())
	if !e.To.After(e.From) || e.To.After(unixTime(hour+hourSeconds)) {
		return fault.Newf(fault.Invalid, "entry %d of the ledger spans %s to %s, which is not a part of one hour", e.ID, e.From.Format(time.RFC3339), e.To.Format(time.RFC3339))
	}
	line, err := b.Line(lineOfUse(e))
	if err != nil {
		return err
	}
	quantity := quantityOfUse(e)
	if quantity.mul(b.cells[b.lineCells[line]].list).cmp(whole(largestRow)) > 0 {
		return fault.Newf(fault.Invalid, "entry %d of the ledger is too large to bill", e.ID)
	}
	return b.place(line, e.From.Unix(), ceilSecond(e.To), quantity)
}

func ceilSecond(at time.Time) int64 {
	if at.Nanosecond() > 0 {
		return at.Unix() + 1
	}
	return at.Unix()
}

// Post returns the charges that hold in an hour as entries of the ledger,
// divided among the entries of use that they are about, in proportion to their
// quantity and by largest remainder: the parts sum to the charge. Keys say what
// each is about, once in an hour.
func (b *Book) Post(at time.Time, use []ledger.Entry) []ledger.Entry {
	hour := floorHour(at.Unix())
	state := b.hourAt(hour)
	if state == nil || hour < b.from || hour >= b.to {
		return nil
	}
	sums := map[sumKey]*entry{}
	var order []*entry
	for _, e := range slices.Concat(state.result.entries, state.gathered) {
		key := sumKey{e.by, e.cell, e.category}
		if sum := sums[key]; sum != nil {
			sum.quantity = sum.quantity.add(e.quantity)
			sum.list, sum.billed, sum.effective = sum.list+e.list, sum.billed+e.billed, sum.effective+e.effective
			continue
		}
		sums[key] = &e
		order = append(order, &e)
	}
	on := b.usersOf(use)
	var posts []ledger.Entry
	for _, e := range order {
		posts = append(posts, b.postOf(*e, hour, on[e.cell])...)
	}
	return merged(posts)
}

// user is an attempt's use of a cell in an hour.
type user struct {
	entry    ledger.Entry // the first, for its names
	quantity num
}

// usersOf adds up the use of each cell by attempt, in the order of booking.
func (b *Book) usersOf(use []ledger.Entry) map[int32][]user {
	type who struct {
		cell int32
		key  string
	}
	users := map[who]*user{}
	var order []who
	for _, e := range use {
		line, known := b.lines[lineOfUse(e)]
		if !known {
			continue
		}
		parts, err := b.segments(line, e.From.Unix(), ceilSecond(e.To), quantityOfUse(e))
		if err != nil {
			continue // Take refused it before
		}
		for _, p := range parts {
			w := who{int32(b.lineCells[p.line]), fleet.AttemptKey(e.Run, e.Attempt)}
			if users[w] == nil {
				users[w] = &user{entry: e}
				order = append(order, w)
			}
			users[w].quantity = users[w].quantity.add(p.quantity)
		}
	}
	on := map[int32][]user{}
	for _, w := range order {
		if u := users[w]; u.quantity.sign() > 0 {
			on[w.cell] = append(on[w.cell], *u)
		}
	}
	return on
}

func (b *Book) postOf(e entry, hour int64, on []user) []ledger.Entry {
	if e.cell < 0 || len(on) == 0 {
		return []ledger.Entry{b.post(e, hour, ledger.Entry{})}
	}
	weights := make([]num, len(on))
	var sum num
	for i, u := range on {
		weights[i] = u.quantity
		sum = sum.add(u.quantity)
	}
	list, billed, effective := share(e.list, weights), share(e.billed, weights), share(e.effective, weights)
	var posts []ledger.Entry
	for i, u := range on {
		part := e
		part.quantity, part.list, part.billed, part.effective = e.quantity.mul(weights[i]).div(sum), list[i], billed[i], effective[i]
		posts = append(posts, b.post(part, hour, u.entry))
	}
	return posts
}

// post writes one charge about one attempt's use, or about none.
func (b *Book) post(e entry, hour int64, about ledger.Entry) ledger.Entry {
	c := b.chargeOf(e, hour)
	p := c.Product
	out := ledger.Entry{
		Category: CategoryIn(c.Category), Run: about.Run, Attempt: about.Attempt, Project: about.Project, Pool: about.Pool,
		Provider: p.Provider, Region: p.Region, InstanceType: p.InstanceType, Option: p.Option, Chipmaker: p.Chipmaker, Chip: p.Chip,
		From: c.From, To: c.To, Chips: p.Chips, Rate: units.RateOfRat(new(big.Rat), b.currency),
		Cost:     units.Amount{Micros: c.Billed, Currency: b.currency},
		Contract: c.Contract, Clause: c.Clause, ClauseKind: c.Kind, Charge: string(c.Category),
		Quantity: c.Quantity.rat().RatString(), List: c.List, Effective: c.Effective,
	}
	if e.cell >= 0 {
		out.Rate = units.RateOfRat(b.cells[e.cell].list.rat(), b.currency)
	}
	subject := ""
	if about.Run != "" {
		subject = fleet.AttemptKey(about.Run, about.Attempt)
	}
	out.Key = strings.Join([]string{
		"bill", string(b.currency), c.From.Format("2006-01-02T15Z"), c.Contract, c.Clause, string(c.Category), subject,
		p.Provider, p.Service, p.InstanceType, p.Region, p.Zone, p.Platform, p.Option, p.ListRate, strconv.Itoa(p.Chips),
	}, "|")
	return out
}

// merged adds up entries of one key, drops those of nothing, and puts the rest
// in the order of their keys.
func merged(posts []ledger.Entry) []ledger.Entry {
	slices.SortStableFunc(posts, func(a, b ledger.Entry) int { return cmp.Compare(a.Key, b.Key) })
	var out []ledger.Entry
	for _, e := range posts {
		if n := len(out); n > 0 && out[n-1].Key == e.Key {
			last := &out[n-1]
			last.Quantity = rational(last.Quantity).add(rational(e.Quantity)).rat().RatString()
			last.Cost.Micros, last.List, last.Effective = last.Cost.Micros+e.Cost.Micros, last.List+e.List, last.Effective+e.Effective
			continue
		}
		out = append(out, e)
	}
	return slices.DeleteFunc(out, func(e ledger.Entry) bool {
		return e.Quantity == "0" && e.Cost.Micros == 0 && e.List == 0 && e.Effective == 0
	})
}

// CategoryIn returns the category of the ledger that a charge is booked in.
func CategoryIn(c Category) ledger.Category {
	switch c {
	case Used:
		return ledger.Charged
	case Covered:
		return ledger.Amortisation
	case Unused:
		return ledger.Unused
	case Fee, Prepaid:
		return ledger.Purchase
	case Reduction, Drawdown, MakeUp:
		return ledger.Credit
	case Withheld:
		return ledger.Withheld
	}
	return ledger.Adjustment
}

// ChargeOf reads a charge back from its entry, with the use that it is about.
func ChargeOf(e ledger.Entry) (Charge, Line) {
	c := Charge{
		From: e.From, To: e.To, Contract: e.Contract, Clause: e.Clause, Kind: e.ClauseKind, Category: Category(e.Charge),
		Product: Product{
			Provider: e.Provider, Region: e.Region, InstanceType: e.InstanceType, Chip: e.Chip, Chipmaker: e.Chipmaker,
			Option: e.Option, Chips: e.Chips,
		},
		Quantity: Quantity{rational(e.Quantity)}, List: e.List, Billed: e.Cost.Micros, Effective: e.Effective, Reversal: e.Reverses != 0,
	}
	if e.List != 0 || !e.Rate.IsZero() {
		c.Product.ListRate = e.Rate.Decimal()
	}
	line := Line{Subject: contract.Subject{Provider: e.Provider, Project: e.Project}}
	if e.Run != "" {
		line.Resource = fleet.AttemptKey(e.Run, e.Attempt)
	}
	return c, line
}

// rational reads an exact number as a ledger entry holds it; what is none is 0.
func rational(text string) num {
	if r, ok := new(big.Rat).SetString(text); ok {
		return numOf(r)
	}
	return num{}
}
