package kubernetes

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	"golang.org/x/sync/errgroup"

	"github.com/switchyard-ai/switchyard/internal/engine/agent"
	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

const (
	tenders = 4 // gangs that are tended at the same time
	// patches is how many pods of a gang are told something at the same time.
	patches = 16
	// killAfter is how long after its grace a stopped pod may still run before
	// it is deleted: its agent is gone or its node does not answer.
	killAfter = 20 * time.Second
)

// tender moves every gang on from what is seen of it: it releases, stops and
// records. All it does may be repeated, by any engine of the site.
type tender struct {
	e       *Engine
	queue   workqueue.TypedRateLimitingInterface[string]
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex
	gone  map[string][]*corev1.Pod // last seen of pods that are gone, by gang
	since map[types.UID]time.Time  // since when a pod has been without hope
}

func newTender(e *Engine) *tender {
	t := &tender{e: e, gone: map[string][]*corev1.Pod{}, since: map[types.UID]time.Time{}}
	t.queue = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, 10*time.Second))
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

func (t *tender) start() {
	for range tenders {
		t.running.Go(func() {
			for {
				name, quit := t.queue.Get()
				if quit {
					return
				}
				t.work(name)
				t.queue.Done(name)
			}
		})
	}
}

func (t *tender) stop() {
	t.cancel()
	t.queue.ShutDown()
	t.running.Wait()
}

// see takes the news that something of a gang changed.
func (t *tender) see(gang string, gone *corev1.Pod) {
	if gang == "" {
		return
	}
	if gone != nil {
		t.keep(gone)
	}
	t.queue.Add(gang)
}

func (t *tender) work(name string) {
	err := t.tend(name)
	switch {
	case err == nil:
		t.queue.Forget(name)
	case fault.Is(err, fault.Lost):
		t.queue.Forget(name)
	default:
		if t.ctx.Err() == nil && !fault.Is(err, fault.Conflict) {
			t.e.options.Log.Warn("a gang cannot be tended; it is tried again", "gang", name, "error", err)
		}
		t.queue.AddRateLimited(name)
	}
}

// tend does what is due for one gang.
func (t *tender) tend(name string) error {
	s, err := t.e.look(t.ctx, name)
	if err == nil && s.surplus {
		t.e.options.Log.Warn("the cluster made pods of a gang anew; they are taken away", "key", s.shape.Key)
		err = t.e.withdraw(t.ctx, s)
	}
	if fault.Is(err, fault.Lost) || err == nil && s.ended != nil {
		t.drop(name)
	}
	if err != nil || s.ended != nil {
		return err
	}
	switch {
	case s.over():
		return t.end(name)
	case s.released == nil:
		return t.release(s)
	}
	if err := t.tellReleased(s); err != nil {
		return err
	}
	return t.tellStopped(s)
}

// end records how a gang ended, once for all. What only seems gone is looked
// at again: the watches of Jobs and pods may be at different moments.
func (t *tender) end(name string) error {
	s, err := t.e.lookAgain(t.ctx, name)
	if err != nil || s.ended != nil || !s.over() {
		return err
	}
	progress, _ := t.e.news.latest(name)
	final := s.conclude(t.e.now(), progress)
	change := map[string]any{}
	if s.released == nil {
		change["suspend"] = true // nothing more of it is made, and its pods go
	}
	if s.shape.Means == kueue {
		if err := t.e.leaveQueue(t.ctx, s, &final); err != nil {
			return err
		}
	}
	t.e.options.Log.Info("a gang ended", "key", s.shape.Key, "code", final.ExitCode, "reason", final.Reason)
	return t.e.annotate(t.ctx, s.record, map[string]string{noteEnded: toJSON(final)}, change)
}

// release lets the agents of a gang begin when every one of them runs.
func (t *tender) release(s sight) error {
	hosts, pods := make([]string, len(s.parts)), make([]string, len(s.parts))
	for i, p := range s.parts {
		if p.state != running || p.pod.DeletionTimestamp != nil {
			t.watchHope(s)
			return nil
		}
		hosts[i], pods[i] = p.pod.Status.PodIP, string(p.pod.UID)
	}
	fenced, err := t.e.fenced(t.ctx, s.Name)
	if err != nil {
		return err
	}
	if fenced {
		return t.e.deleteRecord(t.ctx, s.record)
	}
	if only, err := t.e.alone(t.ctx, s.record); err != nil || !only {
		return err
	}
	mark := releasedMark{At: t.e.now(), Hosts: hosts, Nodes: s.nodeNames(), Pods: pods}
	if err := t.e.annotate(t.ctx, s.record, map[string]string{noteReleased: toJSON(mark)}, nil); err != nil {
		return err
	}
	if s.shape.Secret {
		return t.e.deleteSecret(t.ctx, s.Name)
	}
	return nil
}

