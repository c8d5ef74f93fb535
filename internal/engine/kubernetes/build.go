package kubernetes

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/agent"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Where things are in a pod. Nothing else of the image is touched.
const (
	agentContainer = "agent" // the init container that brings the agent
	home           = "/.yard"
	program        = home + "/bin/yard"
	notes          = home + "/notes" // what the engine tells the agent
	scratch        = home + "/scratch"
	checkpoints    = home + "/checkpoints"
	cacheDir       = home + "/cache"
	masterPort     = 29500 // torchrun's own default
	neuronPort     = 62182 // for NEURON_RT_ROOT_COMM_ID, as the Neuron documentation has it
)

// termMargin is what a pod has beyond the ranks' grace, for the last checkpoint
// and the report.
const termMargin = 20 * time.Second

// checkGang refuses what could never be a gang here.
func checkGang(g engine.Gang) error {
	if err := checkKey(g.Key); err != nil {
		return err
	}
	perNode := ranksPerNode(g)
	switch {
	case g.Nodes < 1 || g.Ranks < g.Nodes:
		return fault.Newf(fault.Invalid, "gang %s has %d ranks on %d nodes; one rank on each at least is needed", g.Key, g.Ranks, g.Nodes)
	case (g.Nodes-1)*perNode >= g.Ranks:
		return fault.Newf(fault.Invalid, "gang %s has %d ranks for %d nodes; %d on each leave a node without", g.Key, g.Ranks, g.Nodes, perNode)
	case len(g.Command) == 0:
		return fault.Newf(fault.Invalid, "gang %s has no command; that of the image cannot be taken: the agent starts it", g.Key)
	case g.Image == "":
		return fault.Newf(fault.Invalid, "gang %s has no image; a workload for Kubernetes needs one", g.Key)
	}
	for _, m := range g.Mounts {
		if strings.Contains(m.From, "://") {
			return fault.Newf(fault.Invalid, "mount %s: %s cannot be mounted here; name a directory of the nodes or a PersistentVolumeClaim that holds it", m.Path, m.From)
		}
	}
	return nil
}

func ranksPerNode(g engine.Gang) int {
	if g.Nodes < 1 {
		return max(g.Ranks, 1)
	}
	return max((g.Ranks+g.Nodes-1)/g.Nodes, 1)
}

// build makes the Job of a gang, which a JobSet may hold.
func (e *Engine) build(g engine.Gang, found facilities) (*batchv1.Job, error) {
	place, err := e.placeOf(g)
	if err != nil {
		return nil, err
	}
	name := objectName(g.Key)
	if g.Grace == 0 {
		g.Grace = defaultGrace
	}
	sh := shape{
		Key: g.Key, Run: g.Run, Pool: g.Pool, Image: g.Image, Nodes: g.Nodes, Ranks: g.Ranks, PerNode: ranksPerNode(g),
		Grace: g.Grace, Memory: g.Memory, Means: found.means, Secret: len(g.Secrets) > 0,
	}
	labels := e.labels(name)
	suspend := found.means == kueue
	if suspend {
		labels[labelQueue] = e.cluster.Queue
	}
	nodes := int32(g.Nodes)
	none := int32(0)
	indexed, failed := batchv1.IndexedCompletion, batchv1.Failed
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: map[string]string{noteKey: g.Key, noteGang: toJSON(sh)}},
		Spec: batchv1.JobSpec{
			Parallelism: &nodes, Completions: &nodes, CompletionMode: &indexed, Suspend: &suspend,
			// A pod that fails is never replaced, and leaves the others to the
			// engine: a Job that fails kills them with their logs and reports.
			BackoffLimitPerIndex: &none, PodReplacementPolicy: &failed,
			PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
				Action:          batchv1.PodFailurePolicyActionFailIndex,
				OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
			}}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: e.labels(name)},
				Spec:       e.podSpec(g, sh, place, found.form()),
			},
		},
	}, nil
}

func (e *Engine) podSpec(g engine.Gang, sh shape, p place, f form) corev1.PodSpec {
	name := objectName(g.Key)
	no, grace := false, int64((g.Grace+termMargin)/time.Second)
	pod := corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: &no, EnableServiceLinks: &no,
		ServiceAccountName: e.cluster.ServiceAccount, PriorityClassName: e.cluster.PriorityClass,
		TerminationGracePeriodSeconds: &grace, Subdomain: name,
		Tolerations: e.tolerations(p), Affinity: p.affinity(g, name),
		InitContainers: []corev1.Container{{
			Name: agentContainer, Image: e.cluster.AgentImage, ImagePullPolicy: e.pullPolicy(),
			Command:      []string{"yard", "agent", "--copy", program},
			VolumeMounts: []corev1.VolumeMount{{Name: "home", MountPath: home + "/bin", SubPath: "bin"}},
		}},
	}
	for _, secret := range e.cluster.ImagePullSecrets {
		pod.ImagePullSecrets = append(pod.ImagePullSecrets, corev1.LocalObjectReference{Name: secret})
	}
	if e.cluster.RuntimeClass != "" && p.accelerated() {
		pod.RuntimeClassName = &e.cluster.RuntimeClass
	}
	if sh.Means == native && sh.Nodes > 1 {
		pod.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: &name}
	}
	volumes := e.volumes(g)
	pod.Volumes = volumes.all
	pod.Containers = []corev1.Container{{
		Name: mainContainer, Image: g.Image, ImagePullPolicy: e.pullPolicy(),
		Command: []string{program, "agent"}, Env: e.environment(g, sh, p, f),
		Resources: p.resources(g), VolumeMounts: volumes.mounts, SecurityContext: p.security(),
	}}
	return pod
}

