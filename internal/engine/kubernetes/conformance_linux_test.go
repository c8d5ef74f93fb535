package kubernetes

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/lab/kubelab"
	"github.com/switchyard-ai/switchyard/internal/site"
)

func TestMain(m *testing.M) {
	kubelab.Main()
	os.Exit(m.Run())
}

const (
	shellImage = "switchyard.test/shell:1"
	agentImage = "switchyard.test/yard:1"
)

// lab is a cluster with the images that the tests run.
type lab struct {
	*kubelab.Cluster
	made atomic.Int32
}

func newLab(t *testing.T, o kubelab.Options) *lab {
	c := kubelab.Start(t, o)
	c.Import(t, kubelab.Shell(shellImage))
	c.Import(t, kubelab.Image{Name: agentImage, Files: map[string]string{"bin/yard": kubelab.Build(t, "./cmd/yard")}})
	return &lab{Cluster: c}
}

// labSite is a namespace of the cluster, as a site.
type labSite struct {
	lab       *lab
	namespace string
}

func (l *lab) newSite(t *testing.T) *labSite {
	s := &labSite{lab: l, namespace: fmt.Sprintf("site-%d", l.made.Add(1))}
	client := l.Client(t)
	_, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kubelab.Eventually(t, "the namespace has its service account", func() bool {
		_, err := client.CoreV1().ServiceAccounts(s.namespace).Get(context.Background(), "default", metav1.GetOptions{})
		return err == nil
	})
	return s
}

func (s *labSite) file() *site.Site {
	return &site.Site{Name: s.namespace, Engine: site.KubernetesEngine, Kubernetes: &site.Kubernetes{
		Namespace: s.namespace, AgentImage: agentImage, PullPolicy: "Never",
	}}
}

func (s *labSite) Open(t *testing.T) engine.Engine { return s.open(t, kubelab.Admin) }

func (s *labSite) open(t *testing.T, token string) *shells {
	e, err := New(s.file(), Options{Config: s.lab.Config(token), Log: slog.New(slog.NewTextHandler(testWriter{t}, nil))})
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
	l := newLab(t, kubelab.Options{Nodes: 1, Gang: true})
	t.Run("suite", func(t *testing.T) {
		enginetest.Run(t, func(t *testing.T) enginetest.Site { return l.newSite(t) })
	})
}
