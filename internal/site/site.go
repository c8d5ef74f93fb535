// Package site owns the file of a site: which engine runs work there, how to
// reach it, what its pools are, and where checkpoints and caches are kept.
//
// It refuses to reach anything (engine), to price a pool (daemon) and to keep
// secrets: a file names them, their values stay in the site's own store.
package site

import (
	"time"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Kind is the value of `kind` in a site file.
const Kind = "Site"

// Local is the name of this machine's site, which needs no file.
const Local = "local"

// Site is a place that can run work, as its file describes it.
type Site struct {
	Kind        string `json:"kind" jsonschema:"required"`
	Name        string `json:"name" jsonschema:"required" jsonschema_description:"Lower-case letters, digits and dashes; pools are named NAME/POOL."`
	Engine      Engine `json:"engine" jsonschema:"required" jsonschema_description:"What runs the work there."`
	Provider    string `json:"provider,omitempty" jsonschema_description:"Who sells the nodes: aws, azure, owned, … Default: what their labels say, else owned."`
	Region      string `json:"region,omitempty" jsonschema_description:"Where the nodes are. Default: what their labels say."`
	Checkpoints string `json:"checkpoints,omitempty" jsonschema_description:"Store of checkpoints beyond the nodes: file://, s3://, azblob:// or gs:// with a prefix. Without one a run cannot leave the site."`
	Caches      string `json:"caches,omitempty" jsonschema_description:"Where compile caches are kept between runs: a directory of every node, or for Kubernetes pvc:NAME."`

	Env     map[string]string `json:"env,omitempty" jsonschema_description:"Variables of every rank; the workload's own go first."`
	Secrets []Secret          `json:"secrets,omitempty" jsonschema_description:"Variables of every gang, such as the keys of the checkpoint store, whose values the site's own store holds."`

	Kubernetes *Kubernetes `json:"kubernetes,omitempty" jsonschema_description:"For engine kubernetes."`
	Slurm      *Slurm      `json:"slurm,omitempty" jsonschema_description:"For engine slurm."`
	Pools      []Pool      `json:"pools,omitempty" jsonschema_description:"Declared pools. Kubernetes: nodes that no declaration takes are pools of their own. Slurm: without any, each partition and kind of accelerator is one."`
}

// Engine is what runs the work of a site.
type Engine string

// The engines that a file can name.
const (
	KubernetesEngine Engine = "kubernetes"
	SlurmEngine      Engine = "slurm"
)

// Values lists the engines.
func (Engine) Values() []string { return []string{string(KubernetesEngine), string(SlurmEngine)} }

// Secret is a variable whose value the site's own store holds.
type Secret struct {
	Name string `json:"name" jsonschema:"required" jsonschema_description:"The environment variable."`
	From string `json:"from" jsonschema:"required" jsonschema_description:"The secret that holds the value, as secret/key."`
}

// Kubernetes is how to reach a cluster and how pods are made there.
type Kubernetes struct {
	Kubeconfig string `json:"kubeconfig,omitempty" jsonschema_description:"File on the control plane's machine, absolute or from ~/. Default: $KUBECONFIG, ~/.kube/config, or inside a cluster its own service account."`
	Context    string `json:"context,omitempty" jsonschema_description:"Of the kubeconfig. Default: its current one."`
	Namespace  string `json:"namespace,omitempty" jsonschema_description:"Where gangs run. Default: the context's."`

	AgentImage       string       `json:"agent_image,omitempty" jsonschema_description:"Image that holds yard, which an init container copies into every pod."`
	PullPolicy       PullPolicy   `json:"pull_policy,omitempty" jsonschema_description:"When images are pulled. Default: the cluster's."`
	ServiceAccount   string       `json:"service_account,omitempty" jsonschema_description:"Of the pods; give it the rights to the checkpoint store (IRSA, workload identity)."`
	ImagePullSecrets []string     `json:"image_pull_secrets,omitempty"`
	PriorityClass    string       `json:"priority_class,omitempty" jsonschema_description:"Of the pods. Default: the cluster's."`
	RuntimeClass     string       `json:"runtime_class,omitempty" jsonschema_description:"Of pods with accelerators, such as nvidia."`
	Tolerations      []Toleration `json:"tolerations,omitempty" jsonschema_description:"Beyond those that the chip families need."`
	Topology         []string     `json:"topology,omitempty" jsonschema_description:"Labels of nodes that name a network domain, narrowest first: a gang is kept within one where it fits."`
	Queue            string       `json:"queue,omitempty" jsonschema_description:"LocalQueue of Kueue through which gangs are admitted."`
}

// PullPolicy is when an image is pulled.
type PullPolicy string

// Values lists the policies.
func (PullPolicy) Values() []string { return []string{"Always", "IfNotPresent", "Never"} }

// Toleration lets pods onto tainted nodes.
type Toleration struct {
	Key      string             `json:"key,omitempty" jsonschema_description:"Empty with operator Exists tolerates all."`
	Operator TolerationOperator `json:"operator,omitempty" jsonschema_description:"Default: Equal."`
	Value    string             `json:"value,omitempty"`
	Effect   TaintEffect        `json:"effect,omitempty" jsonschema_description:"Default: all."`
}

// TolerationOperator is how a toleration's value is compared.
type TolerationOperator string

// Values lists the operators.
func (TolerationOperator) Values() []string { return []string{"Equal", "Exists"} }

// TaintEffect is what a taint does to pods.
type TaintEffect string

// Values lists the effects.
func (TaintEffect) Values() []string {
	return []string{"NoSchedule", "PreferNoSchedule", "NoExecute"}
}

// Slurm is how to reach a Slurm cluster and how its jobs are made.
type Slurm struct {
	SSH     string         `json:"ssh,omitempty" jsonschema_description:"USER@HOST of a login node, with the keys of the control plane's user. Default: Slurm's commands are run on this machine."`
	SSHPort int            `json:"ssh_port,omitempty" jsonschema:"minimum=1,maximum=65535" jsonschema_description:"Default: 22, or as ssh is set."`
	Dir     string         `json:"dir" jsonschema:"required" jsonschema_description:"Directory that the login node and all nodes share; yard keeps its program, logs and reports there."`
	Account string         `json:"account,omitempty"`
	QOS     string         `json:"qos,omitempty"`
	Secrets string         `json:"secrets,omitempty" jsonschema_description:"Directory on the cluster that holds secrets as files SECRET/KEY. Default: secrets in dir."`
	Limit   units.Duration `json:"time_limit,omitempty" jsonschema_description:"Of each job, after which the run goes on in a next one. Default: the partition's."`
	// Containers is as none where it is "".
	Containers Containers `json:"containers,omitempty" jsonschema_description:"What runs the images of workloads on the nodes. Default: none, and commands run as the nodes have them."`

	Bin    string     `json:"bin,omitempty" jsonschema_description:"Directory of sbatch and the others. Default: as on PATH."`
	Config string     `json:"config,omitempty" jsonschema_description:"SLURM_CONF for the commands. Default: as installed."`
	REST   *SlurmREST `json:"rest,omitempty" jsonschema_description:"slurmrestd, which is asked in place of Slurm's commands; with ssh, from the login node."`
}

// SlurmREST is how to reach a cluster's slurmrestd.
type SlurmREST struct {
	URL     string     `json:"url" jsonschema:"required" jsonschema_description:"Such as https://slurm.example.com, http://127.0.0.1:6820 or unix:///run/slurmrestd.socket."`
	Version string     `json:"version,omitempty" jsonschema_description:"Of its interface, such as v0.0.38. Default: the newest that it offers and yard knows."`
	User    string     `json:"user,omitempty" jsonschema_description:"Whose jobs they are. Default: whom the token names."`
	Token   *FromPlace `json:"token,omitempty" jsonschema_description:"Where the JSON web token of scontrol token is; never the token. A socket may need none."`
}

// FromPlace names the place of a secret: a file, or a variable of the control plane.
type FromPlace struct {
	File string `json:"file,omitempty" jsonschema_description:"Absolute, read for every call, so that another may take its place; with ssh, on the login node."`
	Env  string `json:"env,omitempty" jsonschema_description:"A variable of the control plane's environment."`
}

// Containers is what runs images on a Slurm cluster.
type Containers string

// The containers that a file can name.
const (
	NoContainers Containers = "none"
	Apptainer    Containers = "apptainer"
	Pyxis        Containers = "pyxis"
)

// Values lists them.
func (Containers) Values() []string {
	return []string{string(NoContainers), string(Apptainer), string(Pyxis)}
}

// Pool is a pool that the file declares.
type Pool struct {
	Name string `json:"name" jsonschema:"required" jsonschema_description:"Of the pool within the site."`

	Labels     map[string]string `json:"labels,omitempty" jsonschema_description:"Kubernetes: the labels of its nodes."`
	Partition  string            `json:"partition,omitempty" jsonschema_description:"Slurm: the partition."`
	GRES       string            `json:"gres,omitempty" jsonschema_description:"Slurm: what a job asks for on each node, such as gpu:h100:8."`
	Constraint string            `json:"constraint,omitempty" jsonschema_description:"Slurm: features of the nodes."`

	Provider     string         `json:"provider,omitempty" jsonschema_description:"Default: the site's."`
	Region       string         `json:"region,omitempty" jsonschema_description:"Default: the site's."`
	InstanceType string         `json:"instance_type,omitempty" jsonschema_description:"What the provider sells; its chips and price are then the catalog's. Default: what labels say."`
	Option       catalog.Option `json:"option,omitempty" jsonschema_description:"How it is bought. Default: what labels say, else on-demand."`
	Family       chip.Family    `json:"family,omitempty" jsonschema_description:"Default: the chip's."`
	Chip         string         `json:"chip,omitempty" jsonschema_description:"Default: of the instance type, or what labels say."`
	ChipsPerNode int            `json:"chips_per_node,omitempty" jsonschema:"minimum=0" jsonschema_description:"Default: of the instance type, or what nodes tell."`
	Cores        int            `json:"cores,omitempty" jsonschema:"minimum=1" jsonschema_description:"Host cores of one node, for a pool that may have none now."`
	Memory       units.Bytes    `json:"memory,omitempty" jsonschema_description:"Host memory of one node, likewise."`
	EFA          int            `json:"efa,omitempty" jsonschema:"minimum=0" jsonschema_description:"Kubernetes: EFA interfaces of one node, likewise; nodes that are there tell it themselves."`

	Min int `json:"min,omitempty" jsonschema:"minimum=0" jsonschema_description:"Nodes that are always there."`
	Max int `json:"max,omitempty" jsonschema:"minimum=1" jsonschema_description:"Nodes that an autoscaler may grow it to. Default: those there are."`

	Rate   *Rate          `json:"rate,omitempty" jsonschema_description:"What a node costs an hour, such as $35.76. Default: the contracts' or the catalog's price."`
	Ends   *Instant       `json:"ends,omitempty" jsonschema_description:"When the capacity goes away: the end of a capacity block."`
	Notice units.Duration `json:"notice,omitempty" jsonschema_description:"How long before its end the pool is drained. Default: 40m where ends is given."`
}

// DefaultNotice is how long before its end a pool is drained where the file
// does not say: providers end the instances of a capacity block 30 minutes
// before the block's end, and a checkpoint takes its time.
const DefaultNotice = 40 * time.Minute

// NoticeOf is how long before its end the pool is drained, 0 for one without end.
func (p Pool) NoticeOf() time.Duration {
	switch {
	case p.Ends == nil:
		return 0
	case p.Notice > 0:
		return time.Duration(p.Notice)
	}
	return DefaultNotice
}

// Matches reports whether a node with these labels belongs to the pool; a pool
// that declares no labels matches none.
func (p Pool) Matches(labels map[string]string) bool {
	for key, value := range p.Labels {
		if have, ok := labels[key]; !ok || have != value {
			return false
		}
	}
	return len(p.Labels) > 0
}

// Pool returns the declared pool of that name, or nil.
func (s *Site) Pool(name string) *Pool {
	for i := range s.Pools {
		if s.Pools[i].Name == name {
			return &s.Pools[i]
		}
	}
	return nil
}
