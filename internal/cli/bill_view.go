package cli

import (
	"encoding/json"
	"fmt"
	"math/big"
	"sort"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// billLine is a sum of charges of one clause, category and product.
type billLine struct {
	Contract  string      `json:"contract"`
	Clause    string      `json:"clause"`
	Kind      string      `json:"kind"`
	Category  string      `json:"category"`
	Product   string      `json:"product"`
	Region    string      `json:"region,omitempty"`
	Unit      string      `json:"unit,omitempty"`
	Quantity  json.Number `json:"quantity"`
	List      json.Number `json:"list"`
	Billed    json.Number `json:"billed"`
	Effective json.Number `json:"effective"`

	From     *time.Time `json:"from,omitempty"` // of a single charge
	To       *time.Time `json:"to,omitempty"`
	Reversal bool       `json:"reversal,omitempty"`

	quantity                *big.Rat
	list, billed, effective int64
}

// openJSON is what a clause still waits for at the end of the bill.
type openJSON struct {
	Contract  string      `json:"contract"`
	Clause    string      `json:"clause"`
	Closes    time.Time   `json:"closes"`
	Committed json.Number `json:"committed"`
	Retired   json.Number `json:"retired"`
	Remaining json.Number `json:"remaining"`
}

type billJSON struct {
	From      time.Time      `json:"from"`
	To        time.Time      `json:"to"`
	Currency  units.Currency `json:"currency"`
	List      json.Number    `json:"list"`
	Billed    json.Number    `json:"billed"`
	Effective json.Number    `json:"effective"`
	Withheld  json.Number    `json:"withheld"`
	Lines     []*billLine    `json:"lines"`
	Open      []openJSON     `json:"open"`
}

// billView adds charges up as they come, or keeps each where asked to.
type billView struct {
	book     *billing.Book
	each     bool
	restated bool
	kept     string // what a kept bill had to do, for the footer
	from, to time.Time
	lines    []*billLine
	byKey    map[billKey]*billLine
	status   []billing.Status

	list, billed, effective, withheld int64
}

type billKey struct {
	contract, clause string
	category         billing.Category
	product          billing.Product
	reversal         bool
}

func newBillView(book *billing.Book, each bool) *billView {
	return &billView{book: book, each: each, byKey: map[billKey]*billLine{}}
}

func (b *billView) add(c billing.Charge) {
	if c.Category.Invoiced() {
		b.list += c.List
		b.billed += c.Billed
		b.effective += c.Effective
	} else {
		b.withheld += c.Billed
	}
	key := billKey{c.Contract, c.Clause, c.Category, c.Product, b.each && c.Reversal}
	line := b.byKey[key]
	if line == nil || b.each {
		line = &billLine{Contract: c.Contract, Clause: c.Clause, Kind: c.Kind, Category: string(c.Category), Product: productName(c.Product),
			Region: c.Product.Region, Unit: c.Product.Unit, quantity: new(big.Rat)}
		if b.each {
			line.From, line.To, line.Reversal = &c.From, &c.To, c.Reversal
		}
		b.byKey[key] = line
		b.lines = append(b.lines, line)
	}
	line.quantity.Add(line.quantity, c.Quantity.Rat())
	line.list += c.List
	line.billed += c.Billed
	line.effective += c.Effective
}

// productName is the shortest name of a product: what was used, and where an
// instance type does not say it, of which service.
func productName(p billing.Product) string {
	switch {
	case p.InstanceType != "" && p.Service != "":
		return p.Service + " " + p.InstanceType
	case p.InstanceType != "":
		return p.InstanceType
	case p.Service != "" && p.Unit != "":
		return p.Service + " " + p.Unit
	case p.Service != "":
		return p.Service
	case p.Chip != "":
		return p.Chip
	}
	return p.Unit
}

// finish drops lines that restatement emptied and orders the rest: usage at
// list first, then by contract and clause.
func (b *billView) finish() {
	kept := b.lines[:0]
	for _, line := range b.lines {
		if line.quantity.Sign() == 0 && line.list == 0 && line.billed == 0 && line.effective == 0 {
			continue
		}
		line.Quantity = json.Number(billing.QuantityOf(line.quantity).String())
		line.List, line.Billed, line.Effective = exactMicros(line.list), exactMicros(line.billed), exactMicros(line.effective)
		kept = append(kept, line)
	}
	b.lines = kept
	if b.each {
		return
	}
	sort.SliceStable(b.lines, func(i, j int) bool {
		x, y := b.lines[i], b.lines[j]
		for _, c := range []int{strings.Compare(x.Contract, y.Contract), strings.Compare(x.Clause, y.Clause),
			strings.Compare(x.Category, y.Category), strings.Compare(x.Product, y.Product), strings.Compare(x.Region, y.Region)} {
			if c != 0 {
				return c < 0
			}
		}
		return false
	})
}

func exactMicros(micros int64) json.Number { return json.Number(decimal.New(micros, -6).String()) }

func (b *billView) document() billJSON {
	doc := billJSON{From: b.from, To: b.to, Currency: b.book.Currency(), List: exactMicros(b.list), Billed: exactMicros(b.billed),
		Effective: exactMicros(b.effective), Withheld: exactMicros(b.withheld), Lines: b.lines, Open: []openJSON{}}
	if doc.Lines == nil {
		doc.Lines = []*billLine{}
	}
	for _, s := range b.open() {
		doc.Open = append(doc.Open, openJSON{s.Contract, s.Clause, s.WindowTo, exactMicros(s.Committed), exactMicros(s.Retired), exactMicros(s.Remaining)})
	}
	return doc
}

// open lists the commitments whose window is under way when the bill ends.
func (b *billView) open() []billing.Status {
	var open []billing.Status
	for _, s := range b.status {
		settles := s.Kind == "commitment" || s.Kind == "enterprise_agreement" || s.Kind == "macc" || s.Kind == "monthly_minimum" || s.Kind == "take_or_pay"
		if settles && s.WindowTo.After(b.to) && s.WindowFrom.Before(b.to) {
			open = append(open, s)
		}
	}
	return open
}

func (b *billView) listing() listing {
	b.finish()
	l := listing{document: b.document(), columns: []column{
		{"CONTRACT", "contract", false}, {"CLAUSE", "clause", false}, {"CHARGE", "category", false}, {"PRODUCT", "product", false},
		{"QUANTITY", "quantity", true}, {"LIST", "list", true}, {"BILLED", "billed", true}, {"EFFECTIVE", "effective", true},
	}}
	if b.each {
		l.columns = append([]column{{"FROM", "from", false}}, l.columns...)
	}
	for _, line := range b.lines {
		name, clause, category := line.Contract, line.Clause, line.Category
		if name == "" {
			name, clause = "list", "-"
		}
		if line.Reversal {
			category = "−" + category
		}
		quantity := string(line.Quantity)
		if quantity == "0" {
			quantity = ""
		}
		cells := []string{name, clause, category, line.Product, quantity, blankZero(line.list), centsOf(line.billed), centsOf(line.effective)}
		exact := []string{line.Contract, line.Clause, category, line.Product, string(line.Quantity), string(line.List), string(line.Billed), string(line.Effective)}
		if b.each {
			at := line.From.Format("2006-01-02T15:04Z")
			cells, exact = append([]string{at}, cells...), append([]string{at}, exact...)
		}
		l.cells, l.exact = append(l.cells, cells), append(l.exact, exact)
	}
	l.after = b.footer()
	return l
}

func blankZero(micros int64) string {
	if micros == 0 {
		return ""
	}
	return centsOf(micros)
}

func (b *billView) footer() string {
	var out strings.Builder
	fmt.Fprintf(&out, "\n%s to %s · list %s · billed %s · effective %s %s\n", stampHour(b.from), stampHour(b.to),
		centsOf(b.list), centsOf(b.billed), centsOf(b.effective), b.book.Currency())
	if b.withheld != 0 {
		fmt.Fprintf(&out, "withheld: tranches of %s that the investor does not pay (on no invoice)\n", centsOf(b.withheld))
	}
	for _, s := range b.open() {
		fmt.Fprintf(&out, "open: %s/%s has %s of %s to go until %s (--to %s settles it)\n", s.Contract, s.Clause,
			centsOf(s.Remaining), centsOf(s.Committed), stampHour(s.WindowTo), s.WindowTo.Format(time.RFC3339))
	}
	if b.kept != "" {
		fmt.Fprintln(&out, b.kept)
	}
	return out.String()
}

func stampHour(at time.Time) string {
	if at.Equal(at.Truncate(24 * time.Hour)) {
		return at.Format(time.DateOnly)
	}
	return at.Format("2006-01-02T15:04Z")
}
