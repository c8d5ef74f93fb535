package daemon

import (
	"cmp"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
)

func TestPoolsElsewhereArePriced(t *testing.T) {
	offers, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	file, err := site.Parse("s.yaml", []byte(`kind: Site
name: s
engine: slurm
slurm: {dir: /shared}
pools: [{name: own, partition: a, rate: 12.5 EUR}, {name: none, partition: b}]
`))
	if err != nil {
		t.Fatal(err)
	}
	price := pricer(nil, offers)
	p5 := fleet.Pool{Site: "s", Name: "found", Provider: "aws", Region: "us-east-1", InstanceType: "p5.48xlarge", Option: "on-demand"}
	with := func(change func(*fleet.Pool)) fleet.Pool {
		changed := p5
		change(&changed)
		return changed
	}
	for name, c := range map[string]struct {
		pool     fleet.Pool
		rate     string // "" for one that is not known
		from     string
		chip     string
		perNode  int
		currency string
	}{
		"own rate": {with(func(p *fleet.Pool) { p.Name = "own" }), "12.5", "the site's file", "H100", 8, "EUR"},
		"catalog":  {p5, "55.04", "aws p5.48xlarge in us-east-1, on-demand", "H100", 8, "USD"},
		"no option is on-demand": {
			with(func(p *fleet.Pool) { p.Option = "" }), "55.04", "on-demand", "H100", 8, "USD",
		},
		"what the engine saw goes first": {
			with(func(p *fleet.Pool) { p.Chip, p.ChipsPerNode, p.Family = "H100", 4, "cuda" }), "55.04", "us-east-1", "H100", 4, "USD",
		},
		"no such region":       {with(func(p *fleet.Pool) { p.Region = "mars-1" }), "", "no on-demand offer of p5.48xlarge in mars-1", "H100", 8, "USD"},
		"unknown region":       {with(func(p *fleet.Pool) { p.Region = "" }), "", "a region that is not known", "H100", 8, "USD"},
		"unknown type":         {with(func(p *fleet.Pool) { p.InstanceType = "p5.48xlrge" }), "", "did you mean p5.48xlarge", "cpu", 1, "USD"},
		"no type":              {fleet.Pool{Site: "s", Name: "none"}, "", "its nodes are owned", "cpu", 1, "USD"},
		"a cloud without type": {fleet.Pool{Site: "s", Name: "none", Provider: "aws"}, "", "its instance type is not", "cpu", 1, "USD"},
		"a rate of elsewhere":  {with(func(p *fleet.Pool) { p.Name, p.InstanceType = "none", "" }), "", "give the pool a rate", "cpu", 1, "USD"},
	} {
		got := price(c.pool, file)
		if c.rate == "" {
			if !got.Unpriced || !got.Rate.IsZero() || !strings.Contains(got.RateSource, "no price is known") {
				t.Errorf("%s: %s from %s, unpriced %v", name, got.Rate, got.RateSource, got.Unpriced)
			}
		} else if got.Unpriced || got.Imputed || got.Rate.Decimal() != c.rate {
			t.Errorf("%s: %s from %s", name, got.Rate, got.RateSource)
		}
		if !strings.Contains(got.RateSource, c.from) || got.Chip != c.chip || got.ChipsPerNode != c.perNode || string(got.Rate.Currency) != c.currency {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Every engine that a file can name is wired.
func TestEveryEngineOpens(t *testing.T) {
	offers, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "config")
	config := "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n" +
		"clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\n"
	if err := os.WriteFile(kubeconfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, kind := range site.Engine("").Values() {
		s := &site.Site{
			Name: "s", Engine: site.Engine(kind), Kubernetes: &site.Kubernetes{Kubeconfig: kubeconfig}, Slurm: &site.Slurm{Dir: t.TempDir()},
		}
		opened, err := openSite(s, offers, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if closer, ok := opened.(io.Closer); ok {
			if err := closer.Close(); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
}

// The pools of the shipped examples have a price: their own, or the catalog's.
func TestExampleSitesArePriced(t *testing.T) {
	offers, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../examples/sites/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := site.Parse(path, data)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Pools {
			pool := fleet.Pool{
				Site: file.Name, Name: d.Name, Provider: cmp.Or(d.Provider, file.Provider), Region: cmp.Or(d.Region, file.Region),
				InstanceType: d.InstanceType, Option: string(d.Option), Chip: d.Chip, ChipsPerNode: d.ChipsPerNode,
			}
			if priced := pricer(nil, offers)(pool, file); priced.Unpriced {
				t.Errorf("%s: %s: %s", path, d.Name, priced.RateSource)
			}
		}
	}
}
