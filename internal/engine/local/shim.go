package local

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

const (
	// pollEvery is how often a shim looks for a stop and writes progress.
	pollEvery = 50 * time.Millisecond
	// beatEvery is how often a shim shows that it lives: what the end of a gang
	// whose shim died is known to.
	beatEvery = time.Second
	// strayPatience is how long a shim waits for killed processes to be gone:
	// one within a system call of a broken device may never be.
	strayPatience = 5 * time.Second
	// defaultGrace is the time between SIGTERM and SIGKILL where the gang sets none.
	defaultGrace = 10 * time.Second
)

// shim runs one gang, in a process of its own.
type shim struct {
	dir      gangDir
	gang     engine.Gang
	reserved *os.File // room on the disk for exit.json

	began    time.Time // with the monotonic reading that all times are counted from
	ranks    []*rank
	ends     chan rankExit
	exits    []rankExit
	live     int
	progress *progressBook
	memory   int64 // kernel's count of processes killed for want of memory, at the start

	starting bool      // not all ranks were started yet
	polled   time.Time // when poll last ran
	ending   bool      // the ranks are being ended
	termed   bool      // by SIGTERM first
	killAt   time.Time // by SIGKILL
	killed   int       // ranks that the grace ran out for
	outcome  outcome
	request  stopRecord
	stopAt   time.Time // when the stop was first seen
	beat     time.Time
}

// outcome is the part of exit.json that tells why.
type outcome struct {
	code, rank int
	stopped    bool
	reason     string
}

// RunShim is the whole life of a shim: it takes the gang's lock, says so on
// ready, runs the gang in the folder until every rank has ended, and records how
// it ended. Where another shim has the gang it says so and returns.
func RunShim(folder string, ready io.Writer) error {
	// Ranks die with the thread that started them (see ownGroup): it must be
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
	s := &shim{dir: dir, gang: gang, reserved: reserved, ends: make(chan rankExit), progress: newProgressBook()}
	if dir.has(startedFile) {
		say(ready, shimReady)
		return s.settle(beat)
	}
	if damage != nil {
		say(ready, shimReady)
		return s.record(outcome{code: 1, reason: fmt.Sprintf("not started: what to start cannot be read: %s: %v", gangFile, damage)})
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
		return s.record(outcome{stopped: true, reason: "stopped before it began"})
	}
	if err := s.takeSecrets(); err != nil {
		return s.record(outcome{code: 1, reason: fmt.Sprintf("not started: %s: %v", secretsFile, err)})
	}
	environ := rankEnviron(os.Environ(), s.gang, s.dir)
	path, err := findCommand(s.gang.Command[0], s.gang.Dir, environ)
	if err != nil {
		return s.record(outcome{code: startFailure(err), reason: "not started: " + err.Error()})
	}
	port, err := freePort()
	if err != nil {
		return s.record(outcome{code: 1, reason: "not started: no free port: " + err.Error()})
	}
	s.began = time.Now()
	s.beat, s.memory = s.began, memoryKills()
	started := startedRecord{At: s.began.UTC(), Boot: bootID(), Port: port}
	if err := replaceJSON(s.dir.file(startedFile), started, durable); err != nil {
		s.began = time.Time{}
		return s.record(outcome{code: 1, reason: "not started: " + err.Error()})
	}
	crashAt("shim:started")
	s.dropSecrets() // no shim begins the gang again: from here on they are in memory alone
	s.startRanks(path, environ, port, signals)
	crashAt("shim:ranks")
	s.supervise(signals)
	killStrays(s.dir)
	crashAt("shim:ended")
	err = s.record(s.outcome)
	crashAt("shim:recorded")
	return err
}

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

// startRanks starts every rank. Where one cannot be started, one fails, or the
// gang is stopped meanwhile, it starts no more and ends those that were.
func (s *shim) startRanks(path string, environ []string, port int, signals <-chan os.Signal) {
	s.starting = true
	defer func() { s.starting = false }()
	for n := range s.gang.Ranks {
		if s.attend(signals); s.ending {
			return
		}
		r, err := s.startRank(n, path, rendezvous(environ, n, s.gang.Ranks, port))
		if err != nil {
			s.outcome = outcome{code: startFailure(err), rank: n, reason: fmt.Sprintf("rank %d could not be started: %v", n, err)}
			s.end(0)
			return
		}
		s.ranks = append(s.ranks, r)
		s.live++
		if n == 0 {
			crashAt("shim:first-rank")
		}
	}
}

// attend does what is due now, between the starts of ranks: many of them take
// long to start.
func (s *shim) attend(signals <-chan os.Signal) {
	for {
		select {
		case exit := <-s.ends:
			s.rankEnded(exit)
		case got := <-signals:
			s.signalled(got)
		default:
			if time.Since(s.polled) >= pollEvery {
				s.poll()
			}
			return
		}
	}
}

func (s *shim) signalled(got os.Signal) {
	if got == syscall.SIGTERM {
		s.fail(outcome{code: 128 + int(syscall.SIGTERM), reason: "ended: the shim was told to terminate"})
	}
}

// supervise returns when every rank that was started has ended.
func (s *shim) supervise(signals <-chan os.Signal) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for s.live > 0 {
		select {
		case exit := <-s.ends:
			s.rankEnded(exit)
		case <-tick.C:
			s.poll()
		case got := <-signals:
			s.signalled(got)
		}
	}
	s.poll() // the last progress
	if s.outcome.stopped && s.killed > 0 {
		s.outcome.reason = fmt.Sprintf("stopped; %d of %d ranks had not left %v after SIGTERM and were killed",
			s.killed, len(s.ranks), s.request.Grace)
	}
}

