package kubernetes

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

const (
	// fenceAge is how long a fence stands. It is there against a start that is
	// still on its way when its run has ended: calls are bounded by seconds, and
	// a yard that was restored from a backup is not as old as this.
	fenceAge = 180 * 24 * time.Hour
	// pruneEvery is how often old fences are looked for.
	pruneEvery = time.Hour
)

// fenced reports whether a gang's name is used up.
func (e *Engine) fenced(ctx context.Context, name string) (bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := e.api.fences.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, failure(err, "asking whether the gang may start")
}

// fence uses a gang's name up.
func (e *Engine) fence(ctx context.Context, name, key string) error {
	labels := e.labels(name)
	labels[labelFenced] = "true"
	return e.make(ctx, "the gang's fence", func(ctx context.Context) error {
		_, err := e.api.fences.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: labels, Annotations: map[string]string{noteKey: key},
		}}, metav1.CreateOptions{})
		return err
	})
}

// pruning remembers when old fences were looked for.
type pruning struct {
	mu   sync.Mutex
	last time.Time
}

func (p *pruning) due(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.last.IsZero() && now.Sub(p.last).Abs() < pruneEvery {
		return false
	}
	p.last = now
	return true
}

// pruneFences removes the fences that have stood for long enough, now and then:
// each attempt leaves one.
func (e *Engine) pruneFences(ctx context.Context) error {
	if !e.pruned.due(e.now()) {
		return nil
	}
	options := metav1.ListOptions{LabelSelector: labelSite + "=" + e.site.Name + "," + labelFenced + "=true", Limit: listPage}
	for {
		page, err := e.fencePage(ctx, options)
		if err != nil {
			return err
		}
		for i := range page.Items {
			if fence := &page.Items[i]; e.now().Sub(fence.CreationTimestamp.Time) > fenceAge {
				if err := e.deleteFence(ctx, fence); err != nil {
					return err
				}
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return nil
		}
	}
}

func (e *Engine) fencePage(ctx context.Context, options metav1.ListOptions) (*corev1.ConfigMapList, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	page, err := e.api.fences.List(ctx, options)
	return page, failure(err, "listing fences")
}

func (e *Engine) deleteFence(ctx context.Context, fence *corev1.ConfigMap) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := e.api.fences.Delete(ctx, fence.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &fence.UID}})
	if err = failure(err, "deleting a fence"); fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}
