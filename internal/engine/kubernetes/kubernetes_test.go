package kubernetes

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/agent"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// TestDocsExample: the site of docs/kubernetes.md is one.
func TestDocsExample(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "kubernetes.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	s, err := site.Parse("lab.yaml", []byte(example))
	if err != nil || s.Engine != site.KubernetesEngine {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestObjectNames(t *testing.T) {
	for key, want := range map[string]string{"gpt-7f3a-1": "yard-gpt-7f3a-1", "never": "yard-never"} {
		if got := objectName(key); got != want {
			t.Errorf("%s is named %s; want %s", key, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.StringMatching(`[A-Za-z0-9][-A-Za-z0-9_.]{0,199}`)
		a, b := keys.Draw(t, "a"), keys.Draw(t, "b")
		if checkKey(a) != nil {
			t.Fatalf("key %q is refused", a)
		}
		name := objectName(a)
		if !plainForm.MatchString(name) || len(name) > longestName {
			t.Fatalf("%q is named %q, which Kubernetes does not take", a, name)
		}
		if a != b && name == objectName(b) {
			t.Fatalf("%q and %q are both named %q", a, b, name)
		}
	})
}

// trn2 is a pool of Trainium2 nodes as EKS shows them.
func trn2(t *testing.T) place {
	t.Helper()
	offers, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	node := func(name, rack string) *corev1.Node {
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
				typeLabel: "trn2.48xlarge", regionLabel: "us-east-2", "eks.amazonaws.com/capacityType": "CAPACITY_BLOCK", "rack": rack}},
			Spec: corev1.NodeSpec{ProviderID: "aws:///us-east-2a/i-0"},
			Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
				"cpu": resource.MustParse("190"), "memory": resource.MustParse("1900Gi"), "aws.amazon.com/neuron": resource.MustParse("16"),
				efaResource: resource.MustParse("16"), hugeResource: resource.MustParse("10Gi")}},
		}
	}
	e := &Engine{site: &site.Site{Name: "eks"}, options: Options{Catalog: offers}}
	nowhere, err := newAPI(&rest.Config{}, "default")
	if err != nil {
		t.Fatal(err)
	}
	e.watch = newWatched(nowhere, "eks", nil)
	p := place{nodes: []*corev1.Node{node("a", "1"), node("b", "1"), node("c", "2")}}
	p.selector = discoveredSelector(p.nodes)
	return e.describe(p, discoveredName(p.nodes[0]), site.Pool{})
}

// A gang for which an autoscaler has yet to bring the nodes asks for the EFA
// interfaces that the file promises, and for no pages, which it may not know.
func TestEFAFromNothing(t *testing.T) {
	p := trn2(t)
	p.nodes = nil
	gang := engine.Gang{Key: "k", Nodes: 2, Ranks: 2}
	if _, asked := p.resources(gang).Limits[efaResource]; asked || p.security() != nil {
		t.Error("EFA is asked for; no node has it, and no file promises it")
	}
	p.fromDeclaration(site.Pool{EFA: 16})
	limits := p.resources(gang).Limits
	if n := limits[efaResource]; n.Value() != 16 || len(limits) != 2 || p.security() == nil {
		t.Errorf("limits %v; want chips and 16 interfaces", limits)
	}
	if p.variables(gang, jobForm)["FI_PROVIDER"] != "efa" {
		t.Error("the network is not EFA's")
	}
}

func TestTrainium(t *testing.T) {
	p := trn2(t)
	if p.Name != "trn2-48xlarge-capacity-block" || p.Provider != "aws" || p.Chip != "Trainium2" || p.ChipsPerNode != 16 || p.Option != "capacity-block" || p.Region != "us-east-2" {
		t.Errorf("pool %+v", p.Pool)
	}
	if len(p.selector) != 2 || p.selector[1].Values[0] != "CAPACITY_BLOCK" {
		t.Errorf("selector %v; want the type and the option", p.selector)
	}
	gang := engine.Gang{Key: "k", Nodes: 2, Ranks: 2}
	limits := p.resources(gang).Limits
	for name, want := range map[corev1.ResourceName]string{"aws.amazon.com/neuron": "16", efaResource: "16", hugeResource: "5Gi"} {
		if got := limits[name]; got.Cmp(resource.MustParse(want)) != 0 {
			t.Errorf("limit of %s: %s; want %s", name, got.String(), want)
		}
	}
	vars := p.variables(gang, jobForm)
	if vars["FI_PROVIDER"] != "efa" || vars["NEURON_RT_ROOT_COMM_ID"] != "yard-k-0.yard-k:62182" || vars["NEURON_RT_NUM_CORES"] != "" {
		t.Errorf("variables %v; want one rank of a node to hand out its cores itself", vars)
	}
	ranks := gang
	ranks.Ranks = 32
	if vars := p.variables(ranks, jobForm); vars["NEURON_RT_NUM_CORES"] != "4" {
		t.Errorf("variables %v; want four cores for each of 16 ranks", vars)
	}
	half := gang
	half.Chips = 8
	if limits := p.resources(half).Limits; len(limits) != 1 {
		t.Errorf("limits of half a node: %v; want chips alone, the network is shared", limits)
	}
	p.topology = []string{"rack", typeLabel}
	affinity := p.affinity(gang, "yard-k").PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution
	if len(affinity) != 2 || affinity[0].PodAffinityTerm.TopologyKey != "rack" || affinity[0].Weight <= affinity[1].Weight {
		t.Errorf("affinity %+v; want the rack before the type", affinity)
	}
	gang.Nodes = 3
	if affinity := p.affinity(gang, "yard-k").PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution; len(affinity) != 1 {
		t.Errorf("affinity %+v; want no rack for what none holds", affinity)
	}
}

