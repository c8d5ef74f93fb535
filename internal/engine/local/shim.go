package local

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/switchyard-ai/switchyard/internal/checkpoint"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/engine/whole"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// beatEvery is how often a shim shows that it lives: what the end of a gang
// whose shim died is known to.
const beatEvery = time.Second

// shim runs one gang, in a process of its own.
type shim struct {
	dir      gangDir
	gang     engine.Gang
	reserved *os.File // room on the disk for exit.json
	progress *ranks.Book
	ranks    *ranks.Group // nil where no command began

	checkpoints *checkpoint.Keeper // nil without a store

	beat time.Time
}

// RunShim is the whole life of a shim: it takes the gang's lock, says so on
// ready, runs the gang in the folder until every rank has ended, and records how
// it ended. Where another shim has the gang it says so and returns.
func RunShim(folder string, ready io.Writer) error {
	// Ranks die with the thread that started them (see ranks.Group): it must be
	// this one, and live as long as the shim.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	crashAt("shim:unlocked")
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "finding the gang's folder")
	}
	dir := gangDir(absolute)
	if !dir.has(gangFile) {
		return fault.Newf(fault.NotFound, "no gang in %s", folder)
	}
	beat := lastBeat(dir)
	lock, held, err := lockExclusively(dir.file(lockFile))
	if err != nil {
		say(ready, err.Error())
		return err
	}
	if !held {
		say(ready, shimHeld)
		return nil
	}
	defer func() { _ = lock.Close() }()
	crashAt("shim:locked")
	if err := runLocked(dir, beat, ready); err != nil {
		say(ready, err.Error())
		return err
	}
	return nil
}

// runLocked drives the gang from wherever a shim before this one left it.
func runLocked(dir gangDir, beat time.Time, ready io.Writer) error {
	if dir.has(exitFile) {
		say(ready, shimReady)
		return nil
	}
	gang, damage := dir.gang()
	reserved, err := reserve(dir, gang.Ranks)
	if err != nil {
		return storageFault(err, "reserving room for the gang's end")
	}
	defer func() { _ = reserved.Close() }()
	crashAt("shim:reserved")
	if gang.Dir == "" {
		gang.Dir = dir.file(scratchDir)
	}
	s := &shim{dir: dir, gang: gang, reserved: reserved, progress: ranks.NewBook()}
	if gang.Ranks > 1 {
		s.progress.KeepPaces(nil)
	}
	if dir.has(startedFile) {
		say(ready, shimReady)
		return s.settle(beat)
	}
	if damage != nil {
		say(ready, shimReady)
		return s.record(ranks.Outcome{Code: 1, Reason: fmt.Sprintf("not started: what to start cannot be read: %s: %v", gangFile, damage)})
	}
	for _, sub := range []string{ranksDir, scratchDir} {
		if err := os.MkdirAll(dir.file(sub), 0o700); err != nil {
			return storageFault(err, "making the gang's folders")
		}
	}
	say(ready, shimReady)
	return s.run()
}

// run starts the gang, sees it to its end, and records that.
func (s *shim) run() error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	defer signal.Stop(signals)

	if s.dir.has(stopFile) {
		return s.record(ranks.Outcome{Stopped: true, Reason: "stopped before it began"})
	}
	if err := s.takeSecrets(); err != nil {
		return s.record(ranks.Outcome{Code: 1, Reason: fmt.Sprintf("not started: %s: %v", secretsFile, err)})
	}
	if s.gang.Checkpoint != nil {
		if done, err := s.bringCheckpoint(signals); done {
			return err
		}
	}
	environ := ranks.Environ(os.Environ(), s.gang.Dir, s.dir.file(scratchDir), s.gang.Env)
	path, err := ranks.FindCommand(s.gang.Command[0], s.gang.Dir, environ)
	if err != nil {
		return s.record(ranks.Outcome{Code: ranks.StartFailure(err), Reason: "not started: " + err.Error()})
	}
	port, err := ranks.FreePort()
	if err != nil {
		return s.record(ranks.Outcome{Code: 1, Reason: "not started: no free port: " + err.Error()})
	}
	group := ranks.NewGroup(s.task(path, environ, port))
	s.beat = group.Started()
	started := startedRecord{At: group.Started(), Boot: ranks.BootID(), Port: port}
	if err := whole.WriteJSON(s.dir.file(startedFile), started, whole.Durable); err != nil {
		return s.record(ranks.Outcome{Code: 1, Reason: "not started: " + err.Error()})
	}
	s.ranks = group
	crashAt("shim:started")
	s.dropSecrets() // no shim begins the gang again: from here on they are in memory alone
	group.Start(signals)
	crashAt("shim:ranks")
	outcome := group.Wait(signals)
	ranks.KillStrays(s.scratchEntry())
	outcome = s.storeLast(signals, outcome)
	crashAt("shim:ended")
	err = s.record(outcome)
	crashAt("shim:recorded")
	return err
}

// task is the ranks of the gang, all of which run here.
func (s *shim) task(path string, environ []string, port int) ranks.Task {
	size := s.gang.Ranks
	return ranks.Task{
		Count: size, Path: path, Args: s.gang.Command, WorkDir: s.gang.Dir,
		Environ: func(n int) []string {
			return ranks.Rendezvous{Rank: n, World: size, LocalRank: n, LocalWorld: size, Addr: "127.0.0.1", Port: port}.Environ(environ)
		},
		Dir: string(s.dir), LogCap: s.gang.LogCap, Book: s.progress,
		Grace: s.gang.Grace, Notes: s.takeNotes(),
		Terminated: ranks.Outcome{Code: 128 + int(syscall.SIGTERM), Reason: "ended: the shim was told to terminate"},
		Began:      s.noteProcess,
		Stopped:    s.stopAsked,
		Poll:       s.poll,
	}
}

// scratchEntry is in the environment of every process that stems from the gang.
func (s *shim) scratchEntry() string { return ranks.ScratchVariable + "=" + s.dir.file(scratchDir) }

// takeSecrets adds the gang's secrets to its variables.
func (s *shim) takeSecrets() error {
	secrets, err := s.dir.secrets()
	if err != nil {
		return err
	}
	env := map[string]string{}
	maps.Copy(env, s.gang.Env)
	maps.Copy(env, secrets)
	s.gang.Env = env
	return nil
}

// dropSecrets must not end the gang: its end tries again.
func (s *shim) dropSecrets() {
	if err := s.dir.dropSecrets(); err != nil {
		fmt.Fprintln(os.Stderr, "removing the secrets:", err)
	}
}

// poll does what is due from time to time.
func (s *shim) poll() {
	s.progress.Flush(string(s.dir), s.ranks.LogLost())
	s.ranks.Note(s.takeNotes()...)
	if time.Since(s.beat) >= beatEvery {
		s.beat = time.Now()
		_ = os.Chtimes(s.dir.file(lockFile), s.beat, s.beat)
	}
}

// noteProcess keeps what a later shim needs to find the rank, should this one
// die. It need not survive a crash of the machine, which ends the rank too.
func (s *shim) noteProcess(rank, pid int) {
	s.appendProcess(ranks.Identify(rank, pid))
	if rank == 0 {
		crashAt("shim:first-rank")
	}
}

func (s *shim) appendProcess(p ranks.Process) {
	line, err := json.Marshal(p)
	if err != nil {
		return
	}
	file, err := os.OpenFile(s.dir.file(ranksFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return // a full disk must not end the gang
	}
	_, _ = file.Write(append(line, '\n'))
	_ = file.Close()
}
