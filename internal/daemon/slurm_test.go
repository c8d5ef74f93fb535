package daemon

import (
	"testing"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/site"
)

func TestPoolsOfSlurmHaveTheirTypesChips(t *testing.T) {
	offers, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	of := site.Site{Provider: "aws", Pools: []site.Pool{
		{Name: "p5", InstanceType: "p5.48xlarge"},
		{Name: "said", InstanceType: "p5.48xlarge", Chip: "H200", ChipsPerNode: 4},
		{Name: "half", InstanceType: "trn2.48xlarge", ChipsPerNode: 8},
		{Name: "unknown", InstanceType: "cupboard"},
	}}
	got := withCatalogChips(of, offers).Pools
	for i, want := range []struct {
		chip  string
		chips int
	}{{"H100", 8}, {"H200", 4}, {"Trainium2", 8}, {"", 0}} {
		if got[i].Chip != want.chip || got[i].ChipsPerNode != want.chips {
			t.Errorf("pool %s has %d × %q; want %d × %q", got[i].Name, got[i].ChipsPerNode, got[i].Chip, want.chips, want.chip)
		}
	}
	if of.Pools[0].Chip != "" {
		t.Error("the site's own pools were changed")
	}
}