func (s *shim) rankEnded(exit rankExit) {
	s.live--
	s.exits = append(s.exits, exit)
	if exit.ExitCode == 0 {
		return
	}
	if s.outcome.stopped && s.outcome.code == 0 {
		s.outcome.code, s.outcome.rank = exit.ExitCode, exit.Rank
	}
	s.fail(outcome{code: exit.ExitCode, rank: exit.Rank, reason: s.explain(exit)})
}

// fail ends the gang because of the first thing that went wrong.
func (s *shim) fail(why outcome) {
	if s.ending {
		return
	}
	s.outcome = why
	grace := s.gang.Grace
	if grace <= 0 {
		grace = defaultGrace
	}
	s.end(grace)
}

// end asks every live rank to end, and kills it after the grace; a later call
// can only shorten the grace.
func (s *shim) end(grace time.Duration) {
	killAt := time.Now().Add(grace)
	if !s.ending || killAt.Before(s.killAt) {
		s.killAt = killAt
	}
	if !s.ending && grace > 0 {
		s.signal(syscall.SIGTERM)
		s.termed = true
	}
	s.ending = true
	s.killLate()
}

func (s *shim) killLate() {
	if !s.ending || time.Now().Before(s.killAt) {
		return
	}
	if s.killed == 0 && s.termed {
		s.killed = s.live
	}
	s.signal(syscall.SIGKILL)
}

func (s *shim) signal(sig syscall.Signal) {
	for _, r := range s.ranks {
		r.signal(sig)
	}
}

// poll does what is due from time to time.
func (s *shim) poll() {
	s.polled = time.Now()
	s.pollStop()
	s.killLate()
	s.progress.flush(s.dir, s.logLost())
	if time.Since(s.beat) >= beatEvery {
		s.beat = time.Now()
		_ = os.Chtimes(s.dir.file(lockFile), s.beat, s.beat)
	}
}

// pollStop looks for a stop, or for one with a shorter grace than before.
func (s *shim) pollStop() {
	var request stopRecord
	if found, err := readJSON(s.dir.file(stopFile), &request); err != nil || !found || (s.live == 0 && !s.starting) {
		return
	}
	if s.stopAt.IsZero() {
		s.stopAt = time.Now()
	} else if request == s.request {
		return
	}
	s.request = request
	if !s.ending {
		s.outcome = outcome{stopped: true, reason: "stopped"}
	}
	s.end(max(request.Grace-time.Since(s.stopAt), 0))
}

// explain tells how a rank failed, for people.
func (s *shim) explain(exit rankExit) string {
	if exit.ExitCode <= 128 {
		return fmt.Sprintf("rank %d exited %d", exit.Rank, exit.ExitCode)
	}
	sig := syscall.Signal(exit.ExitCode - 128)
	reason := fmt.Sprintf("rank %d ended by signal %d (%v)", exit.Rank, int(sig), sig)
	if sig == syscall.SIGKILL && memoryKills() > s.memory {
		reason += "; the kernel killed a process for want of memory meanwhile"
	}
	return reason
}

// at is the time now, counted from the gang's beginning by the monotonic clock:
// setting the machine's clock moves no usage.
func (s *shim) at() time.Time { return s.began.Add(time.Since(s.began)).UTC() }

func (s *shim) logLost() int64 {
	var lost int64
	for _, r := range s.ranks {
		lost += r.log.lost.Load()
	}
	return lost
}

// killStrays kills what left its rank's process group and outlived it, and
// returns how many processes that were.
func killStrays(dir gangDir) int {
	killed := map[int]bool{}
	for deadline := time.Now().Add(strayPatience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		pids := strays(scratchVariable + "=" + dir.file(scratchDir))
		if len(pids) == 0 {
			break
		}
		for _, pid := range pids {
			if process, err := os.FindProcess(pid); err == nil && process.Kill() == nil {
				killed[pid] = true
			}
		}
	}
	return len(killed)
}

// startFailure is the exit code that a shell would give.
func startFailure(err error) int {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return 127
	case errors.Is(err, os.ErrPermission):
		return 126
	}
	return 1
}

// freePort finds a port of the loopback interface that nothing listens on. It
// can only be chosen, not kept for rank 0: should another take it first, the
// rank fails to listen and the next attempt gets another port.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

// findCommand finds the program as the rank would: by its own PATH, from its
// own folder.
func findCommand(name, dir string, environ []string) (string, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("working directory %s: %w", dir, os.ErrNotExist)
	}
	if strings.ContainsRune(name, filepath.Separator) {
		return runnable(within(dir, name), name)
	}
	denied := false
	for _, folder := range filepath.SplitList(lookup(environ, "PATH")) {
		path, err := runnable(within(dir, filepath.Join(folder, name)), name)
		if err == nil {
			return path, nil
		}
		denied = denied || errors.Is(err, os.ErrPermission)
	}
	if denied {
		return "", fmt.Errorf("command %q: %w", name, os.ErrPermission)
	}
	return "", fmt.Errorf("command %q is not in PATH: %w", name, os.ErrNotExist)
}

func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func runnable(path, name string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("command %q: %w", name, os.ErrNotExist)
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("command %q: %w", name, os.ErrPermission)
	}
	return path, nil
}
