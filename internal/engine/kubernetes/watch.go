package kubernetes

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

const byGang = "gang"

// watched is what the cluster tells by itself: thousands of gangs are looked
// at without asking for them.
type watched struct {
	jobs, sets, pods, nodes cache.SharedIndexInformer // sets is run once alsoSets is called
	log                     *slog.Logger

	stopping chan struct{}
	once     sync.Once
	setsOnce sync.Once
	ctx      context.Context // of the informers
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// listed is a kind of object that can be listed and watched.
type listed[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

func newWatched(a *api, site string, log *slog.Logger) *watched {
	ours := labelSite + "=" + site
	return &watched{
		jobs:     informer(a.records(jobForm), ours, &metav1.PartialObjectMetadata{}, trimRecord),
		sets:     informer(a.records(jobSetForm), ours, &metav1.PartialObjectMetadata{}, trimRecord),
		pods:     informer(a.pods, ours, &corev1.Pod{}, trimPod),
		nodes:    informer(a.nodes, "", &corev1.Node{}, trimNode),
		log:      log,
		stopping: make(chan struct{}),
	}
}

func informer[L runtime.Object](client listed[L], selector string, example runtime.Object, trim cache.TransformFunc) cache.SharedIndexInformer {
	lists := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			opts.LabelSelector = selector
			return client.List(ctx, opts)
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			opts.LabelSelector = selector
			return client.Watch(ctx, opts)
		},
	}
	i := cache.NewSharedIndexInformer(lists, example, 0, cache.Indexers{byGang: func(object any) ([]string, error) {
		if pod, ok := object.(*corev1.Pod); ok {
			return []string{pod.Labels[labelGang]}, nil
		}
		return nil, nil
	}})
	_ = i.SetTransform(trim) // refused only once it runs
	return i
}

// start begins watching; see is told the name of each gang that something
// changed of, and the pod where one is gone.
func (w *watched) start(see func(gang string, gone *corev1.Pod)) {
	tell := func(object any, gone bool) {
		if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = last.Obj
		}
		switch o := object.(type) {
		case *metav1.PartialObjectMetadata:
			see(o.Name, nil)
		case *corev1.Pod:
			if gone {
				see(o.Labels[labelGang], o)
			} else {
				see(o.Labels[labelGang], nil)
			}
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { tell(object, false) },
		UpdateFunc: func(_, object any) { tell(object, false) },
		DeleteFunc: func(object any) { tell(object, true) },
	}
	for _, i := range []cache.SharedIndexInformer{w.jobs, w.sets, w.pods} {
		_, _ = i.AddEventHandler(handler) // refused only once it has stopped
	}
	w.ctx, w.cancel = context.WithCancel(quiet(context.Background()))
	for _, i := range []cache.SharedIndexInformer{w.jobs, w.pods, w.nodes} {
		w.run(i)
	}
}

func (w *watched) run(i cache.SharedIndexInformer) {
	_ = i.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		w.log.Warn("the cluster cannot be watched; it is tried again", "error", err)
	})
	w.running.Go(func() { i.RunWithContext(w.ctx) })
}

// alsoSets begins watching JobSets, once the cluster is known to have them.
func (w *watched) alsoSets() {
	w.setsOnce.Do(func() { w.run(w.sets) })
}

func (w *watched) stop() {
	w.once.Do(func() {
		close(w.stopping)
		w.cancel()
	})
	w.running.Wait()
}

// ready waits until everything has been seen once.
func (w *watched) ready(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	for _, i := range []cache.SharedIndexInformer{w.jobs, w.pods, w.nodes} {
		for !i.HasSynced() {
			select {
			case <-ctx.Done():
				return fault.Wrap(fault.Transient, ctx.Err(), "the cluster has not answered yet")
			case <-w.stopping:
				return fault.New(fault.Transient, "the engine is closed")
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return nil
}

// record is the gang of that name as it was seen last.
func (w *watched) record(namespace, name string) (record, bool) {
	for f, i := range map[form]cache.SharedIndexInformer{jobForm: w.jobs, jobSetForm: w.sets} {
		if found, ok, err := i.GetStore().GetByKey(namespace + "/" + name); ok && err == nil {
			return record{found.(*metav1.PartialObjectMetadata), f}, true
		}
	}
	return record{}, false
}

func (w *watched) podsOf(gang string) []*corev1.Pod {
	found, err := w.pods.GetIndexer().ByIndex(byGang, gang)
	if err != nil {
		return nil
	}
	pods := make([]*corev1.Pod, len(found))
	for i, object := range found {
		pods[i] = object.(*corev1.Pod)
	}
	return pods
}

func (w *watched) node(name string) *corev1.Node {
	if found, ok, err := w.nodes.GetStore().GetByKey(name); ok && err == nil {
		return found.(*corev1.Node)
	}
	return nil
}

// What follows drops what the engine never looks at, so that a large site
// costs little memory.

func trimRecord(object any) (any, error) {
	if o, ok := object.(*metav1.PartialObjectMetadata); ok {
		o.ManagedFields = nil
	}
	return object, nil
}

func trimPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	pod.ManagedFields = nil
	pod.Spec = corev1.PodSpec{NodeName: pod.Spec.NodeName}
	pod.Status.PodIPs, pod.Status.HostIPs, pod.Status.AllocatedResources, pod.Status.Resources = nil, nil, nil, nil
	return pod, nil
}

func trimNode(object any) (any, error) {
	node, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	node.ManagedFields, node.Annotations, node.Status.Images, node.Status.VolumesInUse, node.Status.VolumesAttached = nil, nil, nil, nil, nil
	return node, nil
}
