package kubelab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lab is namespaces with a first process that ends with the test.
type lab struct {
	dir  string // of everything that the lab keeps
	id   string // unique among the labs of the machine
	host string // address of the machine, as the lab sees it
	addr string // address of the lab, as the machine sees it

	mu      sync.Mutex
	first   *exec.Cmd
	orders  io.WriteCloser
	replies *bufio.Reader
	made    []string // folders of the machine that were made to be mounted upon
}

// patience bounds everything that is waited for.
const patience = 2 * time.Minute

func newLab(t testing.TB) *lab {
	dir, err := os.MkdirTemp("", "kubelab-")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{dir: dir, id: "lab" + strings.TrimPrefix(filepath.Base(dir), "kubelab-")}
	t.Cleanup(func() { l.close(t) })
	if err := l.open(); err != nil {
		t.Fatalf("namespaces of the lab: %v", err)
	}
	return l
}

func (l *lab) open() error {
	for _, dir := range shared() {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			l.made = append(l.made, dir)
		}
	}
	l.first = exec.Command("/proc/self/exe")
	l.first.Env = append(os.Environ(), initVariable+"=1")
	l.first.Stderr = os.Stderr
	l.first.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC,
		Setsid:     true,
	}
	var err error
	if l.orders, err = l.first.StdinPipe(); err != nil {
		return err
	}
	out, err := l.first.StdoutPipe()
	if err != nil {
		return err
	}
	l.replies = bufio.NewReader(out)
	if err := l.first.Start(); err != nil {
		return err
	}
	if err := l.answer(); err != nil {
		return err
	}
	return l.wire()
}

// wire joins the lab's network with the machine's, by a link that goes with
// the lab. The address is the first of its kind that is free.
func (l *lab) wire() error {
	pid := fmt.Sprint(l.first.Process.Pid)
	link := ""
	for n := 1; n < 250 && link == ""; n++ {
		name := fmt.Sprintf("kubelab%d", n)
		if err := run("ip", "link", "add", name, "type", "veth", "peer", "name", "up0", "netns", pid); err == nil {
			link, l.host, l.addr = name, fmt.Sprintf("10.98.%d.1", n), fmt.Sprintf("10.98.%d.2", n)
		}
	}
	if link == "" {
		return errors.New("no free link between the lab and the machine")
	}
	if err := run("ip", "addr", "add", l.host+"/30", "dev", link); err != nil {
		return err
	}
	if err := run("ip", "link", "set", link, "up"); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"ip", "link", "set", "lo", "up"},
		{"ip", "addr", "add", l.addr + "/30", "dev", "up0"},
		{"ip", "link", "set", "up0", "up"},
		{"ip", "route", "add", "default", "via", l.host},
	} {
		if err := l.run(args...); err != nil {
			return err
		}
	}
	return nil
}

func run(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (l *lab) order(o order) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o.Log == "" {
		o.Log = filepath.Join(l.dir, "logs", o.Name+".log")
	}
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if _, err := l.orders.Write(append(line, '\n')); err != nil {
		return err
	}
	return l.answer()
}

func (l *lab) answer() error {
	line, err := l.replies.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the lab's first process ended: %w", err)
	}
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		return err
	}
	if r.Error != "" {
		return errors.New(r.Error)
	}
	return nil
}

// start starts a program in the lab; kill ends it.
func (l *lab) start(name string, args ...string) error {
	return l.order(order{Verb: "start", Name: name, Args: args})
}

func (l *lab) kill(name string) error { return l.order(order{Verb: "kill", Name: name}) }

// run runs a program in the lab to its end.
func (l *lab) run(args ...string) error {
	return l.order(order{Verb: "run", Name: "run", Args: args})
}

// close ends the lab with everything in it.
func (l *lab) close(t testing.TB) {
	if t.Failed() && os.Getenv("KUBELAB_KEEP_LOGS") != "" {
		t.Logf("logs of the lab: %s", l.dir)
	}
	if l.first != nil && l.first.Process != nil {
		l.orders.Close()
		_ = l.first.Process.Kill() // it may have ended by itself
		_ = l.first.Wait()         // its status tells nothing
	}
	if err := removeCgroups(l.id); err != nil {
		t.Errorf("control groups of the lab: %v", err)
	}
	for _, dir := range l.made {
		_ = os.Remove(dir) // another lab may use it
	}
	if t.Failed() && os.Getenv("KUBELAB_KEEP_LOGS") != "" {
		return
	}
	if err := os.RemoveAll(l.dir); err != nil {
		t.Errorf("files of the lab: %v", err)
	}
}

// Eventually polls until the condition holds.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: not yet: %s", patience, what)
		}
	}
}
