package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/clock"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/focus"
)

// contractFlags are what the contracts commands are asked for.
type contractFlags struct {
	contracts []string
	usage     []string
	at        string
	report    string
}

func (a *app) contractsCommand() *cobra.Command {
	var f contractFlags
	cmd := a.withOutput(&cobra.Command{
		Use:   "contracts [--contracts DIR [--usage FILE.csv]]",
		Short: "Where contracts stand: committed, retired, remaining, and what binds next",
		Long: "Contracts shows every clause that commits to something, billed from the start of the\n" +
			"contracts up to a date (--at; the end of the usage where absent). Without --contracts it is about those\n" +
			"that are in force (yard contracts add), with the use of the ledger.",
		Example: "  yard contracts --contracts examples/contracts --at 2026-06-01\n" +
			"  yard contracts show aws-2025 --contracts examples/contracts --usage june.csv\n" +
			"  yard contracts check examples/contracts",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.contracts(cmd.Context(), "", f) },
	})
	f.add(a.planeFlags(cmd))
	show := a.withOutput(&cobra.Command{
		Use:   "show CONTRACT",
		Short: "One contract: its clauses, where each stands, and what binds next",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return a.contracts(cmd.Context(), args[0], f) },
	})
	f.add(a.planeFlags(show))
	check := a.withOutput(&cobra.Command{
		Use:   "check FILE…",
		Short: "Check contract files, and find clauses that cannot be kept together",
		Args:  cobra.MinimumNArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return a.checkContracts(args) },
	})
	export := &cobra.Command{
		Use:   "export [--contracts DIR]",
		Short: "Write what is committed as the Contract Commitment data set of FOCUS 1.3, in CSV",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.exportCommitments(cmd.Context(), f) },
	}
	export.Flags().StringSliceVar(&f.contracts, "contracts", nil, "contract files, or directories of them")
	cmd.AddCommand(show, check, a.planeFlags(export))
	cmd.AddCommand(a.forceCommands()...)
	return cmd
}

func (f *contractFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.contracts, "contracts", nil, "contract files, or directories of them")
	cmd.Flags().StringSliceVar(&f.usage, "usage", nil, "usage files (CSV)")
	cmd.Flags().StringVar(&f.at, "at", "", "as of this date (default: the end of the usage, or now)")
	cmd.Flags().StringVar(&f.report, "report", "", "also write burn-down charts to this HTML `FILE`")
}

// statusJSON is where a clause stands; its field names are stable.
type statusJSON struct {
	Contract           string       `json:"contract"`
	Clause             string       `json:"clause"`
	Currency           string       `json:"currency"`
	Kind               string       `json:"kind"`
	From               time.Time    `json:"from"`
	To                 time.Time    `json:"to"`
	WindowFrom         time.Time    `json:"window_from"`
	WindowTo           time.Time    `json:"window_to"`
	Committed          json.Number  `json:"committed"`
	Retired            json.Number  `json:"retired"`
	Lost               json.Number  `json:"lost"`
	Remaining          json.Number  `json:"remaining"`
	ProjectedShortfall json.Number  `json:"projected_shortfall"`
	LifeCommitted      json.Number  `json:"life_committed"`
	LifeRetired        json.Number  `json:"life_retired"`
	Share              *json.Number `json:"share,omitempty"`
	Floor              *json.Number `json:"floor,omitempty"`
	Credit             json.Number  `json:"credit"`
	MakeUpBank         json.Number  `json:"make_up_bank"`
	Next               *time.Time   `json:"next,omitempty"`
	NextWhat           string       `json:"next_what,omitempty"`
	Notes              []string     `json:"notes,omitempty"`
	Terms              string       `json:"terms,omitempty"` // of contracts show: the clause as its file has it, in a line

	burn []float64
}

type contractsJSON struct {
	At       time.Time    `json:"at"`
	UseFrom  *time.Time   `json:"use_from,omitempty"` // of what is known
	UseTo    *time.Time   `json:"use_to,omitempty"`
	Currency string       `json:"currency,omitempty"` // absent where there are several; each clause has its own
	Clauses  []statusJSON `json:"clauses"`
	Shares   []shareJSON  `json:"committed_by_counterparty"`
	HHI      json.Number  `json:"hhi,omitempty"`
	HHIs     []hhiJSON    `json:"hhi_by_currency,omitempty"` // in place of hhi where there are several currencies
}

type shareJSON struct {
	Counterparty string      `json:"counterparty"`
	Committed    json.Number `json:"committed"`
	Share        json.Number `json:"share"` // of what is committed in its currency
	Currency     string      `json:"currency"`
}

