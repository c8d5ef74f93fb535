package slurm

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// node is what Slurm tells of a node that pools are made from.
type node struct {
	name       string
	partitions []string
	features   []string
	gres       []gres
	cores      int
	memory     int64 // bytes
	up         bool
}

// gres is a kind of generic resource of a node.
type gres struct {
	name, kind string // gpu, h100; kind is "" where Slurm was told none
	count      int
}

// Pools implements engine.Engine: the pools that the site's file declares, with
// the nodes that Slurm has for them now; where it declares none, one for each
// partition and kind of accelerator.
func (e *Engine) Pools(ctx context.Context) ([]fleet.Pool, error) {
	nodes, err := e.slurm.nodes(ctx, "")
	if err != nil {
		return nil, err
	}
	declared := e.site.Pools
	if len(declared) == 0 {
		declared = discovered(nodes)
	}
	pools := make([]fleet.Pool, 0, len(declared))
	for _, d := range declared {
		pools = append(pools, e.poolOf(d, nodes))
	}
	if len(pools) == 0 {
		return nil, fault.Newf(fault.NotFound, "site %s: Slurm has no nodes", e.site.Name)
	}
	return pools, nil
}

// pool is how jobs of a pool are asked for. The name of one that the file does
// not declare says it.
func (e *Engine) pool(name string) site.Pool {
	if declared := e.site.Pool(name); declared != nil {
		return *declared
	}
	partition, kind, found := strings.Cut(name, poolMark)
	if !found {
		return site.Pool{Name: name, Partition: partition}
	}
	return site.Pool{Name: name, Partition: partition, GRES: strings.ReplaceAll(kind, poolMark, ":")}
}

// poolMark is between the partition and the resource in the name of a discovered
// pool: main.gpu.h100.8.
const poolMark = "."

// discovered lists the pools of nodes that nobody declared: by partition, and
// within it by kind of accelerator. A node with two kinds is in two pools, and
// one in two partitions likewise; a site whose pools must not overlap declares
// them.
func discovered(nodes []node) []site.Pool {
	seen := map[string]bool{}
	var pools []site.Pool
	add := func(p site.Pool) {
		if !seen[p.Name] {
			seen[p.Name] = true
			pools = append(pools, p)
		}
	}
	for _, n := range nodes {
		for _, partition := range n.partitions {
			accelerated := false
			for _, g := range n.gres {
				if _, known := chipOf(g); known {
					accelerated = true
					add(site.Pool{Name: partition + poolMark + strings.ReplaceAll(g.String(), ":", poolMark), Partition: partition, GRES: g.String()})
				}
			}
			if !accelerated {
				add(site.Pool{Name: partition, Partition: partition})
			}
		}
	}
	slices.SortFunc(pools, func(a, b site.Pool) int { return cmp.Compare(a.Name, b.Name) })
	return pools
}

func (g gres) String() string {
	if g.kind == "" {
		return g.name + ":" + strconv.Itoa(g.count)
	}
	return g.name + ":" + g.kind + ":" + strconv.Itoa(g.count)
}

// poolOf is the pool with the nodes that are there for it.
func (e *Engine) poolOf(d site.Pool, nodes []node) fleet.Pool {
	pool := fleet.Pool{
		Site: e.site.Name, Name: d.Name, Provider: cmp.Or(d.Provider, e.site.Provider, "owned"), Region: cmp.Or(d.Region, e.site.Region),
		InstanceType: d.InstanceType, Option: string(d.Option), Family: string(d.Family), Chip: d.Chip, ChipsPerNode: d.ChipsPerNode,
		Cores: d.Cores, Memory: int64(d.Memory),
	}
	wanted := parseGRES(d.GRES)
	for _, n := range nodes {
		if !n.serves(d, wanted) {
			continue
		}
		if pool.MaxNodes++; n.up {
			pool.Nodes++
		}
		if d.Cores == 0 && (pool.Cores == 0 || n.cores < pool.Cores) {
			pool.Cores = n.cores
		}
		if d.Memory == 0 && (pool.Memory == 0 || n.memory < pool.Memory) {
			pool.Memory = n.memory
		}
	}
	pool.MaxNodes = max(pool.MaxNodes, d.Max)
	describeChips(&pool, wanted)
	return pool
}

// describeChips fills in what the declaration leaves to the resource's name.
func describeChips(pool *fleet.Pool, wanted []gres) {
	for _, g := range wanted {
		name, known := chipOf(g)
		if !known {
			continue
		}
		pool.Chip = cmp.Or(pool.Chip, name)
		pool.ChipsPerNode = cmp.Or(pool.ChipsPerNode, g.count)
		if pool.Family == "" {
			pool.Family = string(familyOf(g, pool.Chip))
		}
	}
	if pool.Chip != "" {
		if c, err := chip.Find(pool.Chip); err == nil {
			pool.Chip, pool.Family = c.ID, cmp.Or(pool.Family, string(c.Family))
		}
	}
	if pool.Family == "" {
		pool.Family, pool.Chip, pool.ChipsPerNode = string(chip.CPU), cmp.Or(pool.Chip, "cpu"), cmp.Or(pool.ChipsPerNode, 1)
	}
	pool.InstanceType = cmp.Or(pool.InstanceType, pool.Name)
}

