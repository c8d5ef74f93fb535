package agent

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/switchyard-ai/switchyard/internal/checkpoint"
	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Exit codes of the agent that are not its ranks'.
const (
	ExitOwn     = 125                        // it could not do its own part
	ExitStopped = 128 + int(syscall.SIGTERM) // it was stopped, and its ranks ended well on that
)

// defaultPort is MASTER_PORT where the task sets none: the one that torchrun
// takes by itself.
const defaultPort = 29500

// Run keeps the ranks of one node of the gang to their end, and returns the exit
// code for this process, see the package's comment. Where the task has no Dir,
// all that ranks say goes to stdout (see ranks.Stream).
func Run(task Task, node int, stdout io.Writer) (int, error) {
	// Ranks die with the thread that started them (see ranks.Group).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	k, err := newKeeper(task, node, stdout)
	if err != nil {
		return ExitOwn, err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	defer signal.Stop(signals)
	outcome := k.run(signals)
	ranks.KillStrays(ranks.ScratchVariable + "=" + task.Scratch)
	outcome = k.storeLast(signals, outcome)
	k.finish(outcome)
	if outcome.Stopped && outcome.Code == 0 {
		return ExitStopped, nil
	}
	return outcome.Code, nil
}

// keeper is the agent at work.
type keeper struct {
	task   Task
	node   int
	first  int // number of the node's first rank
	count  int // its ranks
	book   *ranks.Book
	stream *ranks.Stream // nil where logs are kept in a folder
	ranks  *ranks.Group  // nil until the first command begins

	checkpoints *checkpoint.Keeper // nil without a store

	report   Report
	reported time.Time // when it was last looked at whether to write it
}

func newKeeper(task Task, node int, stdout io.Writer) (*keeper, error) {
	perNode := task.PerNode
	if perNode == 0 {
		perNode = task.Gang.Ranks
	}
	first := node * perNode
	if perNode < 1 || node < 0 || first >= task.Gang.Ranks {
		return nil, fault.Newf(fault.Invalid, "node %d of gang %s has no ranks: it has %d, %d on each node",
			node, task.Gang.Key, task.Gang.Ranks, perNode)
	}
	if !filepath.IsAbs(task.Scratch) {
		return nil, fault.Newf(fault.Invalid, "scratch folder %q: want an absolute path", task.Scratch)
	}
	k := &keeper{task: task, node: node, first: first, count: min(perNode, task.Gang.Ranks-first), book: ranks.NewBook()}
	k.report = Report{Node: node, Host: hostName(), Rank: first}
	var point func(ranks.PacePoint)
	if task.Dir == "" {
		k.stream = ranks.NewStream(stdout)
		k.book.OnReport(k.stream.Progress)
		point = k.stream.Pace
	}
	if task.Gang.Ranks > 1 {
		k.book.KeepPaces(point)
	}
	return k, nil
}

// makeFolders makes what the task names, whose parents the engine has made or mounted.
func (k *keeper) makeFolders() error {
	for _, dir := range k.folders() {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) folders() []string {
	dirs := []string{k.task.Scratch}
	if k.task.Dir != "" {
		dirs = append(dirs, filepath.Join(k.task.Dir, "ranks"))
	}
	if k.task.Checkpoint != "" {
		dirs = append(dirs, k.task.Checkpoint)
	}
	return dirs
}

// run brings the node from its release to the end of its ranks.
func (k *keeper) run(signals <-chan os.Signal) ranks.Outcome {
	if err := k.makeFolders(); err != nil {
		return k.refused(ExitOwn, err)
	}
	_ = k.write() // what fails is tried again until the end
	hosts, stopped, err := k.awaitRelease(signals)
	if err != nil || stopped {
		return k.notBegun(stopped, err)
	}
	task, err := k.ranksTask(hosts)
	if err != nil {
		code := ranks.StartFailure(err)
		if errors.Is(err, errOwn) {
			code = ExitOwn
		}
		return k.refused(code, err)
	}
	if k.task.Gang.Checkpoint != nil {
		if stopped, err := k.bringCheckpoint(signals); err != nil || stopped {
			return k.notBegun(stopped, err)
		}
	}
	task.Notes = k.takeNotes()
	k.ranks = ranks.NewGroup(task)
	k.report.Started = k.ranks.Started()
	_ = k.write()
	k.ranks.Start(signals)
	return k.ranks.Wait(signals)
}

// notBegun is how it ends where no command began: by a stop, or else by a failure.
func (k *keeper) notBegun(stopped bool, err error) ranks.Outcome {
	if stopped {
		return ranks.Outcome{Stopped: true, Rank: k.first, Reason: "stopped before it began"}
	}
	return k.refused(ExitOwn, err)
}

func (k *keeper) refused(code int, err error) ranks.Outcome {
	return ranks.Outcome{Code: code, Rank: k.first, Reason: "not started: " + err.Error()}
}

// errOwn marks what keeps the agent, not the program, from its part.
var errOwn = errors.New("the agent's own part")

// ranksTask is the ranks of this node, ready to be started.
func (k *keeper) ranksTask(hosts []string) (ranks.Task, error) {
	gang := k.task.Gang
	workDir, err := k.workDir()
	if err != nil {
		return ranks.Task{}, err
	}
	variables, err := k.variables()
	if err != nil {
		return ranks.Task{}, fmt.Errorf("%w: %w", errOwn, err)
	}
	for name, value := range variables { // the keys of the checkpoint store may be among them
		if err := os.Setenv(name, value); err != nil {
			return ranks.Task{}, fmt.Errorf("%w: %w", errOwn, err)
		}
	}
	environ := ranks.Environ(os.Environ(), workDir, k.task.Scratch, variables)
	path, err := ranks.FindCommand(gang.Command[0], workDir, environ)
	if err != nil {
		return ranks.Task{}, err
	}
	meet, err := k.rendezvous(hosts)
	if err != nil {
		return ranks.Task{}, fmt.Errorf("%w: %w", errOwn, err)
	}
	return ranks.Task{
		First: k.first, Count: k.count, Path: path, Args: gang.Command, WorkDir: workDir,
		Environ: func(rank int) []string {
			own := meet
			own.Rank, own.LocalRank = rank, rank-k.first
			return own.Environ(environ)
		},
		Dir: k.task.Dir, LogCap: gang.LogCap, Stream: k.stream, Book: k.book,
		Grace: gang.Grace, TermGrace: k.task.TermGrace,
		Terminated: ranks.Outcome{Stopped: true, Rank: k.first, Reason: "stopped by SIGTERM"},
		Stopped:    k.stopAsked,
		Poll:       k.poll,
	}, nil
}

// workDir is the gang's own, or that of the image or job.
func (k *keeper) workDir() (string, error) {
	if k.task.Gang.Dir != "" {
		return k.task.Gang.Dir, nil
	}
	return os.Getwd()
}

// variables are the gang's, with what the agent adds.
func (k *keeper) variables() (map[string]string, error) {
	variables := map[string]string{}
	maps.Copy(variables, k.task.Gang.Env)
	if k.task.Checkpoint != "" {
		variables["YARD_CHECKPOINT_DIR"] = k.task.Checkpoint
	}
	if c := k.task.Gang.Checkpoint; c != nil {
		variables["YARD_CHECKPOINT_URL"] = c.URL
	}
	for name, file := range k.task.SecretFiles {
		value, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", name, err)
		}
		variables[name] = strings.TrimSuffix(string(value), "\n")
	}
	return variables, nil
}

func (k *keeper) rendezvous(hosts []string) (ranks.Rendezvous, error) {
	meet := ranks.Rendezvous{World: k.task.Gang.Ranks, LocalWorld: k.count, Addr: "127.0.0.1", Port: k.task.Port}
	if len(hosts) > 1 {
		meet.Addr = hosts[0]
	}
	if meet.Port != 0 {
		return meet, nil
	}
	if len(hosts) > 1 {
		meet.Port = defaultPort
		return meet, nil
	}
	port, err := ranks.FreePort()
	meet.Port = port
	return meet, err
}

// stopAsked looks for a stop in the files by which one may be asked; of two,
// the one with the shorter grace.
func (k *keeper) stopAsked() (ranks.Stop, bool) {
	var stop ranks.Stop
	asked := false
	for _, path := range k.stopFiles() {
		if s, found := ranks.ReadStop(path); found && (!asked || s.Grace < stop.Grace) {
			stop, asked = s, true
		}
	}
	if !asked && k.checkpoints != nil && k.checkpoints.Superseded() {
		return ranks.Stop{Grace: k.grace()}, true
	}
	return stop, asked
}

func (k *keeper) stopFiles() []string {
	var paths []string
	if k.task.Dir != "" {
		paths = append(paths, filepath.Join(k.task.Dir, ranks.StopFile))
	}
	if k.task.Stop != "" {
		paths = append(paths, k.task.Stop)
	}
	return paths
}
