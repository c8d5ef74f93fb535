package slurmlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// markVariable is in the environment of every daemon, and so of all that they
// start: by it the lab finds what is left.
const markVariable = "SLURMLAB"

// nodeVariable is in the environment of a node's slurmd and its steps' keepers.
const nodeVariable = "SLURMLAB_NODE"

// daemon is one process of the lab, in the foreground.
type daemon struct {
	process *os.Process
	ended   chan struct{}
}

// start runs a daemon for as long as this process lives.
func (l *Lab) start(name, program string, args ...string) error {
	return l.startWith(nil, withParent(), name, program, args...)
}

func (l *Lab) startWith(environ []string, as *syscall.SysProcAttr, name, program string, args ...string) error {
	log, err := os.OpenFile(l.path(name+".out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(findProgram(program), args...)
	cmd.Env = append(append(l.Env(), markVariable+"="+l.Dir, "HOME="+l.path("home")), environ...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, l.Dir
	cmd.SysProcAttr = as
	d := &daemon{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the daemon dies with this thread
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(d.ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	d.process = cmd.Process
	l.daemons[name] = d
	return nil
}

func (l *Lab) running(name string) bool {
	d := l.daemons[name]
	if d == nil {
		return false
	}
	select {
	case <-d.ended:
		return false
	default:
		return true
	}
}

// alive fails where a daemon has ended, with what it said.
func (l *Lab) alive(name string) error {
	if l.running(name) {
		return nil
	}
	out, _ := os.ReadFile(l.path(name + ".out"))
	return fmt.Errorf("%s has ended: %s", name, bytes.TrimSpace(out))
}

// end terminates a daemon, and kills it where it does not leave.
func (l *Lab) end(name string) error {
	d := l.daemons[name]
	if d == nil {
		return nil
	}
	delete(l.daemons, name)
	_ = d.process.Signal(syscall.SIGTERM)
	for _, wait := range []time.Duration{10 * time.Second, patience} {
		select {
		case <-d.ended:
			return nil
		case <-time.After(wait):
			_ = d.process.Kill()
		}
	}
	return fmt.Errorf("%s does not end", name)
}

// kill ends a daemon as a crash would.
func (l *Lab) kill(name string) error {
	d := l.daemons[name]
	if d == nil {
		return fmt.Errorf("%s is not running", name)
	}
	delete(l.daemons, name)
	err := d.process.Kill()
	<-d.ended
	return err
}

func (l *Lab) startMunge(ctx context.Context) error {
	err := l.start("munged", "munged", "--foreground", "--force", "--key-file="+l.path("munge.key"), "--socket="+l.path("munge.sock"),
		"--pid-file="+l.path("munged.pid"), "--log-file="+l.path("munged.log"), "--seed-file="+l.path("munge.seed"))
	if err != nil {
		return err
	}
	return until(ctx, "munged listens", func() error {
		_, err := os.Stat(l.path("munge.sock"))
		return errors.Join(err, l.alive("munged"))
	})
}

func (l *Lab) startDatabase(ctx context.Context) error {
	data, socket := "--datadir="+l.path("db"), "--socket="+l.path("db.sock")
	if _, err := l.Call(ctx, "mariadb-install-db", "--no-defaults", data, "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db"); err != nil {
		return err
	}
	err := l.start("mariadbd", "mariadbd", "--no-defaults", data, socket, "--user=root", "--bind-address=127.0.0.1",
		"--port="+strconv.Itoa(l.ports.database), "--pid-file="+l.path("db.pid"), "--innodb-flush-log-at-trx-commit=0",
		"--innodb-log-file-size=16M", "--skip-log-bin")
	if err != nil {
		return err
	}
	return until(ctx, "the database answers", func() error {
		_, err := l.Call(ctx, "mariadb", "--no-defaults", socket, "--user=root", "--execute",
			"create user if not exists slurm@'127.0.0.1' identified by 'lab'; grant all on slurm_acct_db.* to slurm@'127.0.0.1'")
		return errors.Join(err, l.alive("mariadbd"))
	})
}

func (l *Lab) startAccounting(ctx context.Context) error {
	if err := l.start("slurmdbd", "slurmdbd", "-D"); err != nil {
		return err
	}
	return until(ctx, "the accounting answers", func() error {
		if err := l.alive("slurmdbd"); err != nil {
			return err
		}
		for _, command := range []string{
			"add cluster lab", "add account lab", "add user root account=lab", "add account research", "add user root account=research", "add qos small", "modify qos small set MaxTRESPerJob=node=1 Flags=DenyOnLimit",
			"modify user root set qos+=small",
		} {
			out, err := l.Call(ctx, append([]string{"sacctmgr", "--immediate"}, strings.Fields(command)...)...)
			if err != nil && !strings.Contains(out, "Nothing new added") && !strings.Contains(out, "already exists") {
				return err
			}
		}
		return nil
	})
}

// StartController starts slurmctld, again after StopController.
func (l *Lab) StartController(ctx context.Context) error {
	if err := l.start("slurmctld", "slurmctld", "-D", "-f", l.path("slurm.conf")); err != nil {
		return err
	}
	return until(ctx, "slurmctld answers", func() error {
		_, err := l.Call(ctx, "scontrol", "ping")
		return errors.Join(err, l.alive("slurmctld"))
	})
}

// StopController ends slurmctld: clients then wait or fail. It saves its state
// first: one that is killed within seconds of a job's start forgets that the job
// runs, and cancels it when it comes back.
func (l *Lab) StopController() error { return l.end("slurmctld") }

func (l *Lab) nodeDaemons() []string {
	var names []string
	for _, node := range Nodes() {
		names = append(names, "slurmd-"+node)
	}
	return names
}

func (l *Lab) startNodes(ctx context.Context) error {
	for _, node := range Nodes() {
		if err := l.StartNode(node); err != nil {
			return err
		}
	}
	return l.AwaitNodes(ctx)
}

// StartNode starts a node's slurmd.
func (l *Lab) StartNode(node string) error {
	return l.startWith([]string{nodeVariable + "=" + node}, withParent(), "slurmd-"+node, "slurmd", "-D", "-N", node, "-f", l.path("slurm.conf"))
}

// KillNode kills a node's slurmd and all that runs under it, as a power cut would.
func (l *Lab) KillNode(node string) error {
	return errors.Join(l.kill("slurmd-"+node), l.killWhere(func(p process) bool {
		return l.of(p) && (p.has("SLURMD_NODENAME="+node) || p.has(nodeVariable+"="+node))
	}))
}

// AwaitNodes waits until every node is idle.
func (l *Lab) AwaitNodes(ctx context.Context) error {
	return until(ctx, "all nodes are idle", func() error {
		out, err := l.Call(ctx, "sinfo", "--noheader", "--Node", "--format=%N %T", "--partition=main")
		if err == nil && strings.Count(out, " idle\n") != len(Nodes()) {
			err = errors.New(out)
		}
		return err
	})
}

// process is one of this machine, as /proc has it.
type process struct {
	pid     int
	environ []byte
}

// has reports whether the process has the variable, as KEY=VALUE.
func (p process) has(variable string) bool {
	return bytes.Contains(append([]byte{0}, p.environ...), []byte("\x00"+variable+"\x00"))
}

func processes() []process {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	var found []process
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil || len(environ) == 0 {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && pid != os.Getpid() {
			found = append(found, process{pid, environ})
		}
	}
	return found
}

// Strays lists the processes of the nodes that still run, but for slurmd: keepers
// of steps and what they started.
func (l *Lab) Strays() []int {
	own := map[int]bool{}
	for _, d := range l.daemons {
		own[d.process.Pid] = true
	}
	var pids []int
	for _, p := range processes() {
		if l.of(p) && !own[p.pid] && (bytes.Contains(p.environ, []byte(nodeVariable+"=")) || bytes.Contains(p.environ, []byte("SLURMD_NODENAME="))) {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// of reports whether the process is one of a node: a step's keeper or what it runs.
func (l *Lab) of(p process) bool {
	return p.has(markVariable+"="+l.Dir) || p.has("SLURM_CONF="+l.path("slurm.conf")) && bytes.Contains(p.environ, []byte("\x00SLURMD_NODENAME="))
}

func (l *Lab) killStrays() error { return l.killWhere(l.of) }

// killWhere kills until no such process is left.
func (l *Lab) killWhere(which func(process) bool) error {
	return until(context.Background(), "no process of the lab is left", func() error {
		var left []int
		for _, p := range processes() {
			if which(p) {
				left = append(left, p.pid)
				if stray, err := os.FindProcess(p.pid); err == nil {
					_ = stray.Kill()
				}
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("processes %v", left)
		}
		return nil
	})
}
