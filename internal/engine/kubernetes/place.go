package kubernetes

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// Resources that nodes offer beside cores and memory.
const (
	efaResource  corev1.ResourceName = "vpc.amazonaws.com/efa"
	hugeResource corev1.ResourceName = "hugepages-2Mi"
	// hugeForEFA is what AWS's examples for EFA ask for: 5120 MiB.
	hugeForEFA = 5120 << 20
)

// chipResources are the resources by which device plugins offer chips, in the
// order in which a node is asked for them. A NeuronCore is a part of a chip:
// where only those are offered a chip counts several.
func chipResources() []chipResource {
	return []chipResource{
		{"nvidia.com/gpu", chip.CUDA, false},
		{"aws.amazon.com/neuron", chip.Neuron, false},
		{"aws.amazon.com/neuroncore", chip.Neuron, true},
		{"amd.com/gpu", chip.ROCm, false},
		{"google.com/tpu", chip.TPU, false},
	}
}

type chipResource struct {
	name   corev1.ResourceName
	family chip.Family
	cores  bool // it counts cores, not chips
}

// place is where a gang may run: a pool as its nodes are now.
type place struct {
	fleet.Pool
	nodes    []*corev1.Node
	selector []corev1.NodeSelectorRequirement
	chip     chipResource // "" for hosts
	per      int          // units of the resource that make a chip
	topology []string
	promised int // EFA interfaces of a node, as the site's file says
}

func (p place) accelerated() bool { return p.chip.name != "" }

// placeOf finds the pool of a gang and whether it can ever hold it.
func (e *Engine) placeOf(g engine.Gang) (place, error) {
	var names []string
	for _, p := range e.places() {
		if p.Name != g.Pool {
			names = append(names, p.Name)
			continue
		}
		if g.Nodes > max(p.MaxNodes, p.Nodes) {
			return p, fault.Newf(fault.NoCapacity, "pool %s/%s has %d nodes, and %d at most; the gang needs %d", e.site.Name, p.Name, p.Nodes, p.MaxNodes, g.Nodes)
		}
		p.topology = e.cluster.Topology
		return p, nil
	}
	return place{}, fault.Newf(fault.Invalid, "site %s has no pool %q; it has %v", e.site.Name, g.Pool, names)
}

// chips is how many chips of a node the gang takes.
func (p place) chips(g engine.Gang) int {
	if !p.accelerated() {
		return 0
	}
	if g.Chips > 0 {
		return g.Chips
	}
	return p.ChipsPerNode
}

// whole reports whether the gang takes all chips of its nodes.
func (p place) whole(g engine.Gang) bool { return p.accelerated() && p.chips(g) >= p.ChipsPerNode }

// efa is how many EFA interfaces a node of the gang gets: all, where it has the
// node for itself and peers to talk to.
func (p place) efa(g engine.Gang) int64 {
	if !p.whole(g) || g.Nodes < 2 {
		return 0
	}
	return p.interfaces()
}

// interfaces is how many EFA interfaces a node of the pool has: as its nodes
// tell, or where an autoscaler has yet to bring the first, as its file says.
// Huge pages are asked for on nodes that are there only: an autoscaler that
// does not know of them would bring none.
func (p place) interfaces() int64 {
	if len(p.nodes) == 0 {
		return int64(p.promised)
	}
	return p.least(efaResource)
}

// least is the smallest amount of a resource that a node of the pool offers.
func (p place) least(name corev1.ResourceName) int64 {
	var found int64
	for i, node := range p.nodes {
		q := node.Status.Allocatable[name]
		if i == 0 || q.Value() < found {
			found = q.Value()
		}
	}
	return found
}

// resources are those of the ranks' container on each node. Chips and pages
// are whole and taken, cores are asked for: a tenth is left to the node's own pods.
func (p place) resources(g engine.Gang) corev1.ResourceRequirements {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	if g.Cores > 0 {
		requests[corev1.ResourceCPU] = *resource.NewMilliQuantity(int64(g.Cores)*900, resource.DecimalSI)
	}
	if g.Memory > 0 {
		requests[corev1.ResourceMemory], limits[corev1.ResourceMemory] = quantity(g.Memory), quantity(g.Memory)
	}
	if p.accelerated() {
		limits[p.chip.name] = quantity(int64(p.chips(g) * p.per))
	}
	if n := p.efa(g); n > 0 {
		limits[efaResource] = quantity(n)
		if huge := min(p.least(hugeResource), hugeForEFA); huge > 0 {
			limits[hugeResource] = *resource.NewQuantity(huge, resource.BinarySI)
			if g.Memory == 0 { // pages need some beside them
				requests[corev1.ResourceMemory] = *resource.NewQuantity(1<<30, resource.BinarySI)
			}
		}
	}
	return corev1.ResourceRequirements{Requests: requests, Limits: limits}
}

