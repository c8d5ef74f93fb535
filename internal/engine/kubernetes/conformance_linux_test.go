package kubernetes

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/lab/kubelab"
	"github.com/switchyard-ai/switchyard/internal/site"
)

func TestMain(m *testing.M) {
	kubelab.Main()
	flag.Bool("operators", false, "run the tests that need Kueue and JobSet, which take minutes to build")
	flag.Parse()
	os.Exit(m.Run())
}

const (
	shellImage = "switchyard.test/shell:1"
	agentImage = "switchyard.test/yard:1"
)

// lab is a cluster with the images that the tests run.
type lab struct {
	*kubelab.Cluster
	nodes int
	made  atomic.Int32
}

func newLab(t *testing.T, o kubelab.Options) *lab {
	c := kubelab.Start(t, o)
	c.Import(t, kubelab.Shell(shellImage))
	c.Import(t, kubelab.Image{Name: agentImage, Files: map[string]string{"bin/yard": kubelab.Build(t, "./cmd/yard")}})
	return &lab{Cluster: c, nodes: o.Nodes}
}

// labSite is a namespace of the cluster, as a site.
type labSite struct {
	lab       *lab
	namespace string
	nodes     int
	config    *rest.Config
	wire      *wire
	queue     string // LocalQueue of Kueue
	form      form   // of gangs
}

func (s *labSite) Nodes() int { return s.nodes }

func (s *labSite) Cut(*testing.T) { s.wire.cut() }

func (s *labSite) Restore(*testing.T) { s.wire.restore() }

func (s *labSite) Delete(t *testing.T, key string) {
	background := metav1.DeletePropagationBackground
	err := s.lab.Client(t).BatchV1().RESTClient().Delete().AbsPath("/apis", s.form.version(), "namespaces", s.namespace, s.form.resource().Resource, objectName(key)).
		Body(&metav1.DeleteOptions{PropagationPolicy: &background}).Do(t.Context()).Error()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *labSite) Lose(t *testing.T, node string) {
	for i := range s.nodes {
		if kubelab.NodeName(i+1) == node {
			s.lab.KillNode(t, i+1)
		}
	}
}

// wire is the network between a site's engines and the API server.
type wire struct {
	mu   sync.Mutex
	away bool
	open []net.Conn
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return nil, errors.New("connection refused: the API server is away")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		w.open = append(w.open, conn)
	}
	return conn, err
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = true
	for _, conn := range w.open {
		_ = conn.Close() // it may be closed
	}
	w.open = nil
}

func (w *wire) restore() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = false
}

func (l *lab) newSite(t *testing.T) *labSite { return l.newSiteOf(t, jobForm) }

// newSiteOf is a site whose gangs are of that form: it may use JobSets, or not.
func (l *lab) newSiteOf(t *testing.T, f form) *labSite {
	s := &labSite{lab: l, namespace: fmt.Sprintf("site-%d", l.made.Add(1)), nodes: l.nodes, wire: &wire{}, form: f}
	client := l.Client(t)
	_, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kubelab.Eventually(t, "the namespace has its service account", func() bool {
		_, err := client.CoreV1().ServiceAccounts(s.namespace).Get(context.Background(), "default", metav1.GetOptions{})
		return err == nil
	})
	s.config = grant(t, l.Cluster, s.namespace, f)
	return s
}

func (s *labSite) file() *site.Site {
	return &site.Site{Name: s.namespace, Engine: site.KubernetesEngine, Kubernetes: &site.Kubernetes{
		Namespace: s.namespace, AgentImage: agentImage, PullPolicy: "Never", Queue: s.queue,
	}}
}

func (s *labSite) Open(t *testing.T) engine.Engine { return s.open(t, Options{}) }

func (s *labSite) OpenSkewed(t *testing.T, wrong time.Duration) engine.Engine {
	return s.open(t, Options{Clock: func() time.Time { return time.Now().Add(wrong) }})
}

func (s *labSite) open(t *testing.T, o Options) *shells {
	return s.openFile(t, s.file(), o)
}

// openFile opens an engine with the rights of deploy/, and no others.
func (s *labSite) openFile(t *testing.T, file *site.Site, o Options) *shells {
	o.Config = rest.CopyConfig(s.config)
	o.Config.Dial = s.wire.dial
	o.Log = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	e, err := New(file, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return &shells{e}
}

// shells gives gangs that have none an image with a shell.
type shells struct{ *Engine }

func (s *shells) Start(ctx context.Context, gang engine.Gang) error {
	if gang.Image == "" {
		gang.Image = shellImage
	}
	return s.Engine.Start(ctx, gang)
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(data []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(data)))
	}
	return len(data), nil
}

func TestConformance(t *testing.T) {
	l := newLab(t, kubelab.Options{Nodes: 3, Gang: true, NodeGrace: 10 * time.Second})
	t.Run("suite", func(t *testing.T) {
		enginetest.Run(t, func(t *testing.T) enginetest.Site { return l.newSite(t) })
	})
	t.Run("the loss of a node", func(t *testing.T) { enginetest.RunLoss(t, l.newSite(t)) })
}
