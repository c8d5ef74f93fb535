package cli

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/daemon"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
	"github.com/switchyard-ai/switchyard/internal/planner"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

type planFlags struct {
	overlays []string
	figures  []string
	asOf     string
	report   string
	out      string
	parent   string
	gap      float64
	limit    time.Duration
	external bool
}

func (a *app) planCommand() *cobra.Command {
	var flags planFlags
	cmd := &cobra.Command{
		Use:   "plan FILE",
		Short: "Decide what to sign, hold and buy over months and years, and say why",
		Long: `Plan finds the least-cost mix of contracts, purchases and capacity that serves
the work of a portfolio file under its contracts, hedges, cash and scenarios.
The plan is kept in the state directory under its ID and is never changed.

HiGHS solves: "make solver" before the build embeds it in yard. A build without
it takes highs or cbc of this machine, which is enough for small portfolios.`,
		Example: "  yard plan examples/deals/portfolio.yaml --report plan.html",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.plan(cmd, args[0], flags) },
	}
	f := cmd.Flags()
	f.StringVar(&flags.asOf, "as-of", "", "`DATE` of the decision; what became known later is left out")
	f.StringArrayVar(&flags.figures, "figure", nil, "`NAME=N`: take the N-th reported value of a figure (repeatable)")
	f.StringVar(&flags.report, "report", "", "write a page with charts to this `FILE`")
	f.StringVar(&flags.out, "out", "", "write the plan to this `FILE` too")
	f.StringVar(&flags.parent, "replan", "", "start from an earlier plan (`ID` or file) and name it as the parent")
	a.solverFlags(cmd, &flags)
	cmd.AddCommand(a.planListCommand(), a.planShowCommand(), a.planDiffCommand(), a.planCheckCommand())
	return a.withOutput(cmd)
}

// solverFlags are those of every command that solves.
func (a *app) solverFlags(cmd *cobra.Command, flags *planFlags) {
	f := cmd.Flags()
	f.StringArrayVar(&flags.overlays, "overlay", nil, "`FILE` with own prices and instance types (repeatable)")
	f.Float64Var(&flags.gap, "gap", 0.005, "stop when the plan is proved to be this close to the best")
	f.DurationVar(&flags.limit, "time-limit", 2*time.Minute, "of one solve; the best plan so far is taken")
	f.BoolVar(&flags.external, "external-solver", false, "use highs or cbc of this machine in place of the embedded HiGHS")
	f.StringVar(&a.flags.StateDir, "state-dir", "", "directory of yard's state (default $YARD_STATE_DIR or ~/.local/state/yard)")
}

func (a *app) plan(cmd *cobra.Command, file string, flags planFlags) error {
	text, err := config.ReadFile(file)
	if err != nil {
		return fault.Wrap(fault.NotFound, err, "portfolio")
	}
	request := planner.Request{File: file, Text: text}
	if request.Choice, err = flags.choice(); err != nil {
		return err
	}
	if request.Choice.Used, err = a.history(cmd.Context(), file, text, request.Choice); err != nil {
		return err
	}
	if request.Catalog, err = a.loadCatalog(flags.overlays); err != nil {
		return err
	}
	request.Throughput = planner.Estimated(request.Catalog, estimate.Default())
	request.Options = planner.Options{Gap: flags.gap, TimeLimit: flags.limit, Each: atOnce}
	if flags.parent != "" {
		parent, err := a.readPlan(flags.parent)
		if err != nil {
			return err
		}
		request.Parent, request.Options.Start = parent.ID, &parent.Choice
	}
	started := time.Now()
	sought := search{started: started}
	var made *plan.Plan
	err = a.solving(cmd.Context(), flags, func(ctx context.Context, solver lp.Solver, progress func(lp.Progress)) error {
		request.Options.Progress = func(p lp.Progress) {
			sought.note(p, time.Now())
			progress(p)
		}
		made, err = planner.Make(ctx, solver, request)
		return err
	})
	if err != nil {
		return err
	}
	if err := a.keepPlan(made, flags, sought.chart(time.Since(started))); err != nil {
		return err
	}
	return a.print(planListing(made, solved{time.Since(started), flags.limit, flags.gap}, flags.report))
}

