package local

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/mem"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

const (
	site = "local"
	// askFor bounds each tool: nvidia-smi takes a second or two without its
	// persistence daemon, and a wedged driver would keep it for ever.
	askFor = 10 * time.Second
	// hardwareAge is how long what was detected is believed.
	hardwareAge = time.Minute
)

// Runner runs a program and returns its standard output.
type Runner func(ctx context.Context, name string, args ...string) ([]byte, error)

// System runs programs of this machine.
func System(ctx context.Context, name string, args ...string) ([]byte, error) {
	return exec.CommandContext(ctx, name, args...).Output()
}

// hardware remembers what was detected, since asking takes seconds.
type hardware struct {
	run   Runner
	mu    sync.Mutex
	pools []fleet.Pool
	asked time.Time
}

// Pools implements engine.Engine: the pool "cpu", which is this machine without
// its accelerators, and one pool for each kind of accelerator. A tool that is
// not there, or fails, finds none: images with nvidia-smi run on hosts without
// a GPU too.
func (e *Engine) Pools(ctx context.Context) ([]fleet.Pool, error) {
	h := e.hardware
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pools != nil && time.Since(h.asked) < hardwareAge {
		return slices.Clone(h.pools), nil
	}
	memory, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return nil, fault.Wrap(fault.Transient, err, "asking for this machine's memory")
	}
	host := fleet.Pool{
		Site: site, Name: "cpu", Provider: site, InstanceType: "this-machine",
		Family: string(chip.CPU), Chip: "cpu", ChipsPerNode: 1, Nodes: 1, MaxNodes: 1,
		Cores: runtime.GOMAXPROCS(0), Memory: memoryLimit(int64(memory.Total)),
	}
	pools := []fleet.Pool{host}
	for _, found := range append(h.nvidia(ctx), h.neuron(ctx)...) {
		pool := host
		pool.Name, pool.Family, pool.Chip, pool.ChipsPerNode = slug(found.chip), string(found.family), found.chip, found.count
		pools = append(pools, pool)
	}
	h.pools, h.asked = pools, time.Now()
	return slices.Clone(pools), nil
}

// memoryLimit is what this process's control group leaves of the memory.
func memoryLimit(total int64) int64 {
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && limit > 0 {
			total = min(total, limit)
		}
	}
	return total
}

// accelerators are the chips of one kind in this machine.
type accelerators struct {
	family chip.Family
	chip   string
	count  int
}

func (h *hardware) ask(ctx context.Context, name string, args ...string) []byte {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	out, err := h.run(ctx, name, args...)
	if err != nil {
		return nil
	}
	return out
}

func (h *hardware) nvidia(ctx context.Context) []accelerators {
	return parseNVIDIA(h.ask(ctx, "nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits"))
}

// parseNVIDIA reads lines "0, NVIDIA H100 80GB HBM3, 81559".
func parseNVIDIA(out []byte) []accelerators {
	reader := csv.NewReader(bytes.NewReader(out))
	reader.TrimLeadingSpace = true
	rows, err := reader.ReadAll()
	if err != nil {
		return nil
	}
	var chips []string
	for _, row := range rows {
		if len(row) == 3 {
			chips = append(chips, nvidiaChip(strings.TrimSpace(row[1])))
		}
	}
	return countChips(chip.CUDA, chips)
}

// nvidiaChip is our name of what nvidia-smi calls so; one that is not known
// stays as it is, so that an overlay can price it.
func nvidiaChip(name string) string {
	name = strings.TrimPrefix(name, "NVIDIA ")
	if known, err := chip.Find(name); err == nil && known.Family == chip.CUDA {
		return known.ID
	}
	return name
}

func (h *hardware) neuron(ctx context.Context) []accelerators {
	out := h.ask(ctx, "neuron-ls", "--json-output")
	if len(out) == 0 {
		return nil
	}
	// Trainium1 and Inferentia2 have the same cores and memory: the machine's
	// own name tells them apart.
	product, _ := os.ReadFile("/sys/devices/virtual/dmi/id/product_name")
	return parseNeuron(out, strings.TrimSpace(string(product)))
}

// neuronDevice is what neuron-ls tells of one device that we need.
type neuronDevice struct {
	Cores  int   `json:"nc_count"`
	Memory int64 `json:"memory_size"` // bytes
}

// parseNeuron reads the list of devices of `neuron-ls --json-output`.
func parseNeuron(out []byte, product string) []accelerators {
	var devices []neuronDevice
	if json.Unmarshal(out, &devices) != nil {
		return nil
	}
	var chips []string
	for _, device := range devices {
		chips = append(chips, neuronChip(device, product))
	}
	return countChips(chip.Neuron, chips)
}

// neuronChip tells the chip by its memory and cores (AWS's Neuron architecture
// guide: Inferentia1 8 GiB and 4 cores, Trainium1 and Inferentia2 32 GiB and 2,
// Trainium2 96 GiB and 8, Trainium3 144 GiB and 8).
func neuronChip(device neuronDevice, product string) string {
	const gib = 1 << 30
	switch {
	case device.Memory > 100*gib:
		return "Trainium3"
	case device.Memory > 40*gib:
		return "Trainium2"
	case device.Cores == 4:
		return "Inferentia1"
	case strings.HasPrefix(product, "inf2"):
		return "Inferentia2"
	}
	return "Trainium1"
}

func countChips(family chip.Family, chips []string) []accelerators {
	counts := map[string]int{}
	for _, name := range chips {
		counts[name]++
	}
	var found []accelerators
	for name, count := range counts {
		found = append(found, accelerators{family, name, count})
	}
	slices.SortFunc(found, func(a, b accelerators) int { return cmp.Compare(a.chip, b.chip) })
	return found
}

func slug(name string) string { return strings.ReplaceAll(strings.ToLower(name), " ", "-") }
