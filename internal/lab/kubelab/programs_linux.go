package kubelab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

const (
	kubernetesVersion = "1.36.3" // as tools/kubernetes/go.mod has it
	kwokVersion       = "v0.8.0"
	buildPatience     = 40 * time.Minute
)

// needed are the commands of the system that a lab runs, by Debian package.
func needed() [][2]string {
	return [][2]string{
		{"etcd", "etcd-server"}, {"containerd", "containerd"}, {"ctr", "containerd"}, {"runc", "runc"},
		{"/usr/lib/cni/bridge", "containernetworking-plugins"}, {"iptables", "iptables"}, {"ip", "iproute2"},
		{"/bin/busybox", "busybox-static"},
	}
}

// Need skips the test where the machine cannot run a lab, and says why. In CI
// that is a failure.
func Need(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("real Kubernetes is left out of -short")
	}
	var lacks []string
	if os.Getuid() != 0 {
		lacks = append(lacks, "root")
	}
	for _, n := range needed() {
		if _, err := exec.LookPath(n[0]); err != nil {
			lacks = append(lacks, fmt.Sprintf("%s (package %s)", n[0], n[1]))
		}
	}
	switch {
	case len(lacks) == 0:
	case os.Getenv("CI") != "":
		t.Fatalf("no real Kubernetes here: it needs %s", strings.Join(lacks, ", "))
	default:
		t.Skipf("NOT TESTED: no real Kubernetes here: it needs %s", strings.Join(lacks, ", "))
	}
}

// module is the root of Switchyard's source.
func module() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// programs returns the folder with Kubernetes' programs, kwok and these
// operators, which are built when they are not there yet: some minutes, once
// per machine.
func programs(t testing.TB, operators ...string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "switchyard-lab", "kubernetes-"+kubernetesVersion, "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock := flock.New(dir + ".lock")
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	ctx, cancel := context.WithTimeout(t.Context(), buildPatience)
	defer cancel()
	for _, name := range append([]string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kwok"}, operators...) {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			continue
		}
		t.Logf("building %s", name)
		if err := build(ctx, dir, name); err != nil {
			t.Fatalf("build %s: %v", name, err)
		}
	}
	return dir
}

// build builds one program into the folder.
func build(ctx context.Context, dir, name string) error {
	if name == "kwok" {
		cmd := exec.CommandContext(ctx, "go", "install", "sigs.k8s.io/kwok/cmd/kwok@"+kwokVersion)
		return runBuild(cmd, "GOBIN="+dir)
	}
	root, err := module()
	if err != nil {
		return err
	}
	folder, pkg, flags := filepath.Join(root, "tools", "kubernetes"), "k8s.io/kubernetes/cmd/"+name, "-s -w "+versionFlags()
	for _, o := range operators() {
		if o.name == name {
			folder, pkg, flags = filepath.Join(root, operatorsFolder), o.main, "-s -w"
		}
	}
	tmp := filepath.Join(dir, "."+name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "selinux,notest,grpcnotrace", "-ldflags", flags, "-o", tmp, pkg)
	cmd.Dir = folder
	if err := runBuild(cmd); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, name))
}

func versionFlags() string {
	major, rest, _ := strings.Cut(kubernetesVersion, ".")
	minor, _, _ := strings.Cut(rest, ".")
	const version = "-X k8s.io/component-base/version."
	return version + "gitVersion=v" + kubernetesVersion + " " + version + "gitMajor=" + major + " " + version + "gitMinor=" + minor
}

func runBuild(cmd *exec.Cmd, environ ...string) error {
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), environ...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// kwokModule is the folder of kwok's source, for its stages.
func kwokModule(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", "sigs.k8s.io/kwok@"+kwokVersion)
	cmd.Env = append(os.Environ(), "GO111MODULE=on", "GOFLAGS=-mod=mod")
	cmd.Dir = os.TempDir()
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	var found struct{ Dir string }
	return found.Dir, json.Unmarshal(out, &found)
}

// Build builds a static program of Switchyard's module, such as "./cmd/yard".
func Build(t testing.TB, pkg string) string {
	t.Helper()
	root, err := module()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(pkg))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, pkg)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", pkg, err, out)
	}
	return path
}