func (a *app) contracts(ctx context.Context, only string, f contractFlags) error {
	parts, err := a.contractsAsked(ctx, f)
	if err != nil {
		return err
	}
	if err := contractNamed(parts, only); err != nil {
		return err
	}
	at, err := contractsAt(f.at, parts)
	if err != nil {
		return err
	}
	var docs []contractsJSON
	for _, part := range parts {
		if only == "" || part.named(only) != nil {
			docs = append(docs, part.standing(at, only))
		}
	}
	doc := joinContracts(docs)
	if f.report != "" {
		if err := writeContractsReport(f.report, doc); err != nil {
			return err
		}
	}
	return a.print(contractsListing(doc, only))
}

func (a *app) exportCommitments(ctx context.Context, f contractFlags) error {
	parts, err := a.contractsAsked(ctx, f)
	if err != nil {
		return err
	}
	var contracts []*contract.Contract
	var status []billing.Status
	for _, part := range parts {
		contracts, status = append(contracts, part.contracts...), append(status, part.book.Status()...)
	}
	return focus.WriteCommitments(a.stdout, contracts, status)
}

// contractsAt is the date that contracts are shown as of.
func contractsAt(text string, parts []contractPart) (time.Time, error) {
	if text != "" {
		at, err := contract.ParseInstant(text)
		if err != nil {
			return at, fault.Newf(fault.Invalid, "--at: %s", err)
		}
		return at, nil
	}
	var last time.Time
	for _, part := range parts {
		if _, end, some := part.book.Span(); some && end.After(last) {
			last = end
		}
	}
	if !last.IsZero() {
		return last, nil
	}
	return clock.System().UTC().Truncate(time.Hour), nil
}

// document says where the contracts of a part stand once its book is settled.
func (p contractPart) document(at time.Time, only string) contractsJSON {
	currency := string(p.book.Currency())
	doc := contractsJSON{At: at, Currency: currency, Clauses: []statusJSON{}}
	if from, to, some := p.book.Span(); some {
		doc.UseFrom, doc.UseTo = &from, &to
	}
	committed := map[string]int64{}
	known := map[contract.Party]statusJSON{}
	for _, s := range p.book.Status() {
		committed[p.named(s.Contract).Counterparty] += floorOf(s)
		known[contract.Party{Contract: s.Contract, Clause: s.Clause}] = statusOf(s)
	}
	for _, c := range p.contracts {
		for i := range c.Clauses {
			clause := &c.Clauses[i]
			s, found := known[contract.Party{Contract: c.Name, Clause: clause.Name}]
			s.Notes = append(s.Notes, clauseNotes(c, clause, at)...)
			if !found {
				s.Contract, s.Clause, s.Kind, s.From, s.To = c.Name, clause.Name, clause.Kind(), c.Starts(clause), c.Ends(clause)
				s.WindowFrom, s.WindowTo = s.From, s.To
				s.Committed, s.Retired, s.Lost, s.Remaining, s.ProjectedShortfall = "0", "0", "0", "0", "0"
				s.LifeCommitted, s.LifeRetired, s.Credit, s.MakeUpBank = "0", "0", "0", "0"
			}
			s.Currency = currency
			if only == c.Name {
				s.Terms = clauseTerms(clause)
			}
			if (only == "" && found) || only == c.Name {
				doc.Clauses = append(doc.Clauses, s)
			}
		}
	}
	doc.Shares, doc.HHI = concentration(committed, currency)
	return doc
}

// floorOf is what a clause commits to pay over its life.
func floorOf(s billing.Status) int64 {
	switch s.Kind {
	case "chip_covenant", "discount", "monthly_minimum", "concentration_cap", "exclusivity":
		return 0
	}
	return s.Life
}

// concentration returns shares of what is committed and their Herfindahl-
// Hirschman index, the sum of squared percentages.
func concentration(committed map[string]int64, currency string) ([]shareJSON, json.Number) {
	total := int64(0)
	var names []string
	for name, micros := range committed {
		if micros > 0 {
			names = append(names, name)
			total += micros
		}
	}
	sort.Slice(names, func(i, j int) bool {
		x, y := committed[names[i]], committed[names[j]]
		return x > y || x == y && names[i] < names[j]
	})
	shares, index := []shareJSON{}, new(big.Rat)
	for _, name := range names {
		share := big.NewRat(committed[name], total)
		shares = append(shares, shareJSON{name, exactMicros(committed[name]), json.Number(share.FloatString(4)), currency})
		share.Mul(share, big.NewRat(100, 1))
		index.Add(index, share.Mul(share, share))
	}
	return shares, json.Number(index.FloatString(0))
}

