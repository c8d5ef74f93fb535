package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/client"
)

func (a *app) sitesCommand() *cobra.Command {
	all := func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		return a.with(ctx, func(p *plane) error { return a.listSites(ctx, p) })
	}
	cmd := &cobra.Command{
		Use:   "sites",
		Short: "The places that can run work, and their pools",
		Long: "Sites are the places that can run work: this machine, Kubernetes clusters and Slurm\n" +
			"clusters. One is connected by its file, of kind Site (docs/sites.md).",
		Example: "  yard sites add lab.yaml --dry-run\n  yard sites add lab.yaml\n  yard sites show lab\n  yard sites remove lab --drain",
		Args:    unknownCommand, RunE: all,
	}
	list := &cobra.Command{Use: "list", Short: "List the connected sites", Args: cobra.NoArgs, RunE: all}
	show := &cobra.Command{
		Use: "show SITE", Short: "Show the pools of a site: size, use and price", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error {
				site, err := p.Site(ctx, args[0])
				if err != nil {
					return err
				}
				return a.print(poolListing(site))
			})
		},
	}
	cmd.AddCommand(a.withOutput(a.planeFlags(list)), a.withOutput(a.planeFlags(show)), a.sitesAdd(), a.sitesDrain(), a.sitesRemove())
	return a.withOutput(a.planeFlags(cmd))
}

func (a *app) sitesAdd() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "add FILE",
		Short: "Connect the site of a file, or change it, and show the pools found there",
		Long: "Add reads a site file, connects to the site and shows its pools with their prices. A site\n" +
			"that does not answer is not added. Where the site is connected already, its file is\n" +
			"replaced; what leads to another cluster is refused while runs live there.",
		Example: "  yard sites add lab.yaml --dry-run\n  yard sites add lab.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			data, err := a.readInput(args[0])
			if err != nil {
				return err
			}
			return a.with(ctx, func(p *plane) error { return a.addSite(ctx, p, args[0], data, dry) })
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "look at the site and keep nothing")
	return a.withOutput(a.planeFlags(cmd))
}

func (a *app) addSite(ctx context.Context, p *plane, file string, data []byte, dry bool) error {
	site, err := p.AddSite(ctx, v1.SiteFile{File: file, Content: string(data), DryRun: dry})
	if err != nil {
		return a.refused(err, "nothing was added")
	}
	l := poolListing(site)
	l.after += fmt.Sprintf("\nsite %s is connected; its pools take runs from now on\n", site.Name)
	if dry {
		l.after = fmt.Sprintf("\n%s: no fault, and the site answers; nothing was kept\n", file)
	}
	return a.print(l)
}

func (a *app) sitesDrain() *cobra.Command {
	var undo bool
	cmd := &cobra.Command{
		Use:   "drain SITE",
		Short: "Keep new runs off a site; those that run there move away",
		Long: "Drain keeps new runs off a site. Those that run there move to where they can go on from\n" +
			"their checkpoint, or stop with their grace and are queued again.",
		Example: "  yard sites drain lab\n  yard sites drain lab --undo",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error {
				site, err := p.DrainSite(ctx, args[0], !undo)
				if err != nil {
					return err
				}
				if undo {
					return a.say(fmt.Sprintf("site %s takes runs again\n", site.Name))
				}
				return a.say(fmt.Sprintf("site %s drains: no new run starts there%s\n", site.Name, toLeave(site.Live)))
			})
		},
	}
	cmd.Flags().BoolVar(&undo, "undo", false, "let the site take runs again")
	return a.planeFlags(cmd)
}

// toLeave says what becomes of the runs of a draining site.
func toLeave(live int) string {
	switch live {
	case 0:
		return ", and none is live there"
	case 1:
		return "; the run that is live there moves away, or is queued again"
	}
	return fmt.Sprintf("; the %d runs that are live there move away, or are queued again", live)
}

