package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// A kubeconfig that reading would not come to the end of is refused unread.
func TestAKubeconfigIsAFile(t *testing.T) {
	huge := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, mostKubeconfig+1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/dev/zero": "is no regular file", huge: "more than the 16 MiB", t.TempDir(): "is a directory",
	} {
		_, err := New(&site.Site{Name: "s", Kubernetes: &site.Kubernetes{Kubeconfig: path}}, Options{})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	t.Setenv("KUBECONFIG", "/dev/zero")
	if _, err := New(&site.Site{Name: "s"}, Options{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("out of the environment: %v", err)
	}
}
