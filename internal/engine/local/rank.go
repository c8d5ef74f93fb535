package local

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
)

// drainFor is how long a rank's output is read on after its end: its own
// process group is dead by then, but one that left it may hold the pipe open.
const drainFor = 2 * time.Second

// scratchVariable names the gang's scratch folder to its ranks, and by its value
// every process that stems from them.
const scratchVariable = "YARD_SCRATCH"

// rank is one process group of the gang.
type rank struct {
	number int
	cmd    *exec.Cmd
	log    *rankLog
	pumps  sync.WaitGroup
	pipes  []*os.File

	mu     sync.Mutex
	reaped bool // its id may be another's by now
}

// startRank starts one rank and follows it: its end arrives on s.ends.
func (s *shim) startRank(n int, path string, environ []string) (*rank, error) {
	r := &rank{number: n, log: newRankLog(s.dir.rankLog(n), s.gang.LogCap)}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = outWrite.Close() }()
	errRead, errWrite, err := os.Pipe()
	if err != nil {
		_ = outRead.Close()
		return nil, err
	}
	defer func() { _ = errWrite.Close() }()
	r.pipes = []*os.File{outRead, errRead}
	r.cmd = &exec.Cmd{
		Path: path, Args: s.gang.Command, Dir: s.gang.Dir, Env: environ,
		Stdout: outWrite, Stderr: errWrite, SysProcAttr: ownGroup(),
	}
	began := s.at()
	if err := r.cmd.Start(); err != nil {
		r.closePipes()
		return nil, err
	}
	s.noteProcess(r)
	var book *progressBook // only rank 0 speaks for the gang
	if n == 0 {
		book = s.progress
	}
	r.pumps.Go(func() { pump(outRead, r.log, book) })
	r.pumps.Go(func() { pump(errRead, r.log, nil) })
	go func() { s.ends <- s.follow(r, began) }()
	return r, nil
}

// follow waits for the end of a rank and of its output.
func (s *shim) follow(r *rank, began time.Time) rankExit {
	awaitExit(r.cmd.Process.Pid)
	ended := s.at()
	r.mu.Lock()
	signalGroup(r.cmd.Process.Pid, syscall.SIGKILL) // what the rank left behind in its group
	_ = r.cmd.Wait()                                // its result is in ProcessState
	r.reaped = true
	r.mu.Unlock()
	for _, pipe := range r.pipes {
		_ = pipe.SetReadDeadline(time.Now().Add(drainFor))
	}
	r.pumps.Wait()
	r.closePipes()
	r.log.close()
	return rankExit{Rank: r.number, PID: r.cmd.Process.Pid, Started: began, Ended: ended, ExitCode: exitCode(r.cmd.ProcessState)}
}

func (r *rank) closePipes() {
	for _, pipe := range r.pipes {
		_ = pipe.Close()
	}
}

// signal signals the rank's process group unless the rank has ended.
func (r *rank) signal(sig syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.reaped {
		signalGroup(r.cmd.Process.Pid, sig)
	}
}

// noteProcess keeps what a later shim needs to find the rank, should this one
// die. It need not survive a crash of the machine, which ends the rank too.
func (s *shim) noteProcess(r *rank) {
	pid := r.cmd.Process.Pid
	line, err := json.Marshal(rankRecord{Rank: r.number, PID: pid, Birth: processBirth(pid)})
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

// exitCode is the code of an ended process as a shell tells it.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// rankEnviron is what all ranks share: the shim's own environment and, over it,
// the gang's.
func rankEnviron(inherited []string, gang engine.Gang, dir gangDir) []string {
	var environ []string
	for _, entry := range inherited {
		if !strings.HasPrefix(entry, "YARD_") {
			environ = append(environ, entry)
		}
	}
	environ = append(environ, "PWD="+gang.Dir)
	for _, name := range slices.Sorted(maps.Keys(gang.Env)) {
		environ = append(environ, name+"="+gang.Env[name])
	}
	return append(environ, scratchVariable+"="+dir.file(scratchDir))
}

// rendezvous adds what a rank needs to find the others; the last entry of a
// name counts.
func rendezvous(environ []string, n, ranks, port int) []string {
	number, size := strconv.Itoa(n), strconv.Itoa(ranks)
	return append(slices.Clone(environ),
		"RANK="+number, "WORLD_SIZE="+size, "LOCAL_RANK="+number, "LOCAL_WORLD_SIZE="+size,
		"MASTER_ADDR=127.0.0.1", fmt.Sprintf("MASTER_PORT=%d", port), "YARD_RANK="+number,
	)
}

func lookup(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}
