package kubernetes

import (
	"context"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchyard-ai/switchyard/internal/engine/agent"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// mainContainer is the container of a pod that runs the agent and its ranks.
const mainContainer = "ranks"

// sight is what is seen of one gang.
type sight struct {
	record
	marks
	parts []part // by node of the gang
	// surplus tells that the cluster made pods anew, or keeps some of a gang
	// that has ended: Kueue admits again what it evicted.
	surplus bool
}

// part is what is seen of one node of a gang.
type part struct {
	pod   *corev1.Pod // nil where there is none
	state partState
	node  string // name in the cluster; "" before it is bound

	// What follows is set once it has ended.
	report    *agent.Report // nil where the agent left none
	code      int           // of the container, where there is no report
	reason    string
	disrupted bool // it did not end by itself, nor because the gang was stopped
	badNode   bool // its node is why
	ended     time.Time
	oom       bool
	invalid   bool // it could never begin
}

type partState int

const (
	waiting partState = iota // no pod, or one that does not run yet
	running
	ended
)

// look reads what is known of a gang. A gang that the watch does not know (yet)
// is asked for; fault.Lost where it is not there.
func (e *Engine) look(ctx context.Context, name string) (sight, error) {
	if err := e.watch.ready(ctx); err != nil {
		return sight{}, err
	}
	if e.isForgotten(name) {
		return sight{}, fault.New(fault.Lost, "the cluster does not know the gang")
	}
	r, known := e.watch.record(e.namespace, name)
	if !known {
		var err error
		if r, err = e.readRecord(ctx, name); err != nil {
			return sight{}, err
		}
	}
	return e.sightOf(r, e.watch.podsOf(name))
}

// lookAgain is look past the watch, which may lag behind.
func (e *Engine) lookAgain(ctx context.Context, name string) (sight, error) {
	r, err := e.readRecord(ctx, name)
	if err != nil {
		return sight{}, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	list, err := e.api.pods.List(ctx, metav1.ListOptions{LabelSelector: labelGang + "=" + name})
	if err != nil {
		return sight{}, failure(err, "looking for the gang's pods")
	}
	pods := make([]*corev1.Pod, len(list.Items))
	for i := range list.Items {
		pods[i] = &list.Items[i]
	}
	return e.sightOf(r, pods)
}

func (e *Engine) sightOf(r record, pods []*corev1.Pod) (sight, error) {
	s := sight{record: r}
	var ok bool
	if s.marks, ok = readMarks(r); !ok || r.DeletionTimestamp != nil {
		return s, fault.New(fault.Lost, "the cluster does not know the gang")
	}
	s.parts = make([]part, s.shape.Nodes)
	for _, pod := range append(pods, e.tender.departed(r.Name)...) {
		if recordOf(pod) != r.UID {
			continue // of an earlier gang of that name
		}
		i, ok := indexOf(pod)
		switch {
		case !ok || i >= len(s.parts):
		case s.released != nil && i < len(s.released.Pods) && string(pod.UID) != s.released.Pods[i]:
			s.surplus = s.surplus || unfinished(pod)
		case newer(pod, s.parts[i].pod):
			s.parts[i].pod = pod
		}
	}
	for i := range s.parts {
		e.judge(&s.parts[i], s.marks)
		if pod := s.parts[i].pod; pod != nil && s.ended != nil {
			s.surplus = s.surplus || unfinished(pod)
		}
	}
	return s, nil
}

// unfinished reports whether a pod goes on: its agent has not ended, and nobody
// has asked for its end.
func unfinished(pod *corev1.Pod) bool {
	status := statusOf(pod.Status.ContainerStatuses, mainContainer)
	return pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded &&
		(status == nil || status.State.Terminated == nil)
}

func newer(pod, than *corev1.Pod) bool {
	return than == nil || pod.CreationTimestamp.After(than.CreationTimestamp.Time)
}

// judge works out what became of one node of the gang.
func (e *Engine) judge(p *part, m marks) {
	pod := p.pod
	if pod == nil {
		if m.released != nil {
			p.state, p.disrupted, p.reason = ended, true, "its pod is gone"
		}
		return
	}
	p.node = pod.Spec.NodeName
	status := statusOf(pod.Status.ContainerStatuses, mainContainer)
	switch {
	case status != nil && status.State.Terminated != nil:
		p.exited(pod, status.State.Terminated)
	case pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded:
		p.neverRan(pod)
	case pod.DeletionTimestamp != nil && p.node != "" && !e.nodeReady(p.node):
		p.state, p.disrupted, p.badNode = ended, true, true
		p.reason = "node " + p.node + " is lost"
		p.ended = pod.DeletionTimestamp.Add(-time.Duration(deletionGrace(pod)) * time.Second)
	case status != nil && status.State.Running != nil && pod.Status.PodIP != "":
		p.state = running
	default:
		p.invalid, p.reason = e.hopeless(pod)
	}
}

func deletionGrace(pod *corev1.Pod) int64 {
	if pod.DeletionGracePeriodSeconds == nil {
		return 0
	}
	return *pod.DeletionGracePeriodSeconds
}

// exited takes the end of the agent's container apart.
func (p *part) exited(pod *corev1.Pod, t *corev1.ContainerStateTerminated) {
	p.state, p.code, p.ended = ended, int(t.ExitCode), t.FinishedAt.Time
	p.oom = t.Reason == "OOMKilled"
	if report, err := agent.ParseReport([]byte(t.Message)); err == nil && !report.Ended.IsZero() {
		p.report, p.reason = &report, report.Reason
	} else {
		p.reason = strings.TrimSpace("exit " + strconv.Itoa(p.code) + " " + t.Reason)
		p.invalid = t.Reason == "StartError" || t.Reason == "ContainerCannotRun"
		if p.invalid {
			p.reason = "its container cannot be started: " + firstLine(t.Message)
		}
	}
	byItself := p.report != nil && !p.report.Stopped
	if !byItself && !p.oom && !p.invalid {
		p.disruption(pod)
	}
}

// neverRan is for a pod that the cluster ended before its agent began.
func (p *part) neverRan(pod *corev1.Pod) {
	p.state = ended
	if init := statusOf(pod.Status.InitContainerStatuses, agentContainer); init != nil && init.State.Terminated != nil && init.State.Terminated.ExitCode != 0 {
		p.invalid, p.reason = true, "the agent cannot be put into the pod: "+firstLine(init.State.Terminated.Message+" "+init.State.Terminated.Reason)
		return
	}
	p.disrupted = true
	p.reason = strings.TrimSuffix(pod.Status.Reason+": "+firstLine(pod.Status.Message), ": ")
	p.disruption(pod)
}

// disruption tells whether, and why, the cluster took the pod away.
func (p *part) disruption(pod *corev1.Pod) {
	for _, c := range pod.Status.Conditions {
		if c.Type != corev1.DisruptionTarget || c.Status != corev1.ConditionTrue {
			continue
		}
		p.disrupted = true
		p.badNode = c.Reason == "DeletionByTaintManager" || c.Reason == "DeletionByPodGC" || c.Reason == corev1.PodReasonTerminationByKubelet
		p.reason = firstLine(c.Reason + ": " + c.Message)
		return
	}
	switch pod.Status.Reason {
	case "Evicted", "NodeLost", "Shutdown", "Terminated", "NodeShutdown", "Preempting":
		p.disrupted, p.badNode = true, pod.Status.Reason != "Preempting"
		p.reason = firstLine(pod.Status.Reason + ": " + pod.Status.Message)
	default:
		if pod.DeletionTimestamp != nil && pod.Annotations[noteStop] == "" {
			p.disrupted, p.reason = true, "its pod was deleted"
		}
	}
}

// confirmAfter is how long what cannot work must last before it is believed:
// registries have bad moments, and a Secret may come after its pod.
const confirmAfter = 20 * time.Second

// hopeless reports whether a pod that does not run never will, and why.
func (e *Engine) hopeless(pod *corev1.Pod) (bool, string) {
	for _, s := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
		if s.State.Waiting == nil {
			continue
		}
		switch s.State.Waiting.Reason {
		case "InvalidImageName", "ErrImageNeverPull":
			return true, waitingReason(s)
		case "ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff":
			return e.tender.lasts(pod, s.Name), waitingReason(s)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return false, "waiting for nodes: " + firstLine(c.Message)
		}
	}
	return false, ""
}

func waitingReason(s corev1.ContainerStatus) string {
	w := s.State.Waiting
	switch w.Reason {
	case "InvalidImageName", "ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff":
		return "image " + s.Image + " cannot be pulled: " + firstLine(w.Reason+": "+w.Message)
	}
	return "its container cannot be made: " + firstLine(w.Message)
}

func (e *Engine) nodeReady(name string) bool {
	node := e.watch.node(name)
	if node == nil {
		return false
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func statusOf(statuses []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range statuses {
		if statuses[i].Name == name {
			return &statuses[i]
		}
	}
	return nil
}

// firstLine is what is worth showing of a message of Kubernetes.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if len(line) > 300 {
		line = strings.ToValidUTF8(line[:300], "") + "…"
	}
	return line
}
