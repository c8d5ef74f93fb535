package kubelab

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Options says what cluster a test wants.
type Options struct {
	Nodes int  // real ones, with containerd and a kubelet each
	Gang  bool // native gang scheduling, as far as this version has it
	Kwok  bool // fake nodes can be added
	// Operators are what else runs in the cluster: "kueue", "jobset".
	Operators []string
	// NodeGrace is how long a node may be silent before it counts as lost; 0 is
	// long enough for a busy machine.
	NodeGrace time.Duration
}

// Cluster is a running Kubernetes cluster.
type Cluster struct {
	lab     *lab
	options Options
	bin     string
	nodes   []*node
}

// The users of the cluster's token file. Admin may do everything.
const (
	Admin     = "admintoken"
	kcmToken  = "kcmtoken"
	schedT    = "schedtoken"
	nodeToken = "nodetoken"
	serverAt  = ":16443"
)

const tokens = Admin + `,admin,admin,"system:masters"
` + kcmToken + `,system:kube-controller-manager,kcm
` + schedT + `,system:kube-scheduler,sched
` + nodeToken + `,admin-of-nodes,nodes,"system:masters"
`

// Start starts a cluster that ends with the test, or skips the test where the
// machine cannot run one.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	Need(t)
	bin := programs(t, o.Operators...)
	if o.NodeGrace == 0 {
		o.NodeGrace = 40 * time.Second
	}
	c := &Cluster{lab: newLab(t), options: o, bin: bin}
	if err := c.prepare(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	etcd := "http://127.0.0.1:12379"
	c.must(t, c.lab.start("etcd", "etcd", "--data-dir", c.path("etcd"), "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", "http://127.0.0.1:12380", "--initial-advertise-peer-urls", "http://127.0.0.1:12380",
		"--initial-cluster", "default=http://127.0.0.1:12380", "--unsafe-no-fsync", "--quota-backend-bytes", "4294967296"))
	c.StartAPI(t)
	c.must(t, c.lab.start("controllers", c.controllers()...))
	c.must(t, c.lab.start("scheduler", c.scheduler()...))
	for _, operator := range operators() {
		if slices.Contains(o.Operators, operator.name) {
			c.startOperator(t, operator)
		}
	}
	for i := range o.Nodes {
		c.nodes = append(c.nodes, c.startNode(t, i+1))
	}
	for _, n := range c.nodes {
		c.awaitReady(t, n.name, true)
	}
	t.Logf("cluster of %d nodes ready after %v", o.Nodes, time.Since(began).Round(100*time.Millisecond))
	return c
}

func (c *Cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.lab.dir}, elem...)...)
}

