//go:build linux

package slurm_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/engine/slurm"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lab/slurmlab"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// sshServer is a real sshd for this user, on the loopback interface. It returns
// the client's command line.
func sshServer(t *testing.T) []string {
	t.Helper()
	var sshd string
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin") {
		if path := filepath.Join(dir, "sshd"); sshd == "" {
			if _, err := os.Stat(path); err == nil {
				sshd = path
			}
		}
	}
	if sshd == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("sshd (package openssh-server) is needed")
		}
		t.Skip("SKIPPED: sshd (package openssh-server) is needed")
	}
	dir := t.TempDir()
	for _, key := range []string{"host", "client"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "sshd_config")
	text := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s/host\nAuthorizedKeysFile %s/client.pub\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nMaxStartups 100\n", port, dir, dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where sshd separates its privileges
		t.Fatal(err)
	}
	server := exec.Command(sshd, "-D", "-e", "-f", conf)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	words := slurm.SSH(site.Slurm{SSH: me.Username + "@127.0.0.1", SSHPort: port})
	words = append([]string{words[0], "-i", filepath.Join(dir, "client"), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"}, words[1:]...)
	enginetest.Eventually(t, "sshd answers", func() bool {
		return exec.Command(words[0], append(words[1:], "true")...).Run() == nil
	})
	return words
}

// remoteSite is the lab as another machine reaches it.
type remoteSite struct {
	lab   *slurmlab.Lab
	dir   string
	shell []string
}

func (s remoteSite) Open(t *testing.T) engine.Engine {
	of := labSpec(s.dir)
	of.Slurm.SSH, of.Slurm.Config = "lab", s.lab.Conf()
	return openRemote(t, of, s.shell)
}

func openRemote(t *testing.T, of site.Site, shell []string) *slurm.Remote {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	remote := slurm.NewRemote(of, []string{self}, shell)
	t.Cleanup(func() {
		if err := remote.Close(); err != nil {
			t.Error(err)
		}
	})
	return remote
}

func TestConformanceOverSSH(t *testing.T) {
	if testing.Short() {
		t.Skip("copies this program to each of the suite's sites")
	}
	lab, shell := lab(t), sshServer(t)
	t.Run("suite", func(t *testing.T) {
		enginetest.Run(t, func(t *testing.T) enginetest.Site { return remoteSite{lab, sharedDir(t), shell} })
	})
}

// A connection that breaks is made anew; the gang does not care.
func TestConnectionBreaks(t *testing.T) {
	lab := lab(t)
	s := remoteSite{lab, sharedDir(t), []string{"sh", "-c"}}
	e := s.Open(t).(*slurm.Remote)
	enginetest.Start(t, e, enginetest.Shell("tied", 1, "echo ready; sleep 600"))
	enginetest.AwaitLog(t, e, "tied", 0, "ready")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	enginetest.Await(t, e, "tied", engine.Running)
	if log, _ := enginetest.ReadLog(t, e, "tied", 0, 0); log != "ready\n" {
		t.Errorf("log %q; want one start", log)
	}
}

// A host that cannot be reached, or whose shell cannot run yard, is a failure
// that passes, told in bounded time and with what was said.
func TestUnreachable(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, shell := range map[string][]string{
		"no route":       {"sh", "-c", "echo ssh: connect to host lab: no route to host >&2; exit 255"},
		"no such ssh":    {"/no/such/ssh"},
		"a silent death": {"sh", "-c", "exit 3"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := slurm.NewRemote(labSpec(t.TempDir()), []string{self}, shell).Observe(t.Context(), "key")
			if !fault.Is(err, fault.Transient) {
				t.Errorf("after %v: %v; want it transient", time.Since(began), err)
			}
			if name == "no route" && !strings.Contains(err.Error(), "no route to host") {
				t.Errorf("%v; want what ssh said", err)
			}
		})
	}
}

// A long log comes in chunks, and where it goes on is exact.
func TestLongLogOverSSH(t *testing.T) {
	lab := lab(t)
	e := remoteSite{lab, sharedDir(t), []string{"sh", "-c"}}.Open(t)
	enginetest.Start(t, e, enginetest.Shell("long", 1, `i=0; while [ $i -lt 30000 ]; do echo "line $i of a log that is longer than one answer takes, and then some"; i=$((i+1)); done`))
	enginetest.Await(t, e, "long", engine.Exited)
	log, next := enginetest.ReadLog(t, e, "long", 0, 0)
	if lines := strings.Count(log, "\n"); lines != 30000 || int64(len(log)) != next || !strings.HasSuffix(log, "line 29999 of a log that is longer than one answer takes, and then some\n") {
		t.Errorf("%d lines, %d bytes, next %d; want all 30000", lines, len(log), next)
	}
}

// Whoever asks gets an answer in its own time, also while a connection is made
// for others; Close gives that up.
func TestConnectingTakesLong(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	remote := slurm.NewRemote(labSpec(t.TempDir()), []string{self}, []string{"sh", "-c", "exec sleep 600"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := remote.Observe(ctx, "key"); !fault.Is(err, fault.Transient) {
		t.Errorf("observe: %v; want it transient", err)
	}
	if err := remote.Close(); err != nil {
		t.Error(err)
	}
}