// TestBlame: what a gang's end is put down to.
func TestBlame(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ran := func(node, code int, after time.Duration, stopped bool) part {
		return part{state: ended, node: "n", reason: "own", report: &agent.Report{Node: node, ExitCode: code, Rank: node, Stopped: stopped, Started: at, Ended: at.Add(after), Reason: "own"}}
	}
	lost := part{state: ended, node: "bad", disrupted: true, badNode: true, reason: "node bad is lost"}
	for name, tt := range map[string]struct {
		parts   []part
		stopped bool
		want    engine.Status
	}{
		"all well":                        {[]part{ran(0, 0, 2, false), ran(1, 0, 3, false)}, false, engine.Status{}},
		"the first failure":               {[]part{ran(0, 9, 5, false), ran(1, 7, 3, false)}, false, engine.Status{ExitCode: 7, Rank: 1, Reason: "own"}},
		"not those stopped for it":        {[]part{ran(0, 143, 1, true), ran(1, 7, 3, false)}, false, engine.Status{ExitCode: 7, Rank: 1, Reason: "own"}},
		"a lost node before what it tore": {[]part{ran(0, 1, 1, false), lost}, false, engine.Status{Preempted: true, BadNode: "bad", Rank: 1, Reason: "node bad is lost"}},
		"a stop before a lost node":       {[]part{ran(0, 0, 1, true), lost}, true, engine.Status{Stopped: true, Reason: "own"}},
		"what never began":                {[]part{ran(0, 143, 1, true), {state: waiting, invalid: true, reason: "image"}}, false, engine.Status{Invalid: true, Rank: 1, Reason: "image"}},
	} {
		s := sight{parts: tt.parts, marks: marks{shape: shape{Nodes: 2, Ranks: 2, PerNode: 1}, released: &releasedMark{At: at}}}
		if tt.stopped {
			s.stopped = &stoppedMark{At: at}
		}
		got := s.conclude(at.Add(time.Hour), fleet.Progress{})
		if got.ExitCode != tt.want.ExitCode || got.Rank != tt.want.Rank || got.Reason != tt.want.Reason || got.Preempted != tt.want.Preempted ||
			got.BadNode != tt.want.BadNode || got.Stopped != tt.want.Stopped || got.Invalid != tt.want.Invalid {
			t.Errorf("%s: %+v; want %+v", name, got, tt.want)
		}
		if got.Ended.Before(got.Started) {
			t.Errorf("%s: ended %v, before %v", name, got.Ended, got.Started)
		}
	}
}

// TestMeans: a cluster without means takes gangs of one node, and says what to install.
func TestMeans(t *testing.T) {
	for name, tt := range map[string]struct {
		queue string
		paths map[string]string // with what is there
		want  means
	}{
		"none":   {"", nil, single},
		"native": {"", map[string]string{"/apis/scheduling.k8s.io/v1alpha2": "{}"}, native},
		"kueue": {"team", map[string]string{
			"/apis/kueue.x-k8s.io": `{"preferredVersion":{"groupVersion":"kueue.x-k8s.io/v1beta9"}}`, "/apis/scheduling.k8s.io/v1alpha2": "{}",
			"/apis/kueue.x-k8s.io/v1beta9/namespaces/default/localqueues/team": "{}",
		}, kueue},
		"kueue without queue": {"", map[string]string{"/apis/kueue.x-k8s.io": "{}"}, single},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, ok := tt.paths[r.URL.Path]
			if !ok {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write([]byte(text))
		}))
		a, err := newAPI(&rest.Config{Host: server.URL}, "default")
		if err != nil {
			t.Fatal(err)
		}
		e := &Engine{site: &site.Site{Name: "s"}, api: a, namespace: "default", cluster: site.Kubernetes{Queue: tt.queue}, options: Options{Clock: time.Now}}
		if got, err := e.needMeans(context.Background(), 1); err != nil || got.means != tt.want {
			t.Errorf("%s: %+v, %v; want %q", name, got, err, tt.want)
		}
		if _, err := e.needMeans(context.Background(), 2); (tt.want == single) != fault.Is(err, fault.Invalid) || err != nil && !strings.Contains(err.Error(), "Kueue") {
			t.Errorf("%s: two nodes: %v", name, err)
		}
		server.Close()
	}
}