// serves reports whether a job of the pool can run on the node.
func (n node) serves(d site.Pool, wanted []gres) bool {
	if d.Partition != "" && !slices.Contains(n.partitions, d.Partition) {
		return false
	}
	if !matchesFeatures(d.Constraint, n.features) {
		return false
	}
	for _, w := range wanted {
		if !slices.ContainsFunc(n.gres, func(g gres) bool {
			return g.name == w.name && (w.kind == "" || g.kind == w.kind) && g.count >= w.count
		}) {
			return false
		}
	}
	return true
}

// matchesFeatures reads constraints of features joined by & and |, from left to
// right as Slurm does. Of others (counts, brackets, parentheses) it believes the
// best: Slurm itself decides where jobs go.
func matchesFeatures(constraint string, features []string) bool {
	if constraint == "" || strings.ContainsAny(constraint, "*[]()!") {
		return true
	}
	result, and := true, true
	for len(constraint) > 0 {
		end := strings.IndexAny(constraint, "&|,")
		word, rest, mark := constraint, "", byte(0)
		if end >= 0 {
			word, rest, mark = constraint[:end], constraint[end+1:], constraint[end]
		}
		has := slices.Contains(features, strings.TrimSpace(word))
		if and {
			result = result && has
		} else {
			result = result || has
		}
		constraint, and = rest, mark != '|'
	}
	return result
}

// familyOf is the software stack of a resource.
func familyOf(g gres, name string) chip.Family {
	if c, err := chip.Find(name); err == nil {
		return c.Family
	}
	switch g.name {
	case "neuron", "neuroncore":
		return chip.Neuron
	case "tpu":
		return chip.TPU
	}
	return chip.CUDA
}

// chipOf names the chip of a resource: as its type says, else as the resource is
// called. Resources of other names hold no chips.
func chipOf(g gres) (string, bool) {
	switch g.name {
	case "gpu", "neuron", "tpu":
	default:
		return "", false
	}
	if c, err := chip.Find(g.kind); err == nil && g.kind != "" {
		return c.ID, true
	}
	switch {
	case g.kind != "":
		return g.kind, true
	case g.name == "neuron":
		return "Trainium2", true // the one with a Slurm of AWS's own making; a site with others says so
	}
	return g.name, true
}

// parseGRES reads "gpu:h100:8(S:0-1),neuron:16".
func parseGRES(text string) []gres {
	var found []gres
	for _, entry := range strings.FieldsFunc(stripSockets(text), func(r rune) bool { return r == ',' }) {
		fields := strings.Split(entry, ":")
		g := gres{name: fields[0], count: 1}
		if n, err := strconv.Atoi(fields[len(fields)-1]); err == nil && len(fields) > 1 {
			g.count, fields = n, fields[:len(fields)-1]
		}
		if len(fields) > 1 {
			g.kind = fields[1]
		}
		if g.name != "" && g.name != "(null)" {
			found = append(found, g)
		}
	}
	return found
}

// stripSockets removes what stands in parentheses: which sockets are near.
func stripSockets(text string) string {
	var b strings.Builder
	depth := 0
	for _, r := range text {
		switch {
		case r == '(':
			depth++
		case r == ')' && depth > 0:
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// parseNodes reads the lines of `scontrol --oneliner show node`.
func parseNodes(out string) []node {
	var nodes []node
	for _, record := range parseRecords(out) {
		if record["NodeName"] == "" {
			continue
		}
		cores, _ := strconv.Atoi(record["CPUEfctv"])
		if cores == 0 {
			cores, _ = strconv.Atoi(record["CPUTot"])
		}
		memory, _ := strconv.ParseInt(record["RealMemory"], 10, 64)
		nodes = append(nodes, node{
			name: record["NodeName"], partitions: words(record["Partitions"]), features: words(record["AvailableFeatures"]),
			gres: parseGRES(record["Gres"]), cores: cores, memory: memory << 20, up: isUp(record["State"]),
		})
	}
	return nodes
}

// isUp reports whether a node in the state can take a job, now or later.
func isUp(state string) bool {
	if strings.Contains(state, "*") { // does not answer
		return false
	}
	for part := range strings.SplitSeq(state, "+") {
		if slices.Contains([]string{"DOWN", "DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "ERROR", "FUTURE", "UNKNOWN", "MAINT", "NOT_RESPONDING"}, part) {
			return false
		}
	}
	return true
}

func words(list string) []string {
	return slices.DeleteFunc(strings.Split(list, ","), func(w string) bool { return w == "" || w == "(null)" })
}

// fieldForm finds the fields of a record: NAME=VALUE, where a value may have
// spaces in it.
const fieldForm = `(?:^| )([A-Za-z][A-Za-z0-9:_/]*)=`

// parseRecords reads lines of "Name=value Name=value".
func parseRecords(out string) []map[string]string {
	form := regexp.MustCompile(fieldForm)
	var records []map[string]string
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		record := map[string]string{}
		marks := form.FindAllStringSubmatchIndex(line, -1)
		for i, mark := range marks {
			end := len(line)
			if i+1 < len(marks) {
				end = marks[i+1][0]
			}
			if name := line[mark[2]:mark[3]]; record[name] == "" {
				record[name] = strings.TrimSpace(line[mark[1]:end])
			}
		}
		if len(record) > 0 {
			records = append(records, record)
		}
	}
	return records
}