// security lets the ranks pin memory for their network.
func (p place) security() *corev1.SecurityContext {
	if p.interfaces() == 0 {
		return nil
	}
	return &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"IPC_LOCK"}}}
}

// variables are what the chip family's software needs to know; those of the
// workload go before them.
func (p place) variables(g engine.Gang, f form) map[string]string {
	vars := map[string]string{}
	switch p.chip.family {
	case chip.CUDA, chip.ROCm:
		vars["NCCL_DEBUG"] = "WARN"
		if g.Nodes > 1 {
			vars["NCCL_SOCKET_IFNAME"] = "^lo,docker"
		}
	case chip.Neuron:
		// The runtime reads it in each process. One alone, such as torchrun, hands
		// out the cores of its node itself.
		if each := p.chips(g) * p.neuronCores() / ranksPerNode(g); each > 0 && ranksPerNode(g) > 1 {
			vars["NEURON_RT_NUM_CORES"] = fmt.Sprint(each)
		}
		vars["NEURON_RT_STOCHASTIC_ROUNDING_EN"] = "1"
		if g.Nodes > 1 {
			name := objectName(g.Key)
			vars["NEURON_RT_ROOT_COMM_ID"] = fmt.Sprintf("%s.%s:%d", f.host(name, 0), name, neuronPort)
		}
	}
	if p.efa(g) > 0 {
		maps.Copy(vars, map[string]string{"FI_PROVIDER": "efa", "FI_EFA_USE_DEVICE_RDMA": "1", "FI_EFA_FORK_SAFE": "1"})
	}
	return vars
}

// neuronCores is how many cores the Neuron software counts on a chip of the pool.
func (p place) neuronCores() int {
	if known, err := chip.Find(p.Chip); err == nil && known.Cores > 0 {
		return known.Cores
	}
	return 1
}

// affinity keeps the gang on the nodes of its pool, each on one of its own,
// away from those to avoid, and within one network domain where it fits.
func (p place) affinity(g engine.Gang, name string) *corev1.Affinity {
	required := slices.Clone(p.selector)
	if len(g.Avoid) > 0 {
		required = append(required, corev1.NodeSelectorRequirement{Key: hostnameLabel, Operator: corev1.NodeSelectorOpNotIn, Values: p.hostnames(g.Avoid)})
	}
	a := &corev1.Affinity{}
	if len(required) > 0 {
		a.NodeAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: required}},
		}}
	}
	if g.Nodes < 2 {
		return a
	}
	mates := &metav1.LabelSelector{MatchLabels: map[string]string{labelGang: name}}
	if !p.whole(g) {
		a.PodAntiAffinity = &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{LabelSelector: mates, TopologyKey: hostnameLabel},
		}}
	}
	p.together(a, g, mates)
	return a
}

// hostnames are the labels of nodes by their names, which most clusters make
// the same.
func (p place) hostnames(names []string) []string {
	labels := slices.Clone(names)
	for _, node := range p.nodes {
		if i := slices.Index(names, node.Name); i >= 0 && node.Labels[hostnameLabel] != "" {
			labels[i] = node.Labels[hostnameLabel]
		}
	}
	return labels
}

// together prefers one domain for the whole gang, the narrowest that could
// hold it most of all. It is a preference: a domain that others fill must not
// keep the gang from running.
func (p place) together(a *corev1.Affinity, g engine.Gang, mates *metav1.LabelSelector) {
	weight := int32(100)
	for _, label := range p.topology {
		if p.largestDomain(label) < g.Nodes {
			continue
		}
		if a.PodAffinity == nil {
			a.PodAffinity = &corev1.PodAffinity{}
		}
		a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution = append(a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution,
			corev1.WeightedPodAffinityTerm{Weight: weight, PodAffinityTerm: corev1.PodAffinityTerm{LabelSelector: mates, TopologyKey: label}})
		weight = max(weight/2, 1)
	}
}

func (p place) largestDomain(label string) int {
	counts, most := map[string]int{}, 0
	for _, node := range p.nodes {
		if domain := node.Labels[label]; domain != "" {
			counts[domain]++
			most = max(most, counts[domain])
		}
	}
	return most
}

// tolerations let the gang onto the nodes of its chip family, and off a node
// that is lost soon.
func (e *Engine) tolerations(p place) []corev1.Toleration {
	seconds := int64(nodeLostAfter.Seconds())
	list := []corev1.Toleration{
		{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds},
		{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds},
	}
	if p.accelerated() {
		list = append(list, corev1.Toleration{Key: string(p.chip.name), Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})
	}
	for _, t := range e.cluster.Tolerations {
		list = append(list, corev1.Toleration{Key: t.Key, Operator: corev1.TolerationOperator(t.Operator), Value: t.Value, Effect: corev1.TaintEffect(t.Effect)})
	}
	return list
}
