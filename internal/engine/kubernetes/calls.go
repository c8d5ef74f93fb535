package kubernetes

import (
	"context"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Observe implements engine.Engine, from what the cluster told last.
func (e *Engine) Observe(ctx context.Context, key string) (engine.Status, error) {
	name := objectName(key)
	s, err := e.look(ctx, name)
	if err != nil {
		return engine.Status{}, err
	}
	if s.ended == nil && (s.released != nil || s.shape.Means == kueue) {
		e.freshen(s)
	}
	progress, paces := e.news.latest(name)
	status := s.status(progress, e.news.waits(name))
	if status.State == engine.Running {
		status.Paces = s.placed(paces)
	}
	return status, nil
}

// stopTries bounds how often a stop is repeated that meets other changes.
const stopTries = 20

// Stop implements engine.Engine.
func (e *Engine) Stop(ctx context.Context, key string, grace time.Duration) error {
	return e.ask(ctx, key, stoppedMark{Grace: max(grace, 0)})
}

// Dump implements engine.Dumper.
func (e *Engine) Dump(ctx context.Context, key string, grace time.Duration) error {
	return e.ask(ctx, key, stoppedMark{Grace: max(grace, 0), Dump: true})
}

func (e *Engine) ask(ctx context.Context, key string, stop stoppedMark) error {
	if err := checkKey(key); err != nil {
		return err
	}
	name := objectName(key)
	for try := 1; ; try++ {
		err := e.tryStop(ctx, name, stop)
		if fault.Is(err, fault.Lost) {
			if err = e.fence(ctx, name, key); err == nil {
				// A start may have been first, without having seen the fence.
				if err = e.tryStop(ctx, name, stop); fault.Is(err, fault.Lost) {
					return nil
				}
			}
		}
		if !fault.Is(err, fault.Conflict) || try == stopTries {
			return err
		}
	}
}

func (e *Engine) tryStop(ctx context.Context, name string, stop stoppedMark) error {
	r, err := e.readRecord(ctx, name)
	if err != nil {
		return err
	}
	m, ok := readMarks(r)
	if !ok || r.DeletionTimestamp != nil || e.isForgotten(name) {
		return fault.New(fault.Lost, "the cluster does not know the gang")
	}
	stop.At = e.now()
	if had := m.stopped; had != nil {
		if had.Grace <= stop.Grace && (had.Dump || !stop.Dump) {
			return nil
		}
		stop.At, stop.Grace, stop.Dump = had.At, min(had.Grace, stop.Grace), had.Dump || stop.Dump
	}
	if m.ended != nil {
		return nil
	}
	spec := map[string]any{}
	if m.released == nil { // no command began, and now none will
		spec["suspend"] = true
	}
	return e.annotate(ctx, r, map[string]string{noteStopped: toJSON(stop)}, spec)
}

// listPage is how many gangs are listed at once.
const listPage = 500

// List implements engine.Engine. It asks the cluster for the names alone. With
// it goes, now and then, what nothing needs any more.
func (e *Engine) List(ctx context.Context) ([]string, error) {
	forms, err := e.forms(ctx)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, f := range forms {
		if keys, err = e.listForm(ctx, f, keys); err != nil {
			return nil, err
		}
	}
	if err := e.pruneFences(ctx); err != nil {
		e.options.Log.Warn("old fences cannot be removed", "site", e.site.Name, "error", err)
	}
	return keys, nil
}

// listForm adds the keys of the gangs of one form.
func (e *Engine) listForm(ctx context.Context, f form, keys []string) ([]string, error) {
	options := metav1.ListOptions{LabelSelector: labelSite + "=" + e.site.Name, Limit: listPage}
	for {
		call, cancel := bounded(ctx)
		defer cancel()
		page, err := e.api.records(f).List(call, options)
		if err != nil {
			return nil, failure(err, "listing gangs")
		}
		for _, item := range page.Items {
			if key := item.Annotations[noteKey]; key != "" && item.DeletionTimestamp == nil {
				keys = append(keys, key)
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return keys, nil
		}
	}
}

// Forget implements engine.Engine: the record goes with all that belongs to it,
// and a small ConfigMap keeps its key used up.
func (e *Engine) Forget(ctx context.Context, key string) error {
	name := objectName(key)
	if e.isForgotten(name) {
		return nil
	}
	s, err := e.lookAgain(ctx, name)
	if fault.Is(err, fault.Lost) {
		if fenced, ferr := e.fenced(ctx, name); ferr != nil || fenced {
			return ferr
		}
	}
	if err != nil {
		return err
	}
	if s.ended == nil {
		return fault.Newf(fault.Conflict, "gang %s has not ended", key)
	}
	if err := e.fence(ctx, name, key); err != nil {
		return err
	}
	if err := e.deleteRecord(ctx, s.record); err != nil {
		return err
	}
	e.mu.Lock()
	e.forgotten[name] = true
	e.mu.Unlock()
	e.news.drop(name)
	return e.deleteLost(ctx, s)
}

// deleteLost removes the pods that no kubelet will: their nodes are lost. What
// still runs there is fenced by its epoch, and killed when the node comes back.
func (e *Engine) deleteLost(ctx context.Context, s sight) error {
	var now int64
	for _, p := range s.parts {
		if p.pod == nil || p.node == "" || e.nodeReady(p.node) || p.pod.Status.Phase != corev1.PodRunning {
			continue
		}
		if err := e.deletePod(ctx, p.pod.Name, &now); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) isForgotten(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.forgotten[name]
}

func indexOf(pod *corev1.Pod) (int, bool) {
	i, err := strconv.Atoi(pod.Labels[labelIndex])
	return i, err == nil && i >= 0
}
