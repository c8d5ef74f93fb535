package cli

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/clock"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/quote"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

type quoteFlags struct {
	contracts []string
	outlook   []string
	overlays  []string
	explain   int
	limit     int
	all       bool
	offers    bool
	asOf      string
	plan      string
}

func (a *app) quoteCommand() *cobra.Command {
	var flags quoteFlags
	cmd := &cobra.Command{
		Use:   "quote FILE",
		Short: "Rank every place by what a workload would cost there: the merit order",
		Long: `Rank every offer of the catalog and every connected pool, at a sensible set of
sizes, by what the whole workload would cost there, and say why the others are
ruled out. Costs include set-up, checkpoints and expected failures.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.quote(cmd, args[0], flags) },
	}
	cmd.Flags().StringArrayVar(&flags.overlays, "overlay", nil, "`FILE` with own prices and instance types (repeatable)")
	cmd.Flags().IntVar(&flags.explain, "explain", 0, "show where the time and money of candidate `N` go")
	cmd.Flags().IntVar(&flags.limit, "limit", 10, "places in the table; json, yaml and csv have all")
	cmd.Flags().BoolVar(&flags.all, "all", false, "every size and region in the table, and every place ruled out")
	cmd.Flags().BoolVar(&flags.offers, "offers-only", false, "rank the catalog alone, without asking for connected pools")
	cmd.Flags().StringSliceVar(&flags.contracts, "contracts", nil, "price nodes by what they add to the bill under these contracts (files or directories)")
	cmd.Flags().StringSliceVar(&flags.outlook, "outlook", nil, "usage expected under the contracts (CSV, see docs/billing.md)")
	cmd.Flags().StringVar(&flags.plan, "plan", "", "price nodes by the dispatch prices of a plan (`ID` or file)")
	cmd.MarkFlagsMutuallyExclusive("plan", "contracts") // a plan's prices hold its contracts already
	cmd.Flags().StringVar(&flags.asOf, "as-of", "", "`DATE` to count deadlines from, instead of now")
	return a.withOutput(a.planeFlags(cmd))
}

// asOf is the time to decide at: now, or the start of a given day in UTC.
func asOf(date string) (time.Time, error) {
	if date == "" {
		return clock.System(), nil
	}
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return time.Time{}, fault.Newf(fault.Invalid, "--as-of: found %q; a date such as 2026-11-21 is needed", date)
	}
	return day, nil
}

func (a *app) quote(cmd *cobra.Command, file string, flags quoteFlags) error {
	data, err := a.readInput(file)
	if err != nil {
		return err
	}
	now, err := asOf(flags.asOf)
	if err != nil {
		return err
	}
	models, err := a.knownModels()
	if err != nil {
		return err
	}
	w, err := workload.ParseWith(file, data, now, models)
	if err != nil {
		return err
	}
	offers, err := a.loadCatalog(flags.overlays)
	if err != nil {
		return err
	}
	pricer, err := a.marginalPrices(flags.contracts, flags.outlook, now)
	if err != nil {
		return err
	}
	prices := scheduler.Prices(pricer.price)
	if flags.plan != "" {
		if prices, err = a.planPrices(flags.plan, now); err != nil {
			return err
		}
	}
	request := quote.Request{Workload: w, File: filepath.Base(file), Prices: prices, Now: now}
	answer, err := a.quoted(cmd.Context(), marketOf(offers), &request, flags)
	if err != nil {
		return err
	}
	if answer.Kind != workload.KindService {
		pricer.runs(answer, offers, w.Budget.Amount, max(flags.limit, flags.explain))
	}
	if cmd.Flags().Changed("explain") {
		return a.explain(answer, flags)
	}
	l := quoteListing(answer, a.output == "csv", flags)
	l.before = quoteHeader(w, answer) + "\n\n"
	l.after = ruledOut(answer, flags) + quoteFooter(answer, request.Pools, file)
	return a.print(l)
}

// quoted asks the market, with the connected pools unless the flags leave them
// out. Pools are priced as the control plane places runs by them, unless the
// flags name contracts or a plan.
func (a *app) quoted(ctx context.Context, market *quote.Market, request *quote.Request, flags quoteFlags) (answer *quote.Quote, err error) {
	if flags.offers {
		return market.Quote(ctx, *request)
	}
	err = a.with(ctx, func(p *plane) error {
		found, err := p.pools(ctx)
		if err != nil {
			return err
		}
		request.Pools = found.pools
		if len(flags.contracts) == 0 && flags.plan == "" {
			request.PoolPrices = p.poolPrices(ctx, found, request.Workload.Project)
		}
		answer, err = market.Quote(ctx, *request)
		return err
	})
	return answer, err
}

func marketOf(offers *catalog.Catalog) *quote.Market {
	return &quote.Market{Catalog: offers, Constants: estimate.Default(), Assumptions: scheduler.DefaultAssumptions()}
}

// meritOrder is the short merit order that a run shows: where it could have
// run and what that would have cost. It is empty where the workload cannot be
// quoted: a run needs no model. The second answer is the same in one line, for
// the end of a run.
func (a *app) meritOrder(ctx context.Context, p *plane, file string, data []byte) (order, line string, err error) {
	now := clock.System()
	models, err := a.knownModels()
	if err != nil {
		return "", "", err
	}
	w, err := workload.ParseWith(file, data, now, models)
	if err != nil || w.Unquotable() != "" || w.Training == nil {
		return "", "", nil // submitting tells the faults, and which kinds do not run
	}
	offers, err := a.loadCatalog(nil)
	if err != nil {
		return "", "", err
	}
	found, err := p.pools(ctx)
	if err != nil {
		return "", "", err
	}
	answer, err := marketOf(offers).Quote(ctx, quote.Request{
		Workload: w, File: filepath.Base(file), Pools: found.pools, PoolPrices: p.poolPrices(ctx, found, w.Project), Now: now,
	})
	if err != nil {
		return "", "", err
	}
	const places = 4
	var b strings.Builder
	flags := quoteFlags{limit: places}
	l := quoteListing(answer, false, flags)
	l.before = "the merit order: " + quoteHeader(w, answer) + "\n\n"
	l.after = ruledOut(answer, flags) + fmt.Sprintf("All of it: yard quote %s\n\n", file)
	if err := writeTable(&b, l, terminalWidth(a.stdout)); err != nil {
		return "", "", err
	}
	return b.String(), meritLine(answer, file), nil
}

// meritLine is the first places of a merit order in one line.
func meritLine(q *quote.Quote, file string) string {
	const places = 3
	var words []string
	for n, place := range shown(q, quoteFlags{limit: places}) {
		if n == places {
			break
		}
		c := q.Candidates[place]
		words = append(words, fmt.Sprintf("%d %s %s", place+1, where(c), c.Cost.Short()))
	}
	return fmt.Sprintf("merit order: %s · … of %s   (yard quote %s)\n", strings.Join(words, " · "), units.Grouped(int64(q.Considered)), file)
}

var quoteColumns = []column{
	{title: "#", field: "rank", number: true}, {title: "WHERE", field: "where"}, {title: "CHIPS", field: "chips", number: true}, {title: "", field: "chip"},
	{title: "SPEED", field: "tokens_per_second", number: true}, {title: "TIME", field: "seconds", number: true},
	{title: "COST OF RUN", field: "cost", number: true}, {title: "PER 1M TOKENS", field: "cost_per_million_tokens", number: true}, {title: "SURE?", field: "status"},
}

var quoteCSVColumns = columnsOf("rank", "provider", "region", "instance_type", "option", "site", "chip", "chips", "nodes",
	"dp", "tp", "pp", "ep", "cp", "micro_batch", "tokens_per_second", "seconds", "cost", "cost_low", "cost_high", "currency",
	"cost_per_million_tokens", "list_rate", "marginal_rate", "status", "feasible", "connected", "reasons")

func columnsOf(fields ...string) []column {
	columns := make([]column, len(fields))
	for i, field := range fields {
		columns[i] = column{title: field, field: field}
	}
	return columns
}

func quoteListing(q *quote.Quote, exact bool, flags quoteFlags) listing {
	if exact {
		l := listing{document: q, columns: quoteCSVColumns}
		for i, c := range q.Candidates {
			l.cells = append(l.cells, quoteExact(i+1, c))
		}
		return l
	}
	if q.Kind == workload.KindService {
		return servicesListing(q, flags)
	}
	l := listing{document: q, columns: quoteColumns}
	places := shown(q, flags)
	for _, place := range places {
		l.cells = append(l.cells, quoteCells(place, q.Candidates[place]))
	}
	return withMargins(l, q, places)
}

// withMargins adds list and marginal price of a node-hour side by side, and why
// they differ, where contracts make a difference. The marginal price is the mean
// of the run where the run changes it.
func withMargins(l listing, q *quote.Quote, places []int) listing {
	differ := false
	for _, place := range places {
		c := q.Candidates[place]
		differ = differ || c.MarginalRate.Cmp(c.ListRate) != 0 || c.Run != nil
	}
	if !differ {
		return l
	}
	l.columns = append(slices.Clone(l.columns), column{title: "LIST/H", field: "list_rate", number: true},
		column{title: "MARGIN/H", field: "marginal_rate", number: true}, column{title: "WHY", field: "why"})
	for i, place := range places {
		c := q.Candidates[place]
		why := ""
		if (c.MarginalRate.Cmp(c.ListRate) != 0 || c.Run != nil) && len(c.Reasons) > 0 {
			why = c.Reasons[len(c.Reasons)-1]
		}
		margin := short(scheduler.Decimal{Rate: c.MarginalRate})
		if c.Run != nil {
			margin = short(scheduler.Decimal{Rate: c.Run.Mean})
		}
		l.cells[i] = append(l.cells[i], short(scheduler.Decimal{Rate: c.ListRate}), margin, why)
	}
	return l
}

func quoteExact(rank int, c *scheduler.RankedCandidate) []string {
	number := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	p := c.Parallelism
	money := func(exact string) string { // a place that could not be estimated has no cost, rather than none to pay
		if c.Cost.IsZero() {
			return ""
		}
		return exact
	}
	return []string{
		strconv.Itoa(rank), c.Provider, c.Region, c.InstanceType, string(c.Option), c.Site, c.Chip, strconv.Itoa(c.Chips), strconv.Itoa(c.Nodes),
		strconv.Itoa(p.DP), strconv.Itoa(p.TP), strconv.Itoa(p.PP), strconv.Itoa(p.EP), strconv.Itoa(p.CP), strconv.Itoa(p.MicroBatch),
		number(c.TokensPerSecond), number(c.Seconds), money(c.Cost.Decimal()), money(c.CostLow.Decimal()), money(c.CostHigh.Decimal()), string(c.ListRate.Currency),
		money(c.CostPerMillion.Decimal()), c.ListRate.Decimal(), c.MarginalRate.Decimal(), c.Status,
		strconv.FormatBool(c.Feasible), strconv.FormatBool(c.Connected), strings.Join(c.Reasons, "; "),
	}
}

// shown picks the feasible candidates of the table: the cheapest size and
// region of each instance type and purchase option, and every connected pool.
func shown(q *quote.Quote, flags quoteFlags) []int {
	var places []int
	seen := map[string]bool{}
	for i, c := range q.Candidates {
		key := fmt.Sprintf("%s %s %s %v", c.Provider, c.InstanceType, c.Option, c.Connected)
		if !c.Feasible || (seen[key] && !flags.all) || (len(places) >= flags.limit && !flags.all && !c.Connected) {
			continue
		}
		seen[key] = true
		places = append(places, i)
	}
	return places
}

func quoteCells(place int, c *scheduler.RankedCandidate) []string {
	return []string{
		strconv.Itoa(place + 1), where(c), units.Grouped(int64(c.Chips)), c.Chip, rate(c.TokensPerSecond) + " tok/s", span(c.Seconds),
		c.Cost.Short(), short(c.CostPerMillion), sure(c),
	}
}

func where(c *scheduler.RankedCandidate) string {
	if c.Connected && c.Site == c.Provider {
		return c.Site + " (connected)"
	}
	words := []string{c.Provider, c.Region, c.InstanceType, string(c.Option)}
	if c.Connected {
		words = append(words, "(connected: "+c.Site+")")
	}
	return strings.Join(words, " ")
}

// sure says how wide the 80% interval of the cost is.
func sure(c *scheduler.RankedCandidate) string {
	text := ""
	if c.Cost.Micros > 0 && c.CostHigh.Micros > c.CostLow.Micros {
		half := float64(c.CostHigh.Micros-c.CostLow.Micros) / 2 / float64(c.Cost.Micros)
		text = fmt.Sprintf("± %.0f%%", 100*half)
	}
	if c.Status != string(estimate.Measured) {
		text += " " + c.Status
	}
	return strings.TrimSpace(text)
}

// rate is a number of tokens per second for people.
func rate(x float64) string {
	switch {
	case x >= 1e12:
		return fmt.Sprintf("%.1fT", x/1e12)
	case x >= 1e9:
		return fmt.Sprintf("%.1fB", x/1e9)
	case x >= 1e6:
		return fmt.Sprintf("%.1fM", x/1e6)
	case x >= 1e4:
		return fmt.Sprintf("%.0fk", x/1e3)
	case x >= 1e3:
		return fmt.Sprintf("%.1fk", x/1e3)
	}
	return fmt.Sprintf("%.3g", x)
}

// span is a number of seconds for people.
func span(seconds float64) string {
	d := time.Duration(math.Min(seconds, 9e9) * float64(time.Second))
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.0f d", d.Hours()/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	case d >= 2*time.Minute:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

func quoteHeader(w *workload.Workload, q *quote.Quote) string {
	words := []string{w.Shape.ID}
	if w.Shape.ID == "" {
		words[0] = w.Name
	}
	if t := w.Training; t != nil {
		words = append(words, rate(float64(t.Tokens))+" tokens", "seq "+units.Grouped(int64(t.SequenceLength)), "batch "+units.Grouped(int64(t.GlobalBatch)))
	}
	if s := w.Service; s != nil {
		words = append(words, fmt.Sprintf("%.3g requests/s, peak × %.3g", s.Traffic.RequestsPerSecond, max(1, s.Traffic.PeakFactor)), perRequest(s.Request))
	}
	if b := w.Batch; b != nil {
		words = append(words, units.Grouped(b.Total())+" requests", perRequest(b.Request))
	}
	words = append(words, string(w.Precision))
	if !w.Deadline.IsZero() {
		words = append(words, "by "+w.Deadline.String())
	}
	if !w.Budget.IsZero() {
		words = append(words, "budget "+w.Budget.Short())
	}
	return fmt.Sprintf("%s      %s candidates, %s feasible, %d connected", strings.Join(words, " · "),
		units.Grouped(int64(q.Considered)), units.Grouped(int64(q.Feasible)), q.Connected)
}

func perRequest(r workload.Request) string {
	return fmt.Sprintf("%s tokens in, %s out", units.Grouped(int64(r.InputTokens)), units.Grouped(int64(r.OutputTokens)))
}

// ruledOut lists why places are not in the merit order, one line for each
// instance type, most telling reason first.
func ruledOut(q *quote.Quote, flags quoteFlags) string {
	var b strings.Builder
	most := 5
	if flags.all {
		most = math.MaxInt
	}
	feasible, told, more := map[string]bool{}, map[string]bool{}, 0
	for _, c := range q.Candidates {
		if c.Feasible {
			feasible[c.Provider+c.InstanceType] = true
		}
	}
	for _, c := range q.Candidates {
		key := c.Provider + c.InstanceType
		if !flags.all {
			key = c.Chip + string(c.Option) // one line for each chip is enough to see why
		}
		if c.Feasible || feasible[c.Provider+c.InstanceType] && !c.Connected || told[key] {
			continue
		}
		told[key] = true
		if most--; most < 0 {
			more++
			continue
		}
		cost := ""
		if !c.Cost.IsZero() {
			cost = " (would cost " + c.Cost.Short() + ")"
		}
		fmt.Fprintf(&b, " ✗  %-46s %s%s\n", where(c), inOneLine(c.Reasons, flags.all), cost)
	}
	if more > 0 {
		fmt.Fprintf(&b, " ✗  and %d more kinds (--all)\n", more)
	}
	return b.String()
}

// inOneLine is the first reason and how many more there are, or all of them.
func inOneLine(reasons []string, all bool) string {
	if all || len(reasons) < 2 {
		return strings.Join(reasons, "; ")
	}
	return fmt.Sprintf("%s; and %d more", reasons[0], len(reasons)-1)
}

func quoteFooter(q *quote.Quote, pools []fleet.Pool, file string) string {
	var b strings.Builder
	b.WriteString("\n")
	if q.Uncertain != "" {
		fmt.Fprintf(&b, "%s   (yard calibrate --rows FILE)\n", q.Uncertain)
	}
	sites := map[string]bool{}
	for _, p := range pools {
		sites[p.Site] = true
	}
	if len(sites) == 1 {
		b.WriteString("Only `local` is connected.\n")
	}
	if q.Feasible == 0 {
		b.WriteString("Nothing is feasible: loosen the deadline, the budget, place or the SLO, or add variants.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "# counts every size and region; shown is the best of each place (all: --all)\nWhy is 1 first? yard quote %s --explain 1\n", file)
	return b.String()
}