func statusOf(s billing.Status) statusJSON {
	out := statusJSON{
		Contract: s.Contract, Clause: s.Clause, Kind: s.Kind, From: s.From, To: s.To, WindowFrom: s.WindowFrom, WindowTo: s.WindowTo,
		Committed: exactMicros(s.Committed), Retired: exactMicros(s.Retired), Lost: exactMicros(s.Lost), Remaining: exactMicros(s.Remaining),
		ProjectedShortfall: exactMicros(s.Shortfall), LifeCommitted: exactMicros(s.Life), LifeRetired: exactMicros(s.LifeDone),
		Credit: exactMicros(s.Credit), MakeUpBank: json.Number(s.Bank.String()), NextWhat: s.NextWhat, burn: s.Burn,
	}
	if s.Measured {
		share, floor := json.Number(s.Share.String()), json.Number(s.Floor.String())
		out.Share, out.Floor = &share, &floor
	}
	if !s.Next.IsZero() {
		out.Next = &s.Next
	}
	return out
}

func contractsListing(doc contractsJSON, only string) listing {
	l := listing{document: doc, columns: []column{
		{"CONTRACT", "contract", false}, {"CLAUSE", "clause", false}, {"COMMITTED", "committed", true}, {"RETIRED", "retired", true},
		{"REMAINING", "remaining", true}, {"SHORT AT THIS PACE", "projected_shortfall", true}, {"STATE", "state", false},
		{"NEXT DATE THAT BINDS", "next", false}, {"BURN-DOWN", "burn_down", false},
	}, extra: []column{{"", "currency", false}}}
	several := doc.Currency == ""
	for _, s := range doc.Clauses {
		next := ""
		if s.Next != nil {
			next = stampHour(*s.Next) + " " + s.NextWhat
		}
		state := strings.Join(s.states(), ", ")
		money := func(n json.Number) string {
			if text := shortMoney(n); several && text != "" {
				return text + " " + s.Currency
			}
			return shortMoney(n)
		}
		l.cells = append(l.cells, []string{s.Contract, s.Clause, money(s.Committed), money(s.Retired), money(s.Remaining),
			money(s.ProjectedShortfall), state, next, sparkline(s.burn)})
		l.exact = append(l.exact, []string{s.Contract, s.Clause, string(s.Committed), string(s.Retired), string(s.Remaining),
			string(s.ProjectedShortfall), state, next, "", s.Currency})
	}
	use := "no use is known"
	if doc.UseFrom != nil {
		use = "use is known from " + stampHour(*doc.UseFrom) + " to " + stampHour(*doc.UseTo)
	}
	l.before = fmt.Sprintf("as of %s · %s · %s\n", stampHour(doc.At), doc.currencies(), use)
	l.after = contractsFooter(doc, only)
	return l
}

// states says what money alone does not.
func (s statusJSON) states() []string {
	var states []string
	if s.Share != nil {
		switch s.Kind {
		case "concentration_cap":
			states = append(states, fmt.Sprintf("%s against a cap of %s", showShare(*s.Share), showShare(*s.Floor)))
		case "exclusivity":
			states = append(states, showShare(*s.Share)+" of the class on the holder")
		default:
			states = append(states, fmt.Sprintf("%s against a floor of %s", showShare(*s.Share), showShare(*s.Floor)))
		}
	}
	if s.Lost != "0" && s.Lost != "" {
		states = append(states, shortMoney(s.Lost)+" unused and lost")
	}
	if s.Credit != "0" {
		states = append(states, "credit "+shortMoney(s.Credit))
	}
	if s.MakeUpBank != "0" && s.MakeUpBank != "" {
		states = append(states, "bank "+string(s.MakeUpBank))
	}
	return states
}

func showShare(n json.Number) string {
	value, ok := new(big.Rat).SetString(string(n))
	if !ok || value.Cmp(big.NewRat(1, 1)) > 0 {
		return string(n)
	}
	return value.Mul(value, big.NewRat(100, 1)).FloatString(1) + "%"
}