func (c *Cluster) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// prepare writes the files that the control plane reads.
func (c *Cluster) prepare() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	files := map[string]string{
		"sa.key": string(private), "sa.pub": string(public), "tokens.csv": tokens,
		"admin.yaml": c.Kubeconfig(Admin), "kcm.yaml": c.Kubeconfig(kcmToken), "sched.yaml": c.Kubeconfig(schedT), "node.yaml": c.Kubeconfig(nodeToken),
		"scheduler.yaml": "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nleaderElection: {leaderElect: false}\n" +
			"clientConnection: {kubeconfig: " + c.path("sched.yaml") + ", qps: 1000, burst: 2000}\n",
	}
	for name, text := range files {
		if err := os.WriteFile(c.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Kubeconfig is the text of one for a bearer token.
func (c *Cluster) Kubeconfig(token string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
clusters: [{name: lab, cluster: {server: "%s", certificate-authority: "%s"}}]
users: [{name: lab, user: {token: "%s"}}]
`, c.server(), c.path("certs", "apiserver.crt"), token)
}

// KubeconfigFile is the path of a kubeconfig whose user may do everything.
func (c *Cluster) KubeconfigFile() string { return c.path("admin.yaml") }

func (c *Cluster) server() string { return "https://" + c.lab.addr + serverAt }

// Host is the address at which pods reach this machine.
func (c *Cluster) Host() string { return c.lab.host }

// Config is how to reach the cluster with a bearer token.
func (c *Cluster) Config(token string) *rest.Config {
	return &rest.Config{
		Host: c.server(), BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAFile: c.path("certs", "apiserver.crt")},
		QPS: 1000, Burst: 2000, Timeout: 30 * time.Second,
	}
}

// Client is a client that may do everything.
func (c *Cluster) Client(t testing.TB) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.Config(Admin))
	c.must(t, err)
	return client
}

// gates are the feature gates of native gang scheduling.
func (c *Cluster) gates() []string {
	if !c.options.Gang {
		return nil
	}
	return []string{"--feature-gates=GenericWorkload=true,GangScheduling=true"}
}

// StartAPI starts the API server, again after StopAPI.
func (c *Cluster) StartAPI(t testing.TB) {
	t.Helper()
	args := append([]string{
		filepath.Join(c.bin, "kube-apiserver"), "--etcd-servers=http://127.0.0.1:12379",
		"--bind-address=0.0.0.0", "--advertise-address=" + c.lab.addr, "--secure-port=16443", "--cert-dir=" + c.path("certs"),
		"--service-cluster-ip-range=10.96.0.0/16", "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.path("sa.pub"), "--service-account-signing-key-file=" + c.path("sa.key"),
		"--token-auth-file=" + c.path("tokens.csv"), "--authorization-mode=Node,RBAC", "--allow-privileged=true",
		"--endpoint-reconciler-type=none", "--kubelet-preferred-address-types=InternalIP",
		"--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000",
	}, c.gates()...)
	if c.options.Gang {
		args = append(args, "--runtime-config=scheduling.k8s.io/v1alpha2=true")
	}
	c.must(t, c.lab.start("apiserver", args...))
	Eventually(t, "the API server is ready", func() bool {
		config := c.Config(Admin)
		config.Timeout = 5 * time.Second
		if _, err := os.Stat(config.CAFile); err != nil {
			return false
		}
		transport, err := rest.HTTPClientFor(config)
		if err != nil {
			return false
		}
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, c.server()+"/readyz", nil)
		if err != nil {
			return false
		}
		response, err := transport.Do(request)
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// StopAPI kills the API server.
func (c *Cluster) StopAPI(t testing.TB) {
	t.Helper()
	c.must(t, c.lab.kill("apiserver"))
}

func (c *Cluster) controllers() []string {
	config := c.path("kcm.yaml")
	return append([]string{
		filepath.Join(c.bin, "kube-controller-manager"), "--kubeconfig=" + config, "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
		"--service-account-private-key-file=" + c.path("sa.key"), "--root-ca-file=" + c.path("certs", "apiserver.crt"), "--use-service-account-credentials",
		"--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=16257", "--cert-dir=" + c.path("certs", "kcm"),
		"--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-job-syncs=20", "--concurrent-gc-syncs=20",
		"--node-monitor-period=1s", "--node-monitor-grace-period=" + c.options.NodeGrace.String(),
	}, c.gates()...)
}

func (c *Cluster) scheduler() []string {
	config := c.path("sched.yaml")
	return append([]string{
		filepath.Join(c.bin, "kube-scheduler"), "--config=" + c.path("scheduler.yaml"), "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
		"--bind-address=127.0.0.1", "--secure-port=16259", "--cert-dir=" + c.path("certs", "sched"),
		// Else the scheduler writes the reason of each pod of a gang that does not
		// fit one after another, and schedules nothing meanwhile.
		"--feature-gates=SchedulerAsyncAPICalls=true",
	}, c.gates()...)
}

// Log is the end of the log of one of the lab's programs, for messages.
func (c *Cluster) Log(name string) string {
	data, err := os.ReadFile(c.path("logs", name+".log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(data), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}
