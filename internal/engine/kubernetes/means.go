package kubernetes

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// means is how the cluster starts a gang whole or not at all.
type means string

const (
	single means = ""       // not at all: gangs of one node only
	native means = "native" // the scheduler's own gang scheduling
	kueue  means = "kueue"  // admission by Kueue
)

// meansAge is how long what the cluster serves is believed.
const meansAge = time.Minute

// facilities are what the cluster has, as far as it changes what a gang becomes.
type facilities struct {
	means  means
	kueue  string // group and version of its API; "" where it does not run
	jobSet bool
}

// form is what a new gang becomes.
func (f facilities) form() form {
	if f.jobSet {
		return jobSetForm
	}
	return jobForm
}

type meansCache struct {
	mu    sync.Mutex
	found facilities
	asked time.Time
}

// facilities finds out what the cluster has, now and then. Kueue goes first where the
// site names a queue.
func (e *Engine) facilities(ctx context.Context) (facilities, error) {
	c := &e.means
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked.IsZero() && e.now().Sub(c.asked).Abs() < meansAge {
		return c.found, nil
	}
	var found facilities
	var err error
	if e.cluster.Queue != "" {
		if found.kueue, err = e.api.version(ctx, kueueGroup); err != nil {
			return facilities{}, err
		}
	}
	if found.kueue != "" {
		found.means = kueue
	} else if has, err := e.api.serves(ctx, "/apis/scheduling.k8s.io/v1alpha2"); err != nil {
		return facilities{}, err
	} else if has {
		found.means = native
	}
	if found.jobSet, err = e.mayUseJobSet(ctx); err != nil {
		return facilities{}, err
	}
	if found.jobSet {
		e.watch.alsoSets()
	}
	c.found, c.asked = found, e.now()
	return found, nil
}

// mayUseJobSet reports whether JobSet is installed. Where yard has no right to
// use it gangs are Jobs.
func (e *Engine) mayUseJobSet(ctx context.Context) (bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := e.api.records(jobSetForm).List(ctx, metav1.ListOptions{Limit: 1})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return false, nil
	}
	return err == nil, failure(err, "asking what the cluster serves")
}

// needMeans refuses a gang that nothing would start whole.
func (e *Engine) needMeans(ctx context.Context, nodes int) (facilities, error) {
	found, err := e.facilities(ctx)
	switch {
	case err != nil:
		return facilities{}, err
	case found.means == kueue:
		return found, e.needQueue(ctx)
	case found.means == single && nodes > 1:
		return facilities{}, fault.Newf(fault.Invalid,
			"site %s takes gangs of one node only: its cluster would start a part of a larger one; "+
				"install Kueue and name its LocalQueue as kubernetes.queue in the site's file, "+
				"or turn on native gang scheduling (feature gates GenericWorkload and GangScheduling, scheduling.k8s.io/v1alpha2)", e.site.Name)
	}
	return found, nil
}

// serves reports whether the cluster has a kind of object. A path that is not
// served is no failure.
func (a *api) serves(ctx context.Context, path string) (bool, error) {
	_, has, err := a.read(ctx, path)
	return has, err
}

// version is the version of an API group that the cluster prefers, with the
// group; "" where it is not served.
func (a *api) version(ctx context.Context, group string) (string, error) {
	data, has, err := a.read(ctx, "/apis/"+group)
	if err != nil || !has {
		return "", err
	}
	var found metav1.APIGroup
	return found.PreferredVersion.GroupVersion, json.Unmarshal(data, &found)
}

func (a *api) read(ctx context.Context, path string) ([]byte, bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	data, err := a.core.Get().AbsPath(path).SetHeader("Accept", "application/json").Do(ctx).Raw()
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil, false, nil
	}
	return data, err == nil, failure(err, "asking what the cluster serves")
}
