package kubernetes

import (
	"cmp"
	"context"

	corev1 "k8s.io/api/core/v1"
	schedulingv1alpha2 "k8s.io/api/scheduling/v1alpha2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Start implements engine.Engine. The creation of the Job or JobSet is what
// accepts a gang; a repeated Start makes what is still missing beside it.
func (e *Engine) Start(ctx context.Context, gang engine.Gang) error {
	if err := checkGang(gang); err != nil {
		return err
	}
	name := objectName(gang.Key)
	r, err := e.readRecord(ctx, name)
	if fault.Is(err, fault.Lost) {
		if fenced, ferr := e.fenced(ctx, name); ferr != nil || fenced {
			return cmp.Or(ferr, usedUp(gang.Key, fenced))
		}
		r, err = e.create(ctx, gang)
	}
	if err != nil {
		return err
	}
	m, ours := readMarks(r)
	switch {
	case !ours || m.shape.Key != gang.Key:
		return fault.Newf(fault.Conflict, "a %s named %s is there and not of this gang", r.form, name)
	case r.DeletionTimestamp != nil:
		return fault.Newf(fault.Conflict, "gang %s is being removed", gang.Key)
	case m.released != nil || m.ended != nil:
		return nil
	}
	fenced, err := e.fenced(ctx, name) // a stop may have fenced it meanwhile
	if err != nil {
		return err
	}
	if fenced {
		if err := e.deleteRecord(ctx, r); err != nil {
			return err
		}
		return usedUp(gang.Key, true)
	}
	return e.furnish(ctx, gang, r, m.shape)
}

func usedUp(key string, fenced bool) error {
	if !fenced {
		return nil
	}
	return fault.Newf(fault.Conflict, "gang %s was stopped before it started, or forgotten", key)
}

// create makes the gang's record, or finds the one that another start made.
func (e *Engine) create(ctx context.Context, gang engine.Gang) (record, error) {
	found, err := e.needMeans(ctx, gang.Nodes)
	if err != nil {
		return record{}, err
	}
	if err := e.watch.ready(ctx); err != nil {
		return record{}, err
	}
	job, err := e.build(gang, found)
	if err != nil {
		return record{}, err
	}
	return e.createRecord(ctx, job, found.form())
}

// furnish makes what belongs to the gang's record and goes with it.
func (e *Engine) furnish(ctx context.Context, gang engine.Gang, r record, shape shape) error {
	meta := metav1.ObjectMeta{Name: r.Name, Labels: e.labels(r.Name), OwnerReferences: []metav1.OwnerReference{{
		APIVersion: r.form.version(), Kind: string(r.form), Name: r.Name, UID: r.UID, // not blocking: that would need more rights
	}}}
	if len(gang.Secrets) > 0 {
		err := e.make(ctx, "the gang's Secret", func(ctx context.Context) error {
			_, err := e.api.secrets.Create(ctx, &corev1.Secret{ObjectMeta: meta, StringData: gang.Secrets}, metav1.CreateOptions{})
			return err
		})
		if err != nil {
			return err
		}
	}
	if shape.Means == native && shape.Nodes > 1 {
		err := e.make(ctx, "the gang's PodGroup", func(ctx context.Context) error {
			_, err := e.api.podGroups.Create(ctx, podGroup(meta, shape.Nodes), metav1.CreateOptions{})
			return err
		})
		if err != nil {
			return err
		}
	}
	if shape.Nodes == 1 || r.form == jobSetForm { // a JobSet brings its own
		return nil
	}
	return e.make(ctx, "the gang's Service", func(ctx context.Context) error {
		_, err := e.api.services.Create(ctx, headless(meta), metav1.CreateOptions{})
		return err
	})
}

// podGroup has the scheduler place a gang whole or not at all.
func podGroup(meta metav1.ObjectMeta, nodes int) *schedulingv1alpha2.PodGroup {
	return &schedulingv1alpha2.PodGroup{ObjectMeta: meta, Spec: schedulingv1alpha2.PodGroupSpec{
		SchedulingPolicy: schedulingv1alpha2.PodGroupSchedulingPolicy{Gang: &schedulingv1alpha2.GangSchedulingPolicy{MinCount: int32(nodes)}},
	}}
}

// headless gives the pods of a gang's Job, which has the same name, theirs.
func headless(meta metav1.ObjectMeta) *corev1.Service {
	return &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		ClusterIP: corev1.ClusterIPNone, PublishNotReadyAddresses: true, Selector: map[string]string{labelJob: meta.Name},
	}}
}

// make makes an object that may be there.
func (e *Engine) make(ctx context.Context, what string, create func(context.Context) error) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := create(ctx); err != nil && !apierrors.IsAlreadyExists(err) {
		return failure(err, "creating "+what)
	}
	return nil
}

func (e *Engine) labels(name string) map[string]string {
	return map[string]string{labelManager: managerName, labelSite: e.site.Name, labelGang: name}
}

func (e *Engine) deleteSecret(ctx context.Context, name string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := e.api.secrets.Delete(ctx, name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return failure(err, "deleting the gang's Secret")
}

func (e *Engine) deletePod(ctx context.Context, name string, grace *int64) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := e.api.pods.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: grace})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return failure(err, "deleting a pod of the gang")
}