// tellReleased tells every pod that was not told yet.
func (t *tender) tellReleased(s sight) error {
	text := toJSON(agent.Release{Hosts: s.released.Hosts})
	return t.tell(s, noteRelease, func(p part) string {
		if p.pod.Annotations[noteRelease] != "" {
			return ""
		}
		return text
	})
}

// tellStopped passes a stop on to every pod: one that was asked for, or that of
// a gang one node of which ended otherwise than well.
func (t *tender) tellStopped(s sight) error {
	grace, dump := s.shape.Grace, false
	asked := time.Time{}
	switch {
	case s.stopped != nil:
		grace, dump, asked = s.stopped.Grace, s.stopped.Dump, s.stopped.At
	case !s.broken():
		return nil
	}
	text := toJSON(ranks.Stop{Grace: grace, Dump: dump})
	if err := t.tell(s, noteStop, func(p part) string {
		if had := p.pod.Annotations[noteStop]; had == text || (s.stopped == nil && had != "") {
			return ""
		}
		return text
	}); err != nil {
		return err
	}
	return t.kill(s, asked, grace)
}

// kill deletes the pods that a stop does not reach, when its time is over.
func (t *tender) kill(s sight, asked time.Time, grace time.Duration) error {
	if asked.IsZero() {
		for _, p := range s.parts {
			if p.state == ended && p.ended.After(asked) {
				asked = p.ended
			}
		}
		if asked.IsZero() {
			asked = t.e.now()
		}
	}
	if left := asked.Add(grace + killAfter).Sub(t.e.now()); left > 0 {
		t.queue.AddAfter(s.Name, min(left, time.Hour))
		return nil
	}
	for _, p := range s.parts {
		if p.state == ended || p.pod == nil || p.pod.DeletionTimestamp != nil {
			continue
		}
		t.e.options.Log.Warn("a pod does not stop; it is deleted", "key", s.shape.Key, "pod", p.pod.Name, "node", p.node)
		if err := t.e.deletePod(t.ctx, p.pod.Name, nil); err != nil {
			return err
		}
	}
	t.queue.AddAfter(s.Name, killAfter)
	return nil
}

// tell sets an annotation of every pod that has not ended, where text wants it.
func (t *tender) tell(s sight, note string, text func(part) string) error {
	group, ctx := errgroup.WithContext(t.ctx)
	group.SetLimit(patches)
	for _, p := range s.parts {
		if p.pod == nil || p.state == ended {
			continue
		}
		if value := text(p); value != "" {
			group.Go(func() error { return t.e.annotatePod(ctx, p.pod.Name, note, value) })
		}
	}
	return group.Wait()
}

func (e *Engine) annotatePod(ctx context.Context, name, note, text string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{note: text}}})
	if err != nil {
		return err
	}
	_, err = e.api.pods.Patch(ctx, name, types.MergePatchType, data, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return nil // gone meanwhile, which is seen next
	}
	return failure(err, "telling a pod of the gang")
}

// keep keeps the last that was seen of a pod that is gone, where it had ended:
// its report is in it.
func (t *tender) keep(pod *corev1.Pod) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.since, pod.UID)
	if s := statusOf(pod.Status.ContainerStatuses, mainContainer); s != nil && s.State.Terminated != nil {
		gang := pod.Labels[labelGang]
		t.gone[gang] = append(t.gone[gang], pod)
	}
}

// departed are the pods of a gang that are gone, where they had ended, as they
// were seen last.
func (t *tender) departed(gang string) []*corev1.Pod {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.gone[gang])
}

// drop forgets what was kept of a gang that has ended.
func (t *tender) drop(gang string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.gone, gang)
}

// lasts reports whether a pod has been without hope for long enough.
func (t *tender) lasts(pod *corev1.Pod, _ string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	since, ok := t.since[pod.UID]
	if !ok {
		since = t.e.now()
		t.since[pod.UID] = since
	}
	return t.e.now().Sub(since) >= confirmAfter
}

// watchHope looks again at a gang that seems to be without hope when it would
// be certain.
func (t *tender) watchHope(s sight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range s.parts {
		if p.pod == nil {
			continue
		}
		if since, ok := t.since[p.pod.UID]; ok {
			t.queue.AddAfter(s.Name, max(confirmAfter-t.e.now().Sub(since), 100*time.Millisecond))
			return
		}
	}
}
