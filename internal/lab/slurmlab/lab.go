package slurmlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	// patience bounds each step of starting and stopping.
	patience = 60 * time.Second
	pollWait = 50 * time.Millisecond
	// callBound bounds each call of a client: one that cannot reach its
	// controller waits for long.
	callBound = 20 * time.Second
)

// programs are what the lab needs, and the Debian packages that bring them.
func programs() map[string]string {
	return map[string]string{
		"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "slurmdbd": "slurmdbd", "sbatch": "slurm-client",
		"mariadbd": "mariadb-server", "mariadb-install-db": "mariadb-server", "mariadb": "mariadb-client",
	}
}

// Missing tells what keeps a lab from starting on this machine, "" where
// nothing does.
func Missing() string {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		return "a Slurm lab needs Linux and root"
	}
	var absent []string
	for program, of := range programs() {
		if findProgram(program) == "" {
			absent = append(absent, fmt.Sprintf("%s (package %s)", program, of))
		}
	}
	if len(absent) == 0 {
		return ""
	}
	return "a Slurm lab needs " + strings.Join(absent, ", ")
}

func findProgram(name string) string {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/local/sbin") {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// Lab is a running cluster.
type Lab struct {
	Dir string // configuration, state and logs of the daemons

	host    string
	ports   ports
	rest    REST
	daemons map[string]*daemon
}

// Start starts a cluster, with all its nodes idle.
func Start(ctx context.Context) (*Lab, error) {
	if missing := Missing(); missing != "" {
		return nil, errors.New(missing)
	}
	l := &Lab{daemons: map[string]*daemon{}}
	var err error
	if l.host, err = os.Hostname(); err != nil {
		return nil, err
	}
	if l.ports, err = choosePorts(); err != nil {
		return nil, err
	}
	if l.Dir, err = os.MkdirTemp("", "slurmlab-"); err != nil {
		return nil, err
	}
	if err := errors.Join(l.files(), l.begin(ctx)); err != nil {
		return nil, errors.Join(err, l.Stop())
	}
	return l, nil
}

// begin starts the daemons in the order in which they need each other.
func (l *Lab) begin(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		l.startMunge, l.startDatabase, l.startAccounting, l.StartController, l.startNodes,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Conf is the configuration file of the cluster.
func (l *Lab) Conf() string { return l.path("slurm.conf") }

// Env is the environment of a client of the cluster, as KEY=VALUE.
func (l *Lab) Env() []string {
	return append(os.Environ(), "SLURM_CONF="+l.path("slurm.conf"))
}

// Call runs a client and returns what it wrote, both outputs.
func (l *Lab) Call(ctx context.Context, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = l.Env()
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return string(out), err
}

// until polls until the condition holds.
func until(ctx context.Context, what string, condition func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := condition()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("not yet: %s: %w", what, errors.Join(err, ctx.Err()))
		}
		time.Sleep(pollWait)
	}
}

// Jobs lists the jobs that wait, run or complete, as "ID NAME STATE".
func (l *Lab) Jobs(ctx context.Context) ([]string, error) {
	out, err := l.Call(ctx, "squeue", "--noheader", "--format=%i %j %T")
	return strings.FieldsFunc(strings.TrimSpace(out), func(r rune) bool { return r == '\n' }), err
}

// Stop ends every job and daemon, kills what is left of them, and removes the
// folder. It fails where a process cannot be killed.
func (l *Lab) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if l.running("slurmctld") {
		_, _ = l.Call(ctx, "scancel", "--full", "--signal=KILL", "--user=root")
		_, _ = l.Call(ctx, "scancel", "--user=root")
	}
	var errs []error
	for _, name := range append(l.nodeDaemons(), restDaemon, "slurmctld", "slurmdbd", "mariadbd", "munged") {
		errs = append(errs, l.end(name))
	}
	errs = append(errs, l.killStrays(), os.RemoveAll(l.Dir))
	return errors.Join(errs...)
}