func contractsFooter(doc contractsJSON, only string) string {
	var out strings.Builder
	for _, s := range doc.Clauses {
		if s.Terms != "" {
			fmt.Fprintf(&out, "\n%s, %s to %s: %s", s.Clause, stampHour(s.From), stampHour(s.To), s.Terms)
		}
		for _, note := range s.Notes {
			fmt.Fprintf(&out, "\n%s/%s: %s", s.Contract, s.Clause, note)
		}
	}
	for _, index := range doc.indexes() {
		var parts []string
		for _, s := range doc.Shares {
			if s.Currency == index.Currency {
				parts = append(parts, fmt.Sprintf("%s %s (%s)", s.Counterparty, shortMoney(s.Committed), showShare(s.Share)))
			}
		}
		if only == "" && len(parts) > 0 {
			fmt.Fprintf(&out, "\ncommitted%s: %s · HHI %s", inCurrency(doc, index.Currency), strings.Join(parts, ", "), index.HHI)
		}
	}
	if out.Len() == 0 {
		return ""
	}
	return out.String() + "\n"
}

// shortMoney rounds an exact sum for reading.
func shortMoney(n json.Number) string {
	value, err := n.Float64()
	if err != nil || value == 0 {
		return ""
	}
	for _, magnitude := range []struct {
		size   float64
		suffix string
	}{{1e9, "B"}, {1e6, "M"}} {
		if value >= magnitude.size || value <= -magnitude.size {
			return fmt.Sprintf("%.2f%s", value/magnitude.size, magnitude.suffix)
		}
	}
	return centsOf(int64(math.Round(value*100)) * 10_000)
}

// sparkline draws values from 0 to the largest in a line of text.
func sparkline(values []float64) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	largest := 0.0
	for _, v := range values {
		largest = max(largest, v)
	}
	if largest == 0 {
		return ""
	}
	var line strings.Builder
	for i, v := range values {
		if i%2 == 1 && len(values) > 16 {
			continue
		}
		line.WriteRune(levels[min(int(max(v, 0)/largest*float64(len(levels))), len(levels)-1)])
	}
	return line.String()
}

// clauseNotes says what a clause that is not about money comes to at a date.
func clauseNotes(c *contract.Contract, clause *contract.Clause, at time.Time) []string {
	var notes []string
	switch {
	case clause.Warrant != nil:
		notes = append(notes, clause.Warrant.Note(at))
	case clause.RightOfFirstRefusal != nil:
		right := clause.RightOfFirstRefusal
		for _, offer := range right.Offers {
			earliest := stampHour(right.Window.After(offer.Offered.Time))
			if offer.Matched {
				notes = append(notes, fmt.Sprintf("offer %s of %s was matched: %s of it at %s go to %s", offer.Name, offer.Provider, offer.Quantity, offer.Price, right.Holder))
				continue
			}
			notes = append(notes, fmt.Sprintf("offer %s of %s, made %s: earliest start %s", offer.Name, offer.Provider, stampHour(offer.Offered.Time), earliest))
		}
	case clause.Exclusivity != nil:
		notes = append(notes, fmt.Sprintf("%s runs on %s alone, %s to %s", strings.Join(clause.Exclusivity.Classes, ", "), clause.Exclusivity.Holder,
			stampHour(c.Starts(clause)), stampHour(c.Ends(clause))))
	}
	return notes
}

// makerOf names the maker of a chip that the catalog knows.
func makerOf(name string) string {
	known, err := chip.Find(name)
	if err != nil {
		return ""
	}
	return string(known.Maker)
}

type conflictsJSON struct {
	Contracts int                 `json:"contracts"`
	Conflicts []contract.Conflict `json:"conflicts"`
}

func (a *app) checkContracts(paths []string) error {
	contracts, err := loadContracts(paths)
	if err != nil {
		return err
	}
	found := contract.Conflicts(contracts, makerOf)
	doc := conflictsJSON{len(contracts), found}
	if found == nil {
		doc.Conflicts = []contract.Conflict{}
	}
	l := listing{document: doc, columns: []column{
		{"CLAUSE", "first", false}, {"AGAINST", "second", false}, {"FROM", "from", false}, {"TO", "to", false}, {"WHY", "reason", false},
	}}
	for _, conflict := range found {
		l.cells = append(l.cells, []string{conflict.First.String(), conflict.Second.String(), stampHour(conflict.From), stampHour(conflict.To), conflict.Reason})
	}
	if len(found) == 0 {
		if a.output == "table" || a.output == "" {
			_, err := fmt.Fprintf(a.stdout, "%s: no conflict\n", countOf(len(contracts), "contract"))
			return err
		}
		return a.print(l)
	}
	l.after = fmt.Sprintf("\n%s among %s\n", countOf(len(found), "conflict"), countOf(len(contracts), "contract"))
	if err := a.print(l); err != nil {
		return err
	}
	return exitError(exitFailure)
}

func countOf(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func writeContractsReport(path string, doc contractsJSON) error {
	file, err := os.Create(path)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "report")
	}
	if err := contractsReport(file, doc); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}
