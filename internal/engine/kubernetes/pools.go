package kubernetes

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// Labels by which clouds and device plugins tell what a node is.
const (
	typeLabel   = "node.kubernetes.io/instance-type"
	regionLabel = "topology.kubernetes.io/region"
)

// Pools implements engine.Engine: the pools that the site's file declares, and
// those of the nodes that no declaration takes.
func (e *Engine) Pools(ctx context.Context) ([]fleet.Pool, error) {
	if err := e.watch.ready(ctx); err != nil {
		return nil, err
	}
	if _, err := e.facilities(ctx); err != nil { // also tells whether the cluster answers
		return nil, err
	}
	held, err := e.heldByOthers(ctx)
	if err != nil {
		return nil, err
	}
	var pools []fleet.Pool
	for _, p := range e.places() {
		for _, node := range p.nodes {
			if p.accelerated() && held[node.Name] && e.usable(node) {
				p.Others++
			}
		}
		pools = append(pools, p.Pool)
	}
	return pools, nil
}

// places groups the nodes as they are now.
func (e *Engine) places() []place {
	declared := make([]place, len(e.site.Pools))
	found := map[string]*place{}
	nodes := e.allNodes()
	for _, node := range nodes {
		if i := slices.IndexFunc(e.site.Pools, func(d site.Pool) bool { return d.Matches(node.Labels) }); i >= 0 {
			declared[i].nodes = append(declared[i].nodes, node)
			continue
		}
		if isControlPlane(node) {
			continue
		}
		name := discoveredName(node)
		if found[name] == nil {
			found[name] = &place{}
		}
		found[name].nodes = append(found[name].nodes, node)
	}
	var places []place
	for i, d := range e.site.Pools {
		p := declared[i]
		for key, value := range d.Labels {
			p.selector = append(p.selector, corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{value}})
		}
		slices.SortFunc(p.selector, func(a, b corev1.NodeSelectorRequirement) int { return cmp.Compare(a.Key, b.Key) })
		places = append(places, e.describe(p, d.Name, d))
	}
	for name, p := range found {
		p.selector = discoveredSelector(p.nodes)
		places = append(places, e.describe(*p, name, site.Pool{}))
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.Name, b.Name) })
	return places
}

