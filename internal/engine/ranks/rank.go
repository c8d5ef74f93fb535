package ranks

import (
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// drainFor is how long a rank's output is read on after its end: its own
// process group is dead by then, but one that left it may hold the pipe open.
const drainFor = 2 * time.Second

// rank is one process group of the group.
type rank struct {
	number int
	cmd    *exec.Cmd
	log    output
	pumps  sync.WaitGroup
	pipes  []*os.File

	mu     sync.Mutex
	reaped bool // its id may be another's by now
}

// startRank starts one rank and follows it: its end arrives on g.ends.
func (g *Group) startRank(n int) (*rank, error) {
	r := &rank{number: n, log: g.output(n)}
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
		Path: g.task.Path, Args: g.task.Args, Dir: g.task.WorkDir, Env: g.task.Environ(n),
		Stdout: outWrite, Stderr: errWrite, SysProcAttr: ownGroup(),
	}
	began := g.at()
	if err := r.cmd.Start(); err != nil {
		r.closePipes()
		return nil, err
	}
	if g.task.Began != nil {
		g.task.Began(n, r.cmd.Process.Pid)
	}
	report := func(line []byte) bool { return g.task.Book.Offer(n, line) }
	r.pumps.Go(func() { pump(outRead, r.log, report) })
	r.pumps.Go(func() { pump(errRead, r.log, nil) })
	go func() { g.ends <- g.follow(r, began) }()
	return r, nil
}

// output is where a rank of the group writes.
func (g *Group) output(n int) output {
	if g.task.Stream != nil {
		return g.task.Stream.output(n)
	}
	return NewLog(LogPath(g.task.Dir, n), g.task.LogCap)
}

// follow waits for the end of a rank and of its output.
func (g *Group) follow(r *rank, began time.Time) Exit {
	awaitExit(r.cmd.Process.Pid)
	ended := g.at()
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
	return Exit{Rank: r.number, PID: r.cmd.Process.Pid, Started: began, Ended: ended, ExitCode: exitCode(r.cmd.ProcessState)}
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

// exitCode is the code of an ended process as a shell tells it.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