func (e *Engine) pullPolicy() corev1.PullPolicy { return corev1.PullPolicy(e.cluster.PullPolicy) }

// task is what the agent of every node is told.
func (e *Engine) task(g engine.Gang, sh shape) agent.Task {
	g.Dir, g.Secrets, g.SecretRefs = "", nil, nil
	env := map[string]string{}
	maps.Copy(env, e.site.Env)
	maps.Copy(env, g.Env)
	g.Env = env
	return agent.Task{
		Gang: g, PerNode: sh.PerNode, Release: notes + "/release.json", Stop: notes + "/stop.json",
		Report: "/dev/termination-log", Scratch: scratch, Checkpoint: checkpoints, Port: masterPort, TermGrace: g.Grace,
	}
}

// environment is the variables of the agent's container. The gang's own are in
// its task, and go before those here.
func (e *Engine) environment(g engine.Gang, sh shape, p place, f form) []corev1.EnvVar {
	vars := []corev1.EnvVar{
		{Name: agent.TaskVariable, Value: literal(toJSON(e.task(g, sh)))},
		{Name: "YARD_NODE_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}},
	}
	defaults := p.variables(g, f)
	if e.site.Caches != "" && g.CacheKey != "" {
		maps.Copy(defaults, cacheVariables())
	}
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		vars = append(vars, corev1.EnvVar{Name: name, Value: literal(defaults[name])})
	}
	refs := map[string]string{}
	for _, secret := range e.site.Secrets {
		refs[secret.Name] = secret.From
	}
	maps.Copy(refs, g.SecretRefs)
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		object, key, _ := strings.Cut(refs[name], "/")
		vars = append(vars, secretVariable(name, object, key))
	}
	for _, name := range slices.Sorted(maps.Keys(g.Secrets)) {
		vars = append(vars, secretVariable(name, objectName(g.Key), name))
	}
	return vars
}

// literal keeps Kubernetes from expanding $(NAME) and $$ in a value.
func literal(value string) string { return strings.ReplaceAll(value, "$", "$$") }

func secretVariable(name, object, key string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: object}, Key: key,
	}}}
}

// cacheVariables tell compilers where to keep what they made.
func cacheVariables() map[string]string {
	return map[string]string{
		"NEURON_COMPILE_CACHE_URL": cacheDir + "/neuron", "TRITON_CACHE_DIR": cacheDir + "/triton",
		"TORCHINDUCTOR_CACHE_DIR": cacheDir + "/inductor", "JAX_COMPILATION_CACHE_DIR": cacheDir + "/xla",
	}
}

// volumes are those of a pod, and where its ranks see them.
type volumes struct {
	all    []corev1.Volume
	mounts []corev1.VolumeMount
}

func (v *volumes) add(name, at, sub string, readOnly bool, source corev1.VolumeSource) {
	v.all = append(v.all, corev1.Volume{Name: name, VolumeSource: source})
	v.mounts = append(v.mounts, corev1.VolumeMount{Name: name, MountPath: at, SubPath: sub, ReadOnly: readOnly})
}

func (e *Engine) volumes(g engine.Gang) *volumes {
	v := &volumes{}
	v.add("home", home+"/bin", "bin", true, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
	for sub, at := range map[string]string{"scratch": scratch, "checkpoints": checkpoints} {
		v.mounts = append(v.mounts, corev1.VolumeMount{Name: "home", MountPath: at, SubPath: sub})
	}
	slices.SortFunc(v.mounts, func(a, b corev1.VolumeMount) int { return strings.Compare(a.MountPath, b.MountPath) })
	v.add("notes", notes, "", true, corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{
		{Path: "release.json", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations['" + noteRelease + "']"}},
		{Path: "stop.json", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations['" + noteStop + "']"}},
	}}})
	v.add("shm", "/dev/shm", "", false, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}})
	if e.site.Caches != "" && g.CacheKey != "" {
		v.directory("cache", cacheDir, e.site.Caches, path.Clean("/" + g.CacheKey)[1:])
	}
	if g.Checkpoint != nil {
		if dir, ok := strings.CutPrefix(g.Checkpoint.URL, "file://"); ok {
			v.directory("store", dir, dir, "")
		}
	}
	for i, m := range g.Mounts {
		v.mount(fmt.Sprintf("mount-%d", i), m)
	}
	return v
}

// directory mounts a directory of the node, or "pvc:NAME", that is made where
// it is not there.
func (v *volumes) directory(name, at, from, sub string) {
	if claim, ok := strings.CutPrefix(from, "pvc:"); ok {
		v.add(name, at, sub, false, claimed(claim))
		return
	}
	kind := corev1.HostPathDirectoryOrCreate
	v.add(name, at, "", false, corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path.Join(from, sub), Type: &kind}})
}

func (v *volumes) mount(name string, m engine.Mount) {
	if !path.IsAbs(m.From) {
		v.add(name, m.Path, "", m.ReadOnly, claimed(strings.TrimPrefix(m.From, "pvc:")))
		return
	}
	kind := corev1.HostPathDirectory
	v.add(name, m.Path, "", m.ReadOnly, corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: m.From, Type: &kind}})
}

func claimed(name string) corev1.VolumeSource {
	return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}
}

func quantity(n int64) resource.Quantity { return *resource.NewQuantity(n, resource.DecimalSI) }
