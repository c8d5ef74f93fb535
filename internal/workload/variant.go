package workload

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Variant is how a workload runs on one chip family.
type Variant struct {
	Command []string          `json:"command,omitempty" jsonschema_description:"Program and arguments of every rank. With an image it may be left out."`
	Image   string            `json:"image,omitempty" jsonschema_description:"Container image, for engines that run containers."`
	Env     map[string]string `json:"env,omitempty"`
	Secrets []Secret          `json:"secrets,omitempty" jsonschema_description:"Environment variables whose values are kept elsewhere."`
	Mounts  []Mount           `json:"mounts,omitempty"`
	Ports   []Port            `json:"ports,omitempty"`

	Ranks        int         `json:"ranks,omitempty" jsonschema:"minimum=1" jsonschema_description:"Ranks over all nodes. Default: one per chip, and one for family cpu."`
	RanksPerNode int         `json:"ranks_per_node,omitempty" jsonschema:"minimum=1" jsonschema_description:"Ranks on each node. Default: one per chip, and one for family cpu."`
	Cores        int         `json:"cores,omitempty" jsonschema:"minimum=1" jsonschema_description:"Host cores per rank. Default: whole nodes."`
	Memory       units.Bytes `json:"memory,omitempty" jsonschema_description:"Host memory per rank."`

	Checkpoint VariantCheckpoint `json:"checkpoint,omitzero"`
}

// Secret is an environment variable whose value the engine's site holds.
type Secret struct {
	Name string `json:"name" jsonschema:"required" jsonschema_description:"The environment variable."`
	From string `json:"from" jsonschema:"required" jsonschema_description:"The secret that holds the value, as secret/key."`
}

// Mount makes a dataset or a directory of the node visible to the ranks.
type Mount struct {
	Path     string `json:"path" jsonschema:"required" jsonschema_description:"Absolute path that the ranks see."`
	Data     string `json:"data,omitempty" jsonschema_description:"Name of a dataset under data."`
	From     string `json:"from,omitempty" jsonschema_description:"Directory on the node, or a volume that the site knows."`
	ReadOnly bool   `json:"read_only,omitempty"`
}

// Port is one that the ranks listen on.
type Port struct {
	Name string `json:"name" jsonschema:"required"`
	Port int    `json:"port" jsonschema:"required,minimum=1,maximum=65535"`
}

// Checkpoint is when checkpoints are written and how many are kept.
type Checkpoint struct {
	Every units.Duration `json:"every,omitempty" jsonschema_description:"Time between checkpoints. Default: the best for the expected failures."`
	Keep  int            `json:"keep,omitempty" jsonschema:"minimum=1" jsonschema_description:"Checkpoints kept. Default: 3."`
}

// VariantCheckpoint is what a variant's code reads and writes, and its own
// Checkpoint where it differs from the workload's.
type VariantCheckpoint struct {
	Reads  []string `json:"reads,omitempty" jsonschema_description:"Formats it can resume from."`
	Writes string   `json:"writes,omitempty" jsonschema_description:"The format that it writes."`
	// Sharded tells that the ranks of every node write a part of each checkpoint.
	Sharded bool `json:"sharded,omitempty" jsonschema_description:"The ranks of every node write a part of each checkpoint, in a folder of the same name; else those of node 0 write all of it."`
	Checkpoint
}

// Restarts is what happens when an attempt fails. What is not given is the
// installation's to say.
type Restarts struct {
	Limit      *int           `json:"limit,omitempty" jsonschema:"minimum=0" jsonschema_description:"Failed attempts after which the run is given up; 0 gives up at the first. Default: as yard is set."`
	Backoff    units.Duration `json:"backoff,omitempty" jsonschema_description:"Wait before the first restart, doubled each time. Default: as yard is set."`
	MaxBackoff units.Duration `json:"max_backoff,omitempty" jsonschema_description:"Longest wait. Default: as yard is set."`
}

// Families lists the chip families that the workload has a variant for, sorted.
func (c *Common) Families() []chip.Family {
	families := make([]chip.Family, 0, len(c.Variants))
	for family := range c.Variants {
		families = append(families, family)
	}
	slices.Sort(families)
	return families
}

// CheckpointOf is the checkpoint policy on a chip family: the variant's, and
// where that is silent the workload's.
func (w *Workload) CheckpointOf(family chip.Family) VariantCheckpoint {
	policy := w.Variants[family].Checkpoint
	if w.Training == nil {
		return policy
	}
	if policy.Every == 0 {
		policy.Every = w.Training.Checkpoint.Every
	}
	if policy.Keep == 0 {
		policy.Keep = w.Training.Checkpoint.Keep
	}
	return policy
}

// Gang is how many ranks run over nodes of so many chips; for family cpu,
// chips is 0.
func (v Variant) Gang(nodes, chips int) int {
	switch {
	case v.Ranks > 0:
		return v.Ranks
	case v.RanksPerNode > 0:
		return v.RanksPerNode * nodes
	}
	return max(1, chips) * nodes
}

// Unreadable says why the variant of one chip family cannot go on from the
// checkpoints that the variant of another writes, or "".
func (c *Common) Unreadable(from, to chip.Family) string {
	writes, reads := c.Variants[from].Checkpoint.Writes, c.Variants[to].Checkpoint.Reads
	switch {
	case from == to:
		return ""
	case writes == "":
		return fmt.Sprintf("the %s variant does not say which checkpoints it writes (variants.%s.checkpoint.writes)", from, from)
	case len(reads) == 0:
		return fmt.Sprintf("the %s variant does not say which checkpoints it reads (variants.%s.checkpoint.reads)", to, to)
	case !slices.Contains(reads, writes):
		return fmt.Sprintf("the %s variant writes %s and the %s variant reads %s", from, writes, to, strings.Join(reads, ", "))
	}
	return ""
}
