package kubelab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// initVariable makes the test binary act as the first process of a lab.
const initVariable = "KUBELAB_INIT"

// Main must be the first call of a TestMain that uses this package: where the
// test binary was started as the first process of a lab, it never returns.
func Main() {
	if os.Getenv(initVariable) == "" {
		return
	}
	if err := serveInit(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kubelab:", err)
		os.Exit(1)
	}
	os.Exit(0) // and with the first process of a namespace ends every other
}

// order is what the test asks of the lab's first process.
type order struct {
	Verb string   `json:"verb"` // "start", "run" or "kill"
	Name string   `json:"name"`
	Args []string `json:"args,omitempty"`
	Env  []string `json:"env,omitempty"`
	Log  string   `json:"log,omitempty"`
}

type reply struct {
	Error string `json:"error,omitempty"`
}

// keeper starts the lab's programs and reaps everything that ends in its
// namespace: their orphans become its children.
type keeper struct {
	mu    sync.Mutex
	named map[string]int
	ended map[int]syscall.WaitStatus
	begun int // programs started so far
	news  *sync.Cond
}

// serveInit follows orders until their writer is gone.
func serveInit(in io.Reader, out io.Writer) error {
	if err := furnish(); err != nil {
		return err
	}
	k := &keeper{named: map[string]int{}, ended: map[int]syscall.WaitStatus{}}
	k.news = sync.NewCond(&k.mu)
	go k.reap()
	encoder := json.NewEncoder(out)
	if err := encoder.Encode(reply{}); err != nil { // ready
		return err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		var r reply
		if err := k.follow(o); err != nil {
			r.Error = fmt.Sprintf("%s %s: %v", o.Verb, o.Name, err)
		}
		if err := encoder.Encode(r); err != nil {
			return err
		}
	}
	return lines.Err()
}

// shared are folders that the programs insist on: they get empty ones.
func shared() []string { return []string{"/run", "/var/lib/cni", "/var/log/containers"} }

// furnish makes the namespaces a place to live in.
func furnish() error {
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_SHARED|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("mounts shared within: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("proc: %w", err)
	}
	for _, dir := range shared() {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("tmpfs at %s: %w", dir, err)
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}

func (k *keeper) reap() {
	for {
		k.mu.Lock()
		begun := k.begun
		k.mu.Unlock()
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.ECHILD):
			k.mu.Lock()
			for k.begun == begun {
				k.news.Wait()
			}
			k.mu.Unlock()
		case err == nil:
			k.mu.Lock()
			k.ended[pid] = status
			k.news.Broadcast()
			k.mu.Unlock()
		}
	}
}

func (k *keeper) follow(o order) error {
	switch o.Verb {
	case "start":
		return k.start(o)
	case "run":
		if err := k.start(o); err != nil {
			return err
		}
		if status := k.wait(o.Name); status.ExitStatus() != 0 {
			return fmt.Errorf("exit %d; see %s", status.ExitStatus(), o.Log)
		}
		return nil
	case "kill":
		k.mu.Lock()
		pid, ok := k.named[o.Name]
		k.mu.Unlock()
		if !ok {
			return nil
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		k.wait(o.Name)
		return nil
	}
	return errors.New("unknown verb")
}

func (k *keeper) start(o order) error {
	path, err := exec.LookPath(o.Args[0])
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.Log), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	pid, err := syscall.ForkExec(path, o.Args, &syscall.ProcAttr{
		Env:   append(os.Environ(), o.Env...),
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	k.named[o.Name] = pid
	k.begun++
	k.news.Broadcast()
	return nil
}

// wait waits for the end of a named program and frees its name.
func (k *keeper) wait(name string) syscall.WaitStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	pid := k.named[name]
	for {
		if status, ok := k.ended[pid]; ok {
			delete(k.ended, pid)
			delete(k.named, name)
			return status
		}
		k.news.Wait()
	}
}
