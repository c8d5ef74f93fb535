package kubernetes

import (
	"context"
	"encoding/json"
	"maps"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	schedulingv1alpha2 "k8s.io/api/scheduling/v1alpha2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Preview implements engine.Previewer: the manifests of a gang as YAML, after
// the API server has taken every one of them in a strict dry run.
func (e *Engine) Preview(ctx context.Context, gang engine.Gang) (string, bool, error) {
	if err := checkGang(gang); err != nil {
		return "", false, err
	}
	found, err := e.needMeans(ctx, gang.Nodes)
	if err != nil {
		return "", false, err
	}
	if err := e.watch.ready(ctx); err != nil {
		return "", false, err
	}
	job, err := e.build(gang, found)
	if err != nil {
		return "", false, err
	}
	var text strings.Builder
	for _, p := range e.parts(gang, job, found) {
		document, err := e.manifest(p)
		if err != nil {
			return "", false, fault.Wrap(fault.Internal, err, "writing the manifest")
		}
		if text.Len() > 0 {
			text.WriteString("---\n")
		}
		text.Write(document)
		call, cancel := bounded(ctx)
		err = p.try(call, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
		cancel()
		if err != nil {
			return text.String(), false, failure(err, "the API server's check of the "+p.kind)
		}
	}
	return text.String(), true, nil
}

// previewed is one object of a gang, and how the API server is asked of it.
type previewed struct {
	object        any
	version, kind string
	try           func(context.Context, metav1.CreateOptions) error
}

// parts are the objects of a gang in the order in which a start makes them. The
// values of secrets stay out.
func (e *Engine) parts(gang engine.Gang, job *batchv1.Job, found facilities) []previewed {
	meta := metav1.ObjectMeta{Name: job.Name, Labels: e.labels(job.Name)}
	f := found.form()
	record := previewed{job, f.version(), string(f), func(ctx context.Context, o metav1.CreateOptions) error {
		_, err := e.api.jobs.Create(ctx, job, o)
		return err
	}}
	if f == jobSetForm {
		set := setOf(job)
		record.object, record.try = set, func(ctx context.Context, o metav1.CreateOptions) error {
			body, err := json.Marshal(set)
			if err != nil {
				return err
			}
			request := e.api.core.Post().AbsPath("/apis", f.version(), "namespaces", e.namespace, f.resource().Resource)
			return request.Param("dryRun", o.DryRun[0]).Param("fieldValidation", o.FieldValidation).Body(body).Do(ctx).Error()
		}
	}
	parts := []previewed{record}
	if found.means == native && gang.Nodes > 1 {
		group := podGroup(meta, gang.Nodes)
		parts = append(parts, previewed{group, schedulingv1alpha2.SchemeGroupVersion.String(), "PodGroup", func(ctx context.Context, o metav1.CreateOptions) error {
			_, err := e.api.podGroups.Create(ctx, group, o)
			return err
		}})
	}
	if gang.Nodes > 1 && f == jobForm { // a JobSet brings its own
		service := headless(meta)
		parts = append(parts, previewed{service, "v1", "Service", func(ctx context.Context, o metav1.CreateOptions) error {
			_, err := e.api.services.Create(ctx, service, o)
			return err
		}})
	}
	return parts
}

// manifest writes an object as a file for kubectl, without what is the server's to say.
func (e *Engine) manifest(p previewed) ([]byte, error) {
	data, err := json.Marshal(p.object)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	fields["apiVersion"], fields["kind"] = p.version, p.kind
	delete(fields, "status")
	dropNulls(fields)
	if meta, ok := fields["metadata"].(map[string]any); ok {
		meta["namespace"] = e.namespace
	}
	return yaml.Marshal(fields)
}

// dropNulls removes what Go's types carry without a value.
func dropNulls(fields map[string]any) {
	maps.DeleteFunc(fields, func(_ string, value any) bool { return value == nil })
	for _, value := range fields {
		if inner, ok := value.(map[string]any); ok {
			dropNulls(inner)
		}
	}
}
