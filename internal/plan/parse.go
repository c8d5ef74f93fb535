package plan

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Choice picks the day of the decision and one of the reported values of each
// figure that has several.
type Choice struct {
	AsOf    *time.Time     // nil: the file's own
	Figures map[string]int // position among those known by then; the first where absent
	Used    map[string]Used
}

var reference = regexp.MustCompile(`\$\{([A-Za-z0-9_-]+)\}`)

// Parse reads a portfolio file with the contracts in it. Everything wrong is
// returned at once as spec.Faults.
func Parse(file string, data []byte, choice Choice) (*Portfolio, error) {
	text, faults := substitute(file, data, choice)
	documents, err := spec.Parse(file, text)
	if err != nil {
		return nil, err
	}
	var portfolio *Portfolio
	var own *spec.Document
	var terms []*contract.Contract
	for _, document := range documents {
		switch kind := document.Kind(); {
		case kind == Kind && portfolio != nil:
			document.Faultf("kind", "a second portfolio; a file has one")
		case kind == Kind:
			portfolio, own = &Portfolio{}, document
			document.Decode(portfolio)
		case kind == contract.Kind:
			terms = append(terms, contract.Decode(document))
		default:
			document.Faultf("kind", "found %q; valid here: %s, %s", kind, Kind, contract.Kind)
		}
	}
	if portfolio == nil {
		faults = append(faults, spec.Fault{File: file, Line: 1, Column: 1, Message: "no document of kind: " + Kind})
	} else {
		portfolio.Terms, portfolio.Used = terms, choice.Used
		portfolio.complete(choice)
		validate(own, portfolio)
	}
	for _, document := range documents {
		if found, ok := document.Faults().(spec.Faults); ok {
			faults = append(faults, found...)
		}
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	portfolio.forget()
	return portfolio, nil
}

// ReportedFigures returns the reported values of each figure that were known
// by the day of the decision, without reading the rest of the file.
func ReportedFigures(data []byte, asOf *time.Time) map[string][]Reported {
	var file struct {
		AsOf    string                         `yaml:"as_of"`
		Figures map[string][]map[string]string `yaml:"figures"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for len(file.Figures) == 0 && decoder.Decode(&file) == nil { // what is wrong here, Parse reports
	}
	if at, err := contract.ParseInstant(file.AsOf); asOf == nil && err == nil {
		asOf = &at
	}
	figures := map[string][]Reported{}
	for name, values := range file.Figures {
		for _, value := range values {
			known, err := contract.ParseInstant(value["known"])
			if err == nil && asOf != nil && known.After(*asOf) {
				continue
			}
			if lapsed, err := contract.ParseInstant(value["lapsed"]); err == nil && asOf != nil && !lapsed.After(*asOf) {
				continue
			}
			figures[name] = append(figures[name], Reported{Value: value["value"], Source: value["source"], Means: value["means"]})
		}
	}
	return figures
}

// substitute writes the chosen value of each figure where the text refers to
// it. Lines stay as they are, so that faults keep their positions.
func substitute(file string, data []byte, choice Choice) ([]byte, spec.Faults) {
	figures := ReportedFigures(data, choice.AsOf)
	var names []string
	for name := range figures {
		names = append(names, name)
	}
	sort.Strings(names)
	var faults spec.Faults
	text := reference.ReplaceAllFunc(data, func(match []byte) []byte {
		name := string(reference.FindSubmatch(match)[1])
		values := figures[name]
		if len(values) == 0 {
			faults = append(faults, spec.Fault{File: file, Message: fmt.Sprintf("%s: no figure of this name that was known%s", match, spec.DidYouMean(name, names))})
			return []byte("0")
		}
		return []byte(values[min(choice.Figures[name], len(values)-1)].Value)
	})
	return text, faults
}

// complete fills what the file leaves to its defaults.
func (p *Portfolio) complete(choice Choice) {
	if p.Currency == "" {
		p.Currency = units.USD
	}
	if choice.AsOf != nil {
		p.AsOf = &contract.Instant{Time: *choice.AsOf}
	}
	if p.Horizon.From == nil && p.AsOf != nil {
		at := p.AsOf.Time
		p.Horizon.From = &contract.Instant{Time: time.Date(at.Year(), at.Month()+1, 1, 0, 0, 0, 0, time.UTC)}
	}
	if p.AsOf == nil {
		p.AsOf = p.Horizon.From
	}
	if len(p.Horizon.Periods) == 0 {
		p.Horizon.Periods = []Stretch{{Every: Monthly}}
	}
	if p.Risk.Tail == 0 {
		p.Risk.Tail = 0.9
	}
	for i := range p.Offers {
		p.Offers[i].complete("on-demand")
	}
	for i := range p.Purchases {
		p.Purchases[i].complete("purchase")
	}
	for i := range p.Demand {
		if p.Demand[i].Model == "" {
			p.Demand[i].Model = p.Demand[i].Name
		}
		if p.Demand[i].Every == "" {
			p.Demand[i].Every = Quarterly
		}
	}
}

func (o *Offer) complete(option string) {
	if o.InstanceType == "" {
		o.InstanceType = o.Name
	}
	if o.Option == "" {
		o.Option = option
	}
	if o.Chips == 0 {
		o.Chips = 1
	}
}

// forget drops what became known only after the day of the decision.
func (p *Portfolio) forget() {
	later := func(known *contract.Instant) bool { return known != nil && p.AsOf != nil && known.After(p.AsOf.Time) }
	gone := map[string]bool{}
	for _, s := range p.Contracts {
		lapsed := s.Status == Offered && s.Lapsed != nil && p.AsOf != nil && !s.Lapsed.After(p.AsOf.Time)
		gone[s.Contract] = later(s.Known) || lapsed
	}
	p.Contracts = slices.DeleteFunc(p.Contracts, func(s Signing) bool { return gone[s.Contract] })
	p.Terms = slices.DeleteFunc(p.Terms, func(c *contract.Contract) bool { return gone[c.Name] })
	p.Demand = slices.DeleteFunc(p.Demand, func(d Demand) bool { return later(d.Known) })
	p.Offers = slices.DeleteFunc(p.Offers, func(o Offer) bool { return later(o.Known) || gone[o.Contract] })
	p.Scenarios = slices.DeleteFunc(p.Scenarios, func(s Scenario) bool { return later(s.Known) })
	for i := range p.Contracts {
		left := func(name string) bool { return gone[name] }
		p.Contracts[i].Requires = slices.DeleteFunc(p.Contracts[i].Requires, left)
		p.Contracts[i].Excludes = slices.DeleteFunc(p.Contracts[i].Excludes, left)
	}
	if p.Financing != nil {
		p.Financing.Inflows = slices.DeleteFunc(p.Financing.Inflows, func(i Inflow) bool { return later(i.Known) || gone[i.Requires] })
	}
	total := 0.0
	for _, s := range p.Scenarios {
		total += s.Probability
	}
	for i := range p.Scenarios {
		p.Scenarios[i].Probability /= total
	}
}

// TermsOf returns the contract of the name, or nil.
func (p *Portfolio) TermsOf(name string) *contract.Contract {
	for _, c := range p.Terms {
		if c.Name == name {
			return c
		}
	}
	return nil
}
