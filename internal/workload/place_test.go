package workload

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/units"
)

func TestExcludes(t *testing.T) {
	data := `
place:
  allow: {providers: [aws, nebius], regions: [us-*, eu-north1]}
  forbid: {chipmakers: [amd], regions: [us-west-*], options: [spot]}
data:
  - {name: corpus, uri: s3://c, residency: [us-east-1, us-west-2]}
`
	w, err := Parse("w.yaml", []byte(small+data), testNow)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		provider string
		maker    chip.Maker
		region   string
		option   catalog.Option
		want     string
	}{
		{"aws", chip.NVIDIA, "us-east-1", catalog.OnDemand, ""},
		{"azure", chip.NVIDIA, "us-east-1", catalog.OnDemand, "provider azure is not among the allowed (aws, nebius)"},
		{"aws", chip.AMD, "us-east-1", catalog.OnDemand, "chipmaker amd is forbidden"},
		{"aws", chip.AWS, "us-east-1", catalog.Spot, "option spot is forbidden"},
		{"aws", chip.AWS, "us-east-1", catalog.CapacityBlock, ""},
		{"aws", chip.AWS, "us-west-2", catalog.OnDemand, "region us-west-2 is forbidden"},
		{"nebius", chip.NVIDIA, "eu-north1", catalog.OnDemand, "data corpus may not be read in region eu-north1, only in us-east-1, us-west-2"},
		{"local", chip.Host, "", "", "provider local is not among the allowed (aws, nebius); " +
			"region (none) is not among the allowed (us-*, eu-north1); data corpus may not be read in region (none), only in us-east-1, us-west-2"},
	} {
		if got := strings.Join(w.Excludes(c.provider, c.maker, c.region, c.option), "; "); got != c.want {
			t.Errorf("%s %s %s %s:\ngot  %s\nwant %s", c.provider, c.maker, c.region, c.option, got, c.want)
		}
	}
	spot, err := Parse("w.yaml", []byte(small+"place: {allow: {options: [spot], chipmakers: [aws, google]}}\n"), testNow)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"chipmaker nvidia is not among the allowed (aws, google)", "option on-demand is not among the allowed (spot)"}
	if diff := cmp.Diff(want, spot.Excludes("aws", chip.NVIDIA, "us-east-1", catalog.OnDemand)); diff != "" {
		t.Error(diff)
	}
	open, err := Parse("w.yaml", []byte(small), testNow)
	if err != nil || open.Excludes("local", chip.Host, "", "") != nil {
		t.Errorf("a workload without a place excludes this machine: %v", err)
	}
}

func TestBudget(t *testing.T) {
	for text, want := range map[string]units.Amount{
		"$9.0M":        {Micros: 9_000_000_000_000, Currency: "USD"},
		"$ 12.50":      {Micros: 12_500_000, Currency: "USD"},
		"9000000 EUR":  {Micros: 9_000_000_000_000, Currency: "EUR"},
		"9,000,000EUR": {Micros: 9_000_000_000_000, Currency: "EUR"},
		"1.5k USD":     {Micros: 1_500_000_000, Currency: "USD"},
		"€3B":          {Micros: 3_000_000_000_000_000, Currency: "EUR"},
		"£0.000001":    {Micros: 1, Currency: "GBP"},
		"$5 USD":       {Micros: 5_000_000, Currency: "USD"},
	} {
		var b Budget
		if err := b.UnmarshalText([]byte(text)); err != nil || b.Amount != want {
			t.Errorf("%q is %v, %v; want %v", text, b.Amount, err, want)
		}
	}
	for _, text := range []string{"", "9.0M", "0 USD", "$0", "-5 USD", "$9T", "$0.0000001", "9e6 USD", "USD 9", "¥9", "$99999999999999B", "$5 EUR", "five dollars"} {
		var b Budget
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %v", text, b.Amount)
		}
	}
}

func TestDeadline(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2027-03-01":                time.Date(2027, 3, 2, 0, 0, 0, 0, time.UTC),
		"2027-03-01T12:00:00Z":      time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC),
		"2027-03-01T12:00:00+02:00": time.Date(2027, 3, 1, 10, 0, 0, 0, time.UTC),
	} {
		var d Deadline
		if err := d.UnmarshalText([]byte(text)); err != nil || !d.Time.Equal(want) || d.String() != text {
			t.Errorf("%q is %v (%s), %v; want %v", text, d.Time, d, err, want)
		}
	}
	for _, text := range []string{"", "2027-02-30", "01.03.2027", "2027-03-01 12:00", "tomorrow"} {
		var d Deadline
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %v", text, d.Time)
		}
	}
}

func TestGang(t *testing.T) {
	for _, c := range []struct {
		variant      Variant
		nodes, chips int
		want         int
	}{
		{Variant{}, 4, 8, 32},
		{Variant{}, 2, 0, 2}, // family cpu: one rank a node
		{Variant{RanksPerNode: 2}, 4, 8, 8},
		{Variant{Ranks: 6, RanksPerNode: 2}, 3, 8, 6},
	} {
		if got := c.variant.Gang(c.nodes, c.chips); got != c.want {
			t.Errorf("%+v over %d nodes of %d: %d ranks, want %d", c.variant, c.nodes, c.chips, got, c.want)
		}
	}
}

func TestCheckpointOfAVariant(t *testing.T) {
	file := strings.Replace(small, "command: [train]", "command: [train]\n    checkpoint: {reads: [dcp], writes: dcp, every: 20m}", 1)
	w, err := Parse("w.yaml", []byte(file+"checkpoint: {every: 1h, keep: 7}\n"), testNow)
	if err != nil {
		t.Fatal(err)
	}
	want := VariantCheckpoint{Reads: []string{"dcp"}, Writes: "dcp", Checkpoint: Checkpoint{Every: units.Duration(20 * time.Minute), Keep: 7}}
	if diff := cmp.Diff(want, w.CheckpointOf(chip.CUDA)); diff != "" {
		t.Error(diff)
	}
	if got := w.CheckpointOf(chip.Neuron); got.Every != units.Duration(time.Hour) || got.Keep != 7 {
		t.Errorf("without a variant: %+v", got)
	}
}

func TestBatchTotal(t *testing.T) {
	request := Request{InputTokens: 1000, OutputTokens: 100}
	for _, c := range []struct {
		batch Batch
		want  int64
	}{
		{Batch{Request: request, Requests: 5}, 5},
		{Batch{Request: request, OutputTokens: 1001}, 11},
		{Batch{Request: request, InputTokens: 1_000_000}, 1000},
		{Batch{Request: request}, 0},
	} {
		if got := c.batch.Total(); got != c.want {
			t.Errorf("%+v: %d requests, want %d", c.batch, got, c.want)
		}
	}
}
