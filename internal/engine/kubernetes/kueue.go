package kubernetes

import (
	"context"
	"encoding/json"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

const (
	kueueGroup = "kueue.x-k8s.io"
	// labelAdmits is on Kueue's Workload: the UID of the object that it admits.
	labelAdmits = kueueGroup + "/job-uid"
)

// workload is the part of Kueue's Workload that the engine reads: whether a
// gang may run, and why not.
type workload struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Active *bool `json:"active"`
	} `json:"spec"`
	Status struct {
		Conditions []metav1.Condition `json:"conditions"`
	} `json:"status"`
}

// kueuePath is where Kueue's objects of this namespace are.
func (e *Engine) kueuePath(ctx context.Context, resource string) ([]string, error) {
	found, err := e.facilities(ctx)
	if err == nil && found.kueue == "" {
		err = fault.New(fault.Transient, "the cluster does not serve Kueue now")
	}
	return []string{"/apis", found.kueue, "namespaces", e.namespace, resource}, err
}

// workloads are those that Kueue made for a gang: one, once it has seen it.
func (e *Engine) workloads(ctx context.Context, gang types.UID) ([]workload, error) {
	path, err := e.kueuePath(ctx, "workloads")
	if err != nil {
		return nil, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	data, err := e.api.core.Get().AbsPath(path...).Param("labelSelector", labelAdmits+"="+string(gang)).Do(ctx).Raw()
	if err != nil {
		return nil, failure(err, "asking Kueue for the gang")
	}
	var list struct {
		Items []workload `json:"items"`
	}
	return list.Items, json.Unmarshal(data, &list)
}

// needQueue refuses a gang for a queue that is not there: it would wait for ever.
func (e *Engine) needQueue(ctx context.Context) error {
	path, err := e.kueuePath(ctx, "localqueues")
	if err != nil {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	err = e.api.core.Get().AbsPath(append(path, e.cluster.Queue)...).Do(ctx).Error()
	if apierrors.IsNotFound(err) {
		return fault.Newf(fault.Invalid, "site %s: namespace %s has no LocalQueue %q of Kueue; create it, or name another as kubernetes.queue in the site's file",
			e.site.Name, e.namespace, e.cluster.Queue)
	}
	return failure(err, "asking Kueue for its queue")
}

// retire keeps Kueue from ever admitting a gang (again).
func (e *Engine) retire(ctx context.Context, gang types.UID) error {
	list, err := e.workloads(ctx, gang)
	if err != nil {
		return err
	}
	for _, w := range list {
		if w.finished() || w.Spec.Active != nil && !*w.Spec.Active {
			continue
		}
		path, err := e.kueuePath(ctx, "workloads")
		if err != nil {
			return err
		}
		call, cancel := bounded(ctx)
		defer cancel()
		err = e.api.core.Patch(types.MergePatchType).AbsPath(append(path, w.Metadata.Name)...).Body([]byte(`{"spec":{"active":false}}`)).Do(call).Error()
		if err != nil && !apierrors.IsNotFound(err) {
			return failure(err, "giving the gang's place in Kueue's queue up")
		}
	}
	return nil
}

func (w workload) condition(name string) *metav1.Condition {
	return meta.FindStatusCondition(w.Status.Conditions, name)
}

func (w workload) finished() bool {
	return meta.IsStatusConditionTrue(w.Status.Conditions, "Finished")
}

// waits is why Kueue does not let a gang run, "" where it does.
func (w workload) waits(queue string) string {
	if meta.IsStatusConditionTrue(w.Status.Conditions, "Admitted") {
		return ""
	}
	why := "waiting in Kueue's queue " + queue
	for _, name := range []string{"QuotaReserved", "Admitted"} {
		if c := w.condition(name); c != nil && c.Status == metav1.ConditionFalse && c.Message != "" {
			return why + ": " + firstLine(c.Message)
		}
	}
	return why
}

// evicted is why Kueue took a gang's place away, "" where it did not.
func (w workload) evicted() string {
	c := w.condition("Evicted")
	if c == nil || c.Status != metav1.ConditionTrue || c.Reason == "Deactivated" {
		return ""
	}
	return "Kueue took its place: " + strings.TrimSuffix(firstLine(c.Reason+": "+c.Message), ": ")
}

// leaveQueue gives the place of a gang that is over up. Where Kueue took it, the
// end is said to be due to that.
func (e *Engine) leaveQueue(ctx context.Context, s sight, final *engine.Status) error {
	if final.Preempted {
		list, err := e.workloads(ctx, s.UID)
		if err != nil {
			return err
		}
		for _, w := range list {
			if why := w.evicted(); why != "" {
				final.Reason = why
			}
		}
	}
	return e.retire(ctx, s.UID)
}

// withdraw has the pods taken away that the cluster made of a gang without
// being asked: its agents would wait for ever.
func (e *Engine) withdraw(ctx context.Context, s sight) error {
	if s.shape.Means == kueue {
		return e.retire(ctx, s.UID)
	}
	return e.annotate(ctx, s.record, nil, map[string]any{"suspend": true})
}