func (a *app) sitesRemove() *cobra.Command {
	var drain bool
	cmd := &cobra.Command{
		Use:   "remove SITE",
		Short: "Disconnect a site; its runs and their costs stay in the ledger",
		Long: "Remove disconnects a site. It is refused while runs live there; with --drain they are made\n" +
			"to leave first, which is waited for.",
		Example: "  yard sites remove lab\n  yard sites remove lab --drain",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error {
				if drain {
					if err := a.emptied(ctx, p, args[0]); err != nil {
						return err
					}
				}
				if _, err := p.RemoveSite(ctx, args[0]); err != nil {
					return err
				}
				return a.say(fmt.Sprintf("site %s is removed; what its runs cost stays in the ledger\n", args[0]))
			})
		},
	}
	cmd.Flags().BoolVar(&drain, "drain", false, "make its runs leave first, and wait for that")
	return a.planeFlags(cmd)
}

// emptied drains a site and waits until no run is live there.
func (a *app) emptied(ctx context.Context, p *plane, name string) error {
	site, err := p.DrainSite(ctx, name, true)
	if err != nil {
		return err
	}
	for said := 0; site.Live > 0; {
		if said != site.Live {
			said = site.Live
			_, _ = fmt.Fprintf(a.stderr, "waiting for %s to leave %s\n", plural(site.Live, "run", "runs"), name) // progress only
		}
		if !sleep(ctx, followEvery) {
			return ctx.Err()
		}
		err := p.try(ctx, func(c *client.Client) error {
			var err error
			site, err = c.Site(ctx, name)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *app) listSites(ctx context.Context, p *plane) error {
	sites, err := p.Sites(ctx)
	if err != nil {
		return err
	}
	l := listing{
		document: v1.SiteList{Sites: sites},
		columns: []column{
			{"SITE", "name", false}, {"ENGINE", "engine", false}, {"HEALTH", "health", false}, {"POOLS", "pools", true},
			{"NODES", "nodes", true}, {"USED", "used_nodes", true}, {"FREE", "free_nodes", true}, {"LIVE", "live", true},
		},
		extra: []column{{"", "draining", false}, {"", "fault", false}},
		exact: [][]string{},
	}
	var after strings.Builder
	for _, s := range sites {
		nodes, used, free := 0, 0, 0
		for _, pool := range s.Pools {
			nodes, used, free = nodes+pool.Nodes, used+pool.UsedNodes, free+pool.FreeNodes
		}
		row := func(health string) []string {
			return []string{
				s.Name, s.Engine, health, strconv.Itoa(len(s.Pools)), strconv.Itoa(nodes), strconv.Itoa(used), strconv.Itoa(free), strconv.Itoa(s.Live),
			}
		}
		l.cells = append(l.cells, row(healthOf(s)))
		l.exact = append(l.exact, append(row(s.Health), strconv.FormatBool(s.Draining), s.Fault))
		if s.Fault != "" {
			fmt.Fprintf(&after, "%s is away: %s\n", s.Name, s.Fault)
		}
	}
	if after.Len() > 0 {
		l.after = "\n" + after.String()
	}
	l.after += "\nPools and prices: yard sites show SITE\n"
	return a.print(l)
}

func healthOf(s v1.Site) string {
	if s.Draining {
		return s.Health + ", draining"
	}
	return s.Health
}

// poolListing shows a site: what it is, and its pools.
func poolListing(site v1.Site) listing {
	l := listing{
		document: site,
		columns: []column{
			{"POOL", "id", false}, {"INSTANCE TYPE", "instance_type", false}, {"OPTION", "option", false}, {"CHIP", "chip", false},
			{"CHIPS/NODE", "chips_per_node", true}, {"NODES", "nodes", true}, {"USED", "used_nodes", true}, {"FREE", "free_nodes", true},
			{"CORES", "cores", true}, {"MEMORY", "memory", true}, {"PRICE/h", "rate", true}, {"PRICE FROM", "rate_source", false},
		},
		extra: []column{
			{"", "max_nodes", true}, {"", "used_cores", true}, {"", "provider", false}, {"", "region", false}, {"", "family", false},
			{"", "currency", false}, {"", "imputed", false}, {"", "unpriced", false}, {"", "draining", false}, {"", "ends", false}, {"", "others_nodes", true},
			{"", "dispatch_rate", true}, {"", "dispatch_reason", false}, {"", "contracts", false},
		},
		exact:  [][]string{},
		before: about(site) + "\n\n",
	}
	for _, p := range site.Pools {
		row := func(option, nodes, used, free, memory, price string) []string {
			return []string{
				p.ID, p.InstanceType, option, p.Chip, strconv.Itoa(p.ChipsPerNode), nodes, used, free, strconv.Itoa(p.Cores), memory, price, p.RateSource,
			}
		}
		shown := row(optionOf(p), sizeOf(p), usedOf(p), freeOf(p), humanize.IBytes(uint64(max(0, p.Memory))), priceOf(p))
		if len(p.Contracts) > 0 {
			shown[len(shown)-1] += "; under " + strings.Join(p.Contracts, ", ")
			l.after += underContracts(p)
		}
		l.cells = append(l.cells, shown)
		ends := ""
		if p.Ends != nil {
			ends = p.Ends.Format(time.RFC3339)
		}
		l.exact = append(l.exact, append(
			row(p.Option, strconv.Itoa(p.Nodes), strconv.Itoa(p.UsedNodes), strconv.Itoa(p.FreeNodes), strconv.FormatInt(p.Memory, 10), string(p.Rate.Amount)),
			strconv.Itoa(p.MaxNodes), strconv.Itoa(p.UsedCores), p.Provider, p.Region, p.Family, p.Rate.Currency,
			strconv.FormatBool(p.Imputed), strconv.FormatBool(p.Unpriced), strconv.FormatBool(p.Draining), ends, strconv.Itoa(p.OthersNodes),
			string(p.DispatchRate.Amount), p.DispatchReason, strings.Join(p.Contracts, " ")))
	}
	if l.after != "" {
		l.after = "\n" + l.after
	}
	if site.Fault != "" {
		l.after += fmt.Sprintf("\nThe pools could not be observed now: %s\n", site.Fault)
	} else if len(site.Pools) == 0 {
		l.after += "\nNo pool was found there.\n"
	}
	return l
}

// underContracts says what the next node-hour of a pool costs under contracts.
func underContracts(p v1.Pool) string {
	if p.DispatchReason == "" {
		return fmt.Sprintf("%s: a node-hour costs its price now; what %s gives is used\n", p.ID, strings.Join(p.Contracts, " and "))
	}
	costs := showMoney(p.DispatchRate)
	if p.DispatchRate.Amount == "0" {
		costs = "nothing"
	}
	return fmt.Sprintf("%s: a node-hour costs %s now: %s\n", p.ID, costs, p.DispatchReason)
}

// about is a site in one line.
func about(s v1.Site) string {
	parts := []string{s.Name, s.Engine, healthOf(s)}
	if s.Live > 0 {
		parts = append(parts, plural(s.Live, "live attempt", "live attempts"))
	}
	if s.Checkpoints != "" {
		parts = append(parts, "checkpoints in "+s.Checkpoints)
	}
	return strings.Join(parts, " · ")
}

func optionOf(p v1.Pool) string {
	if p.Ends != nil {
		return p.Option + " until " + p.Ends.UTC().Format("2006-01-02 15:04Z")
	}
	return p.Option
}

// sizeOf is the nodes that are there, and that there may come to be.
func sizeOf(p v1.Pool) string {
	if p.MaxNodes > p.Nodes {
		return fmt.Sprintf("%d of %d", p.Nodes, p.MaxNodes)
	}
	return strconv.Itoa(p.Nodes)
}

func usedOf(p v1.Pool) string {
	if p.UsedCores > 0 {
		return plural(p.UsedCores, "core", "cores")
	}
	if p.OthersNodes > 0 {
		return fmt.Sprintf("%d, others %d", p.UsedNodes, p.OthersNodes)
	}
	return strconv.Itoa(p.UsedNodes)
}

func freeOf(p v1.Pool) string {
	if p.UsedCores > 0 {
		return plural(max(0, p.Cores-p.UsedCores), "core", "cores")
	}
	return strconv.Itoa(p.FreeNodes)
}

func priceOf(p v1.Pool) string {
	switch {
	case p.Unpriced:
		return "not known"
	case p.Imputed:
		return showMoney(p.Rate) + " imputed"
	}
	return showMoney(p.Rate)
}