// solving runs what solves, with a progress line on the standard error.
func (a *app) solving(ctx context.Context, flags planFlags, run func(context.Context, lp.Solver, func(lp.Progress)) error) error {
	c, err := config.Load(a.flags, os.Getenv)
	if err != nil {
		return err
	}
	solver, release, err := daemon.Solver(filepath.Join(c.StateDir, "cache"), flags.external)
	if err != nil {
		return err
	}
	defer func() { _ = release(context.WithoutCancel(ctx)) }()
	notice := daemon.SolverNotice(flags.external)
	if notice != "" {
		_, _ = fmt.Fprintln(a.stderr, notice)
	}
	line := newDisplay(a.stderr)
	started, shown := time.Now(), false
	progress := func(p lp.Progress) {
		if !line.terminal {
			return
		}
		shown = true
		_, _ = fmt.Fprintf(a.stderr, "\r\033[Ksolving: %s   %.0f s", progressWords(p), time.Since(started).Seconds())
	}
	err = run(ctx, solver, progress)
	if shown {
		_, _ = fmt.Fprint(a.stderr, "\r\033[K")
	}
	if notice != "" && fault.Is(err, fault.Transient) {
		return fmt.Errorf("%w, or embed HiGHS: `make solver`, and build yard again", err)
	}
	return err
}

// futuresAtOnce is how many futures of a large portfolio are worked on at a
// time: each holds a solver's memory.
const futuresAtOnce = 2

// atOnce calls a function for 0 … n−1, a few at a time.
func atOnce(n int, do func(i int) error) error {
	var group errgroup.Group
	group.SetLimit(futuresAtOnce)
	for i := range n {
		group.Go(func() error { return do(i) })
	}
	return group.Wait()
}

func progressWords(p lp.Progress) string {
	if math.IsInf(p.Incumbent, 1) {
		return "no plan yet"
	}
	return fmt.Sprintf("a plan within %.2f%% of the best", 100*p.Gap)
}

func (f planFlags) choice() (plan.Choice, error) {
	choice := plan.Choice{Figures: map[string]int{}}
	if f.asOf != "" {
		at, err := contract.ParseInstant(f.asOf)
		if err != nil {
			return choice, fault.Newf(fault.Invalid, "--as-of: %s", err)
		}
		choice.AsOf = &at
	}
	for _, text := range f.figures {
		var n int
		name, number, found := strings.Cut(text, "=")
		if _, err := fmt.Sscanf(number, "%d", &n); !found || err != nil || n < 1 {
			return choice, fault.Newf(fault.Invalid, "--figure: found %q; NAME=N is needed, such as investment=2", text)
		}
		choice.Figures[name] = n - 1
	}
	return choice, nil
}

// keepPlan writes the plan under its ID, and where the user asked.
func (a *app) keepPlan(made *plan.Plan, flags planFlags, sought chart) error {
	c, err := config.Load(a.flags, os.Getenv)
	if err != nil {
		return err
	}
	files := []string{filepath.Join(c.StateDir, "plans", made.ID+".json")}
	if flags.out != "" {
		files = append(files, flags.out)
	}
	if err := os.MkdirAll(filepath.Dir(files[0]), 0o700); err != nil {
		return fault.Wrap(fault.Invalid, err, "plans")
	}
	data, err := planJSON(made)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			return fault.Wrap(fault.Invalid, err, "plan")
		}
	}
	if flags.report == "" {
		return nil
	}
	return fault.Wrap(fault.Invalid, os.WriteFile(flags.report, planReport(made, sought), 0o644), "report")
}

// mostPlan bounds the file of a plan; the plans of the largest portfolios that
// are measured have less than a tenth of it.
const mostPlan = 256 << 20

// readPlan reads a plan by its ID, or from a file.
func (a *app) readPlan(name string) (*plan.Plan, error) {
	file := name
	if _, err := os.Stat(file); err != nil {
		c, err := config.Load(a.flags, os.Getenv)
		if err != nil {
			return nil, err
		}
		file = filepath.Join(c.StateDir, "plans", filepath.Base(name)+".json")
	}
	data, err := config.ReadUpTo(file, mostPlan)
	if fault.Is(err, fault.Invalid) {
		return nil, err
	}
	if err != nil {
		known, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "plan-*.json")) // of a pattern that is well formed
		for i := range known {
			known[i] = strings.TrimSuffix(filepath.Base(known[i]), ".json")
		}
		return nil, fault.Newf(fault.NotFound, "no plan %q: neither a file nor the ID of a plan that was made here (yard plan list)%s", name, spec.DidYouMean(name, known))
	}
	return plan.Read(data)
}