func (e *Engine) allNodes() []*corev1.Node {
	var nodes []*corev1.Node
	for _, object := range e.watch.nodes.GetStore().List() {
		nodes = append(nodes, object.(*corev1.Node))
	}
	slices.SortFunc(nodes, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	return nodes
}

func isControlPlane(node *corev1.Node) bool {
	_, ok := node.Labels["node-role.kubernetes.io/control-plane"]
	return ok
}

// describe makes the pool of a group of nodes; what its declaration says goes
// before what nodes tell, and that before the catalog.
func (e *Engine) describe(p place, name string, d site.Pool) place {
	p.Pool = fleet.Pool{Site: e.site.Name, Name: name, Family: string(chip.CPU), Chip: "cpu", ChipsPerNode: 1}
	p.chip, p.per = chipResource{}, 1
	var first *corev1.Node
	for _, node := range p.nodes {
		if e.usable(node) {
			p.Nodes++
		}
		if first == nil {
			first = node
		}
	}
	if first != nil {
		p.fromNode(first)
	}
	p.Provider = cmp.Or(d.Provider, e.site.Provider, p.Provider, "owned")
	p.Region = cmp.Or(d.Region, e.site.Region, p.Region)
	p.InstanceType = cmp.Or(d.InstanceType, p.InstanceType, name)
	p.Option = cmp.Or(string(d.Option), p.Option, string(catalog.OnDemand))
	e.fromCatalog(&p)
	p.fromDeclaration(d)
	p.MaxNodes = max(p.Nodes, d.Max)
	return p
}

// usable reports whether a node takes new pods.
func (e *Engine) usable(node *corev1.Node) bool {
	return !node.Spec.Unschedulable && e.nodeReady(node.Name)
}

func (p *place) fromNode(node *corev1.Node) {
	p.Provider, p.Region = providerOf(node), node.Labels[regionLabel]
	p.InstanceType, p.Option = node.Labels[typeLabel], string(optionOf(node))
	p.Cores, p.Memory = int(p.least(corev1.ResourceCPU)), p.least(corev1.ResourceMemory)
	if r, n := chipsOf(node); n > 0 {
		p.chip, p.Family, p.ChipsPerNode, p.Chip = r, string(r.family), n, chipName(node, r)
	}
}

// fromCatalog adds what the provider says of the instance type.
func (e *Engine) fromCatalog(p *place) {
	if e.options.Catalog == nil {
		return
	}
	t, err := e.options.Catalog.Type(p.Provider, p.InstanceType)
	if err != nil || t.Chip == nil {
		return
	}
	if t.Chip.Family == chip.CPU {
		return
	}
	if p.chip.cores { // the node counts cores: the type tells how many make a chip
		p.per = max(p.ChipsPerNode/max(t.Chips, 1), 1)
		p.ChipsPerNode = t.Chips
	}
	if p.accelerated() {
		p.Chip = t.Chip.ID
	} else if p.Nodes == 0 {
		p.declareChip(t.Chip, t.Chips)
	}
	p.Cores, p.Memory = cmp.Or(p.Cores, t.VCPUs), cmp.Or(p.Memory, int64(t.HostMemory))
}

// fromDeclaration lets the site's file have the last word.
func (p *place) fromDeclaration(d site.Pool) {
	if d.Chip != "" {
		if known, err := chip.Find(d.Chip); err == nil {
			if p.accelerated() || known.Family == chip.CPU {
				p.Chip, p.Family = known.ID, string(known.Family)
			} else {
				p.declareChip(known, cmp.Or(d.ChipsPerNode, 1))
			}
		}
	}
	if d.Family != "" {
		p.Family = string(d.Family)
	}
	p.ChipsPerNode = cmp.Or(d.ChipsPerNode, p.ChipsPerNode)
	p.Cores, p.Memory = cmp.Or(d.Cores, p.Cores), cmp.Or(int64(d.Memory), p.Memory)
	p.promised = d.EFA
}

// declareChip is for a pool that has no nodes yet: the device plugin's usual
// resource is asked for.
func (p *place) declareChip(c *chip.Chip, count int) {
	for _, r := range chipResources() {
		if r.family == c.Family {
			p.chip, p.Family, p.Chip, p.ChipsPerNode = r, string(c.Family), c.ID, count
			return
		}
	}
}

// chipsOf tells by what resource a node offers chips, and how many units.
func chipsOf(node *corev1.Node) (chipResource, int) {
	for _, r := range chipResources() {
		if q := node.Status.Allocatable[r.name]; q.Value() > 0 {
			return r, int(q.Value())
		}
	}
	return chipResource{}, 0
}

// chipName is the chip that a node's labels tell, as we name it where we know
// it; the resource's name where nothing tells.
func chipName(node *corev1.Node, r chipResource) string {
	for _, label := range []string{"nvidia.com/gpu.product", "amd.com/gpu.product-name", "cloud.google.com/gke-accelerator", "cloud.google.com/gke-tpu-accelerator", "accelerator"} {
		name := node.Labels[label]
		if name == "" {
			continue
		}
		short := strings.TrimPrefix(strings.ReplaceAll(name, "-", " "), "NVIDIA ")
		for _, try := range []string{name, short, strings.Split(short, " ")[0]} {
			if known, err := chip.Find(try); err == nil && known.Family == r.family {
				return known.ID
			}
		}
		return name
	}
	return string(r.name)
}

// providerOf reads the provider out of a node's ID, such as
// aws:///us-east-1a/i-0123; "" where it does not tell.
func providerOf(node *corev1.Node) string {
	scheme, _, ok := strings.Cut(node.Spec.ProviderID, "://")
	switch {
	case !ok:
		return ""
	case scheme == "gce":
		return "gcp"
	}
	if plainForm.MatchString(scheme) && (scheme == "aws" || scheme == "azure") {
		return scheme
	}
	return ""
}

// optionLabels are those by which EKS, Karpenter, AKS and GKE tell how a node
// was bought; a node with none of them is on demand.
func optionLabels() []optionLabel {
	return []optionLabel{
		{"eks.amazonaws.com/capacityType", "CAPACITY_BLOCK", catalog.CapacityBlock},
		{"eks.amazonaws.com/capacityType", "SPOT", catalog.Spot},
		{"karpenter.sh/capacity-type", "spot", catalog.Spot},
		{"kubernetes.azure.com/scalesetpriority", "spot", catalog.Spot},
		{"cloud.google.com/gke-spot", "true", catalog.Spot},
		{"cloud.google.com/gke-preemptible", "true", catalog.Spot},
	}
}

type optionLabel struct {
	key, value string
	option     catalog.Option
}

func optionOf(node *corev1.Node) catalog.Option {
	for _, l := range optionLabels() {
		if node.Labels[l.key] == l.value {
			return l.option
		}
	}
	return catalog.OnDemand
}

var notName = regexp.MustCompile(`[^a-z0-9]+`)

// discoveredName names the pool that a node belongs to by what it is alone, so
// that the name stays while nodes come and go.
func discoveredName(node *corev1.Node) string {
	name := node.Labels[typeLabel]
	if r, n := chipsOf(node); name == "" && n > 0 {
		name = chipName(node, r)
	}
	name = strings.Trim(notName.ReplaceAllString(strings.ToLower(cmp.Or(name, "cpu")), "-"), "-")
	if option := optionOf(node); option != catalog.OnDemand {
		name += "-" + string(option)
	}
	return name
}

// discoveredSelector selects the nodes of a discovered pool: by the instance
// type where they have that label and it tells them apart, else by name.
func discoveredSelector(nodes []*corev1.Node) []corev1.NodeSelectorRequirement {
	first := nodes[0]
	if name := first.Labels[typeLabel]; name != "" {
		required := []corev1.NodeSelectorRequirement{{Key: typeLabel, Operator: corev1.NodeSelectorOpIn, Values: []string{name}}}
		return append(required, optionSelector(first)...)
	}
	var names []string
	for _, node := range nodes {
		names = append(names, cmp.Or(node.Labels[hostnameLabel], node.Name))
	}
	return []corev1.NodeSelectorRequirement{{Key: hostnameLabel, Operator: corev1.NodeSelectorOpIn, Values: names}}
}

// optionSelector selects nodes that were bought as this one was. A label that
// is not there satisfies NotIn.
func optionSelector(node *corev1.Node) []corev1.NodeSelectorRequirement {
	var others []corev1.NodeSelectorRequirement
	for _, l := range optionLabels() {
		if node.Labels[l.key] == l.value {
			return []corev1.NodeSelectorRequirement{{Key: l.key, Operator: corev1.NodeSelectorOpIn, Values: []string{l.value}}}
		}
		others = append(others, corev1.NodeSelectorRequirement{Key: l.key, Operator: corev1.NodeSelectorOpNotIn, Values: []string{l.value}})
	}
	return others
}
