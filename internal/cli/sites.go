package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
)

func (a *app) sitesCommand() *cobra.Command {
	all := func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		return a.with(ctx, func(p *plane) error { return a.listSites(ctx, p) })
	}
	cmd := &cobra.Command{Use: "sites", Short: "The places that can run work, and their pools", Args: unknownCommand, RunE: all}
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
				return a.showPools(site)
			})
		},
	}
	cmd.AddCommand(a.withOutput(a.planeFlags(list)), a.withOutput(a.planeFlags(show)))
	return a.withOutput(a.planeFlags(cmd))
}

func (a *app) listSites(ctx context.Context, p *plane) error {
	sites, err := p.Sites(ctx)
	if err != nil {
		return err
	}
	l := listing{
		document: v1.SiteList{Sites: sites},
		columns:  []column{{"SITE", "name", false}, {"ENGINE", "engine", false}, {"POOLS", "pools", true}, {"FAULT", "fault", false}},
		after:    "\nPools and prices: yard sites show SITE\n",
	}
	for _, s := range sites {
		l.cells = append(l.cells, []string{s.Name, s.Engine, strconv.Itoa(len(s.Pools)), s.Fault})
	}
	return a.print(l)
}

func (a *app) showPools(site v1.Site) error {
	l := listing{
		document: site,
		columns: []column{
			{"POOL", "id", false}, {"INSTANCE TYPE", "instance_type", false}, {"CHIP", "chip", false}, {"CHIPS/NODE", "chips_per_node", true},
			{"NODES", "nodes", true}, {"USED", "used_nodes", true}, {"CORES", "cores", true}, {"USED", "used_cores", true},
			{"MEMORY", "memory", true}, {"PRICE/h", "rate", true}, {"PRICE FROM", "rate_source", false},
		},
		exact: [][]string{},
	}
	for _, p := range site.Pools {
		price := showMoney(p.Rate)
		if p.Imputed {
			price += " imputed"
		}
		row := func(memory, price string) []string {
			return []string{
				p.ID, p.InstanceType, p.Chip, strconv.Itoa(p.ChipsPerNode), strconv.Itoa(p.Nodes), strconv.Itoa(p.UsedNodes),
				strconv.Itoa(p.Cores), strconv.Itoa(p.UsedCores), memory, price, p.RateSource,
			}
		}
		l.cells = append(l.cells, row(humanize.IBytes(uint64(max(0, p.Memory))), price))
		l.exact = append(l.exact, row(strconv.FormatInt(p.Memory, 10), string(p.Rate.Amount)))
	}
	if site.Fault != "" {
		l.after = fmt.Sprintf("\nThe pools could not be observed now: %s\n", site.Fault)
	}
	return a.print(l)
}