// compiled reads a plan and compiles the portfolio that it answers.
func (a *app) compiled(name string, overlays []string) (*plan.Plan, *planner.Problem, error) {
	made, err := a.readPlan(name)
	if err != nil {
		return nil, nil, err
	}
	portfolio, err := made.Parse()
	if err != nil {
		return nil, nil, err
	}
	offers, err := a.loadCatalog(overlays)
	if err != nil {
		return nil, nil, err
	}
	problem, err := planner.Compile(portfolio, offers, planner.Estimated(offers, estimate.Default()))
	return made, problem, err
}

func (a *app) planShowCommand() *cobra.Command {
	var report string
	cmd := &cobra.Command{
		Use:     "show P",
		Short:   "Print a plan that was made, or write its report",
		Example: "  yard plan show plan-2bfaa8ba8405 --report plan.html",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			made, err := a.readPlan(args[0])
			if err != nil {
				return err
			}
			if report != "" {
				if err := os.WriteFile(report, planReport(made, chart{}), 0o644); err != nil {
					return fault.Wrap(fault.Invalid, err, "report")
				}
			}
			return a.print(planListing(made, solved{}, report))
		},
	}
	cmd.Flags().StringVar(&report, "report", "", "write a page with charts to this `FILE`")
	cmd.Flags().StringVar(&a.flags.StateDir, "state-dir", "", "directory of yard's state (default $YARD_STATE_DIR or ~/.local/state/yard)")
	return a.withOutput(cmd)
}

func (a *app) planDiffCommand() *cobra.Command {
	return a.withOutput(&cobra.Command{
		Use:   "diff A B",
		Short: "Say what plan B decides otherwise than plan A",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			first, err := a.readPlan(args[0])
			if err != nil {
				return err
			}
			second, err := a.readPlan(args[1])
			if err != nil {
				return err
			}
			changes := plan.Diff(first, second)
			l := listing{columns: []column{{title: "CHANGE", field: "change"}}}
			for _, change := range changes {
				l.cells = append(l.cells, []string{change})
			}
			l.document = map[string]any{"from": first.ID, "to": second.ID, "changes": changes,
				"objective_change": second.Quality.Objective - first.Quality.Objective}
			l.before = fmt.Sprintf("%s → %s: %d decisions change; cost (discounted) %s → %s\n\n", first.ID, second.ID, len(changes),
				modelMoney(first.Quality.Objective), modelMoney(second.Quality.Objective))
			return a.print(l)
		},
	})
}

func (a *app) planCheckCommand() *cobra.Command {
	var overlays []string
	cmd := &cobra.Command{
		Use:   "check P",
		Short: "Refuse a plan that breaks a contract or a limit, whoever made it",
		Long: `Check reads a plan and the portfolio in it, and works out again, without the
solver, whether its schedule keeps every capacity, demand, contract and limit,
and whether billing confirms its spend.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			made, problem, err := a.compiled(args[0], overlays)
			if err != nil {
				return err
			}
			violations, err := planner.Check(problem, made)
			if err != nil {
				return err
			}
			return a.printViolations(made, violations)
		},
	}
	cmd.Flags().StringArrayVar(&overlays, "overlay", nil, "`FILE` with own prices and instance types (repeatable)")
	cmd.Flags().StringVar(&a.flags.StateDir, "state-dir", "", "directory of yard's state (default $YARD_STATE_DIR or ~/.local/state/yard)")
	return a.withOutput(cmd)
}

func (a *app) printViolations(made *plan.Plan, violations []planner.Violation) error {
	l := listing{document: violations, columns: []column{{title: "FUTURE", field: "future"}, {title: "WHEN", field: "period"}, {title: "BROKEN", field: "message"}}}
	for _, v := range violations {
		l.cells = append(l.cells, []string{v.Future, v.Period, v.Message})
	}
	if len(violations) == 0 {
		l.page = made.ID + " keeps every contract and limit of its portfolio.\n"
	}
	if err := a.print(l); err != nil {
		return err
	}
	if len(violations) > 0 {
		return fault.Newf(fault.Conflict, "%s is refused: %d violations", made.ID, len(violations))
	}
	return nil
}
