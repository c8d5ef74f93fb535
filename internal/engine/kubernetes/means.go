package kubernetes

import (
	"context"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// means is how the cluster starts a gang whole or not at all.
type means string

const (
	alone  means = ""       // not at all: gangs of one node only
	native means = "native" // the scheduler's own gang scheduling
	kueue  means = "kueue"  // admission by Kueue
)

// meansAge is how long what the cluster serves is believed.
const meansAge = time.Minute

type meansCache struct {
	mu    sync.Mutex
	found means
	asked time.Time
}

// gangMeans finds out how the cluster starts gangs. Kueue goes first where the
// site names a queue.
func (e *Engine) gangMeans(ctx context.Context) (means, error) {
	c := &e.means
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked.IsZero() && e.now().Sub(c.asked) < meansAge {
		return c.found, nil
	}
	found := alone
	has, err := false, error(nil)
	if e.cluster.Queue != "" {
		if has, err = e.api.served(ctx, "/apis/kueue.x-k8s.io"); has {
			found = kueue
		}
	}
	if err == nil && found == alone {
		if has, err = e.api.served(ctx, "/apis/scheduling.k8s.io/v1alpha2"); has {
			found = native
		}
	}
	if err != nil {
		return alone, err
	}
	c.found, c.asked = found, e.now()
	return found, nil
}

// needMeans refuses a gang of several nodes where nothing would start it whole.
func (e *Engine) needMeans(ctx context.Context, nodes int) (means, error) {
	found, err := e.gangMeans(ctx)
	if err == nil && found == alone && nodes > 1 {
		return alone, fault.Newf(fault.Invalid,
			"site %s takes gangs of one node only: its cluster would start a part of a larger one; "+
				"install Kueue and name its LocalQueue as kubernetes.queue in the site's file, "+
				"or turn on native gang scheduling (feature gates GenericWorkload and GangScheduling, scheduling.k8s.io/v1alpha2)", e.site.Name)
	}
	return found, err
}
