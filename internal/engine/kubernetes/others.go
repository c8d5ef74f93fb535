package kubernetes

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// othersAge is how long it is believed which nodes others hold: a list of all
// pods of a large cluster is no small thing.
const othersAge = time.Minute

// othersCache is the nodes on which pods that are not this site's have chips.
type othersCache struct {
	mu    sync.Mutex
	nodes map[string]bool
	asked time.Time
}

// heldByOthers are the nodes on which others have chips, as far as yard may see
// their pods: without that right none are.
func (e *Engine) heldByOthers(ctx context.Context) (map[string]bool, error) {
	c := &e.others
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked.IsZero() && e.now().Sub(c.asked).Abs() < othersAge {
		return c.nodes, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	list, err := e.api.allPods.List(ctx, metav1.ListOptions{
		LabelSelector: labelSite + "!=" + e.site.Name, FieldSelector: "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed",
		ResourceVersion: "0", // from the API server's memory
	})
	err = failure(err, "looking at the pods of others")
	if err != nil && !fault.Is(err, fault.Invalid) { // invalid: it is forbidden
		return nil, err
	}
	c.nodes, c.asked = map[string]bool{}, e.now()
	if err != nil {
		return c.nodes, nil
	}
	for i := range list.Items {
		if pod := &list.Items[i]; hasChips(pod) {
			c.nodes[pod.Spec.NodeName] = true
		}
	}
	return c.nodes, nil
}

func hasChips(pod *corev1.Pod) bool {
	for _, container := range pod.Spec.Containers {
		for _, r := range chipResources() {
			if q := container.Resources.Limits[r.name]; q.Value() > 0 {
				return true
			}
		}
	}
	return false
}
