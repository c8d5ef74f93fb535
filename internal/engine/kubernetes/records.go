package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// form is what a gang is in the cluster: an Indexed Job, or where JobSet is
// installed a JobSet of one.
type form string

const (
	jobForm    form = "Job"
	jobSetForm form = "JobSet"
)

func (f form) resource() schema.GroupVersionResource {
	if f == jobSetForm {
		return schema.GroupVersionResource{Group: "jobset.x-k8s.io", Version: "v1alpha2", Resource: "jobsets"}
	}
	return batchv1.SchemeGroupVersion.WithResource("jobs")
}

func (f form) version() string { return f.resource().GroupVersion().String() }

// setMember is the one replicated job of a JobSet. Its name is within those of
// pods and hosts, where there is little room.
const setMember = "g"

// labelSet is what JobSet sets on the pods of a set: its UID.
const labelSet = "jobset.sigs.k8s.io/jobset-uid"

// record is the object that a gang is: what was decided of it is in its
// annotations.
type record struct {
	*metav1.PartialObjectMetadata
	form form
}

// host is the name of the pod with an index, within the gang's Service.
func (f form) host(name string, index int) string {
	if f == jobSetForm {
		name += "-" + setMember + "-0"
	}
	return fmt.Sprintf("%s-%d", name, index)
}

// recordOf is the UID of the record that a pod belongs to.
func recordOf(pod *corev1.Pod) types.UID {
	if uid := pod.Labels[labelSet]; uid != "" {
		return types.UID(uid)
	}
	if owner := metav1.GetControllerOf(pod); owner != nil {
		return owner.UID
	}
	return ""
}

// forms are what gangs of this site may be, the present one last.
func (e *Engine) forms(ctx context.Context) ([]form, error) {
	found, err := e.facilities(ctx)
	if err != nil {
		return nil, err
	}
	if found.jobSet {
		return []form{jobForm, jobSetForm}, nil
	}
	return []form{jobForm}, nil
}

// readRecord asks the cluster for the record of a gang.
func (e *Engine) readRecord(ctx context.Context, name string) (record, error) {
	forms, err := e.forms(ctx)
	if err != nil {
		return record{}, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	for _, f := range forms {
		found, err := e.api.records(f).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		return record{found, f}, failure(err, "looking for the gang")
	}
	return record{}, fault.New(fault.Lost, "the cluster does not know the gang")
}

// createRecord makes the object of a gang, or finds the one that another start
// made. The cluster may have got or lost JobSet since the form was chosen.
func (e *Engine) createRecord(ctx context.Context, job *batchv1.Job, f form) (record, error) {
	call, cancel := bounded(ctx)
	defer cancel()
	var err error
	if f == jobSetForm {
		var body []byte
		if body, err = json.Marshal(setOf(job)); err == nil {
			err = e.api.core.Post().AbsPath("/apis", f.version(), "namespaces", e.namespace, f.resource().Resource).Body(body).Do(call).Error()
		}
	} else {
		_, err = e.api.jobs.Create(call, job, metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return record{}, failure(err, "creating the gang's "+string(f))
	}
	return e.readRecord(ctx, job.Name)
}

// jobSet is the part of a JobSet that the engine writes.
type jobSet struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta `json:"metadata"`
	Spec            jobSetSpec        `json:"spec"`
}

type jobSetSpec struct {
	Suspend        *bool           `json:"suspend,omitempty"`
	Network        jobSetNetwork   `json:"network"`
	FailurePolicy  failurePolicy   `json:"failurePolicy"`
	ReplicatedJobs []replicatedJob `json:"replicatedJobs"`
}

type jobSetNetwork struct {
	Subdomain string `json:"subdomain"`
}

type failurePolicy struct {
	MaxRestarts int `json:"maxRestarts"`
}

type replicatedJob struct {
	Name     string                  `json:"name"`
	Replicas int32                   `json:"replicas"`
	Template batchv1.JobTemplateSpec `json:"template"`
}

// setOf is the JobSet of one that holds a gang's Job: it makes the headless
// Service itself, and never restarts.
func setOf(job *batchv1.Job) jobSet {
	member := *job.DeepCopy()
	suspend := member.Spec.Suspend
	member.Spec.Suspend = nil // the set's
	return jobSet{
		TypeMeta: metav1.TypeMeta{APIVersion: jobSetForm.version(), Kind: string(jobSetForm)},
		Metadata: job.ObjectMeta,
		Spec: jobSetSpec{
			Suspend: suspend, Network: jobSetNetwork{Subdomain: job.Name},
			ReplicatedJobs: []replicatedJob{{Name: setMember, Replicas: 1, Template: batchv1.JobTemplateSpec{Spec: member.Spec}}},
		},
	}
}

// annotate changes a record's annotations, and fields of its spec, if nobody
// changed it meanwhile: of a release and a stop only one goes first.
func (e *Engine) annotate(ctx context.Context, r record, notes map[string]string, spec map[string]any) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	meta := map[string]any{"resourceVersion": r.ResourceVersion}
	if len(notes) > 0 {
		meta["annotations"] = notes
	}
	change := map[string]any{"metadata": meta}
	if len(spec) > 0 {
		change["spec"] = spec
	}
	data, err := json.Marshal(change)
	if err != nil {
		return err
	}
	_, err = e.api.records(r.form).Patch(ctx, r.Name, types.MergePatchType, data, metav1.PatchOptions{})
	return failure(err, "recording at the gang's "+string(r.form))
}

// deleteRecord deletes a gang with all that belongs to it.
func (e *Engine) deleteRecord(ctx context.Context, r record) error {
	err := e.deleteIf(ctx, r, metav1.Preconditions{UID: &r.UID})
	if fault.Is(err, fault.Conflict) {
		return nil // it is gone, and another of the name is there
	}
	return err
}

func (e *Engine) deleteIf(ctx context.Context, r record, is metav1.Preconditions) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	background := metav1.DeletePropagationBackground
	err := e.api.records(r.form).Delete(ctx, r.Name, metav1.DeleteOptions{PropagationPolicy: &background, Preconditions: &is})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return failure(err, "deleting the gang's "+string(r.form))
}

// alone makes sure that no gang of the same name in another form can run: two
// starts at the moment when JobSet was installed may have made one each. It
// reports false where this one gives way.
func (e *Engine) alone(ctx context.Context, r record) (bool, error) {
	forms, err := e.forms(ctx)
	if err != nil {
		return false, err
	}
	for _, f := range forms {
		if f == r.form {
			continue
		}
		call, cancel := bounded(ctx)
		defer cancel()
		other, err := e.api.records(f).Get(call, r.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return false, failure(err, "looking for another start of the gang")
		case f == jobForm || other.Annotations[noteReleased] != "":
			return false, e.deleteRecord(ctx, r)
		default: // unless it is released meanwhile
			if err := e.deleteIf(ctx, record{other, f}, metav1.Preconditions{UID: &other.UID, ResourceVersion: &other.ResourceVersion}); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}
