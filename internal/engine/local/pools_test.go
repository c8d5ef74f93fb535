package local_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/engine/local"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

const (
	eightH100 = `0, NVIDIA H100 80GB HBM3, 81559
1, NVIDIA H100 80GB HBM3, 81559
2, NVIDIA H100 80GB HBM3, 81559
3, NVIDIA H100 80GB HBM3, 81559
4, NVIDIA H100 80GB HBM3, 81559
5, NVIDIA H100 80GB HBM3, 81559
6, NVIDIA H100 80GB HBM3, 81559
7, NVIDIA H100 80GB HBM3, 81559
`
	mixed = `0, NVIDIA L4, 23034
1, NVIDIA A100-SXM4-40GB, 40960
2, NVIDIA L4, 23034
3, NVIDIA GeForce RTX 4090, 24564
`
	usualNames = `0, NVIDIA A100-SXM4-80GB, 81920
1, NVIDIA A100 80GB PCIe, 81920
2, NVIDIA H100 PCIe, 81559
3, NVIDIA H200, 143771
4, NVIDIA B200, 183359
5, Tesla T4, 15360
6, Tesla V100-SXM2-16GB, 16384
7, NVIDIA GH200 480GB, 97871
`
	twoTrainium2 = `[
 {"neuron_device": 0, "bdf": "cc:00.0", "connected_to": [12, 3, 4, 1], "nc_count": 8, "memory_size": 103079215104, "neuron_processes": []},
 {"neuron_device": 1, "bdf": "b5:00.0", "connected_to": [13, 0, 5, 2], "nc_count": 8, "memory_size": 103079215104, "neuron_processes": []}
]`
	inferentia1 = `[{"neuron_device": 0, "bdf": "00:1f.0", "connected_to": null, "nc_count": 4, "memory_size": 8589934592, "neuron_processes": null}]`
)

func TestPools(t *testing.T) {
	for _, tt := range []struct {
		name           string
		nvidia, neuron string // "" where the tool is not installed
		want           string // name family chip chips
	}{
		{name: "nothing but the host", want: "cpu cpu cpu 1"},
		{name: "eight alike", nvidia: eightH100, want: "cpu cpu cpu 1; h100 cuda H100 8"},
		{name: "several kinds", nvidia: mixed,
			want: "cpu cpu cpu 1; a100-40gb cuda A100-40GB 1; geforce-rtx-4090 cuda GeForce RTX 4090 1; l4 cuda L4 2"},
		{name: "usual names", nvidia: usualNames,
			want: "cpu cpu cpu 1; a100-80gb cuda A100-80GB 1; a100-80gb-pcie cuda A100-80GB-PCIe 1; b200 cuda B200 1; " +
				"gh200-96gb cuda GH200-96GB 1; h100-pcie cuda H100-PCIe 1; h200 cuda H200 1; t4 cuda T4 1; v100-16gb cuda V100-16GB 1"},
		{name: "trainium", neuron: twoTrainium2, want: "cpu cpu cpu 1; trainium2 neuron Trainium2 2"},
		{name: "inferentia", neuron: inferentia1, want: "cpu cpu cpu 1; inferentia1 neuron Inferentia1 1"},
		{name: "no driver", nvidia: "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", neuron: "{", want: "cpu cpu cpu 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked []string
			run := func(_ context.Context, name string, _ ...string) ([]byte, error) {
				asked = append(asked, name)
				out := map[string]string{"nvidia-smi": tt.nvidia, "neuron-ls": tt.neuron}[name]
				if out == "" {
					return nil, exec.ErrNotFound
				}
				return []byte(out), nil
			}
			e := local.New(t.TempDir(), nil, run)
			pools, err := e.Pools(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(pools); got != tt.want {
				t.Errorf("pools %q; want %q", got, tt.want)
			}
			for _, p := range pools {
				if p.Site != "local" || p.Cores < 1 || p.Memory < 1<<20 || p.Nodes != 1 || p.MaxNodes != 1 || !p.Rate.IsZero() {
					t.Errorf("pool %+v; want one node of this machine, without a rate", p)
				}
			}
			if _, err := e.Pools(t.Context()); err != nil || !slices.Equal(asked, []string{"nvidia-smi", "neuron-ls"}) {
				t.Errorf("asked %v, %v; want each tool once", asked, err)
			}
		})
	}
}

func describe(pools []fleet.Pool) string {
	var parts []string
	for _, p := range pools {
		parts = append(parts, strings.Join([]string{p.Name, p.Family, p.Chip, string(rune('0' + p.ChipsPerNode))}, " "))
	}
	return strings.Join(parts, "; ")
}

func TestSystemRunsPrograms(t *testing.T) {
	out, err := local.System(t.Context(), "sh", "-c", "echo said")
	if err != nil || string(out) != "said\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := local.System(t.Context(), filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("an absent program gave no error")
	}
}
