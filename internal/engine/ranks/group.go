package ranks

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// pollEvery is how often a keeper looks for a stop and writes progress.
	pollEvery = 50 * time.Millisecond
	// DefaultGrace is the time between SIGTERM and SIGKILL where nothing sets one.
	DefaultGrace = 10 * time.Second
)

// Task is what a group runs. Its functions are called by the goroutine that
// called Start or Wait.
type Task struct {
	First, Count int    // numbers of the ranks
	Path         string // of the program; see FindCommand
	Args         []string
	WorkDir      string
	Environ      func(rank int) []string

	Dir    string  // keeps the logs, where there is no stream
	LogCap int64   // bytes of log kept per rank
	Stream *Stream // takes what the ranks write, where it is not kept in Dir
	Book   *Book   // takes what the ranks report

	Notes []string // lines for the log of the first rank, before its own

	Grace time.Duration // of the others when one rank fails; 0 is DefaultGrace
	// Terminated is how the group ends where its keeper gets SIGTERM, and
	// TermGrace is what the ranks have left then; 0 is Grace.
	Terminated Outcome
	TermGrace  time.Duration

	Began   func(rank, pid int) // a rank began; nil for nothing to do
	Stopped func() (Stop, bool) // whether a stop is asked, see ReadStop; nil for never
	Poll    func()              // what is due from time to time; nil for nothing
}

// Outcome tells why a group ended.
type Outcome struct {
	Code, Rank int // of the first rank that failed
	Stopped    bool
	Reason     string
}

// Exit is how one rank ended.
type Exit struct {
	Rank     int       `json:"rank"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	ExitCode int       `json:"exit_code"`
}

// Group is the ranks of one node, from the start of the first to the end of the
// last. Ranks die with the thread that started them: the goroutine that calls
// Start must be locked to its thread for the life of the process.
type Group struct {
	task   Task
	began  time.Time // with the monotonic reading that all times are counted from
	ranks  []*rank
	ends   chan Exit
	exits  []Exit
	live   int
	memory int64 // kernel's count of processes killed for want of memory, at the start

	starting bool      // not all ranks were started yet
	polled   time.Time // when poll last ran
	ending   bool      // the ranks are being ended
	termed   bool      // by SIGTERM first
	killAt   time.Time // by SIGKILL
	killed   int       // ranks that the grace ran out for
	outcome  Outcome
	grace    time.Duration // of the stop
	request  Stop
	stopAt   time.Time // when the stop was first seen
}

// NewGroup returns a group whose times are counted from now on by the monotonic
// clock: setting the machine's clock moves no usage.
func NewGroup(task Task) *Group {
	if task.Grace <= 0 {
		task.Grace = DefaultGrace
	}
	if task.TermGrace <= 0 {
		task.TermGrace = task.Grace
	}
	return &Group{task: task, began: time.Now(), memory: memoryKills(), ends: make(chan Exit)}
}

// Started is when the group was made, before its first command began.
func (g *Group) Started() time.Time { return g.began.UTC() }

// Start starts every rank. Where one cannot be started, one fails, or a stop is
// asked meanwhile, it starts no more and ends those that were.
func (g *Group) Start(signals <-chan os.Signal) {
	g.starting = true
	defer func() { g.starting = false }()
	for n := g.task.First; n < g.task.First+g.task.Count; n++ {
		if g.attend(signals); g.ending {
			return
		}
		r, err := g.startRank(n)
		if err != nil {
			g.outcome = Outcome{Code: StartFailure(err), Rank: n, Reason: fmt.Sprintf("rank %d could not be started: %v", n, err)}
			g.end(0)
			return
		}
		g.ranks = append(g.ranks, r)
		g.live++
		if n == g.task.First {
			g.Note(g.task.Notes...)
		}
	}
}

// attend does what is due now, between the starts of ranks: many of them take
// long to start.
func (g *Group) attend(signals <-chan os.Signal) {
	for {
		select {
		case exit := <-g.ends:
			g.rankEnded(exit)
		case got := <-signals:
			g.signalled(got)
		default:
			if time.Since(g.polled) >= pollEvery {
				g.poll()
			}
			return
		}
	}
}

func (g *Group) signalled(got os.Signal) {
	if got != syscall.SIGTERM || g.ending {
		return
	}
	g.outcome, g.grace = g.task.Terminated, g.task.TermGrace
	g.end(g.grace)
}

// Wait returns when every rank that was started has ended, and tells why.
func (g *Group) Wait(signals <-chan os.Signal) Outcome {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for g.live > 0 {
		select {
		case exit := <-g.ends:
			g.rankEnded(exit)
		case <-tick.C:
			g.poll()
		case got := <-signals:
			g.signalled(got)
		}
	}
	g.poll() // the last progress
	if g.outcome.Stopped && g.killed > 0 {
		g.outcome.Reason = fmt.Sprintf("stopped; %d of %d ranks had not left %v after SIGTERM and were killed",
			g.killed, len(g.ranks), g.grace)
	}
	return g.outcome
}

func (g *Group) rankEnded(exit Exit) {
	g.live--
	g.exits = append(g.exits, exit)
	if exit.ExitCode == 0 {
		return
	}
	if g.outcome.Stopped && g.outcome.Code == 0 {
		g.outcome.Code, g.outcome.Rank = exit.ExitCode, exit.Rank
	}
	if !g.ending {
		g.outcome = Outcome{Code: exit.ExitCode, Rank: exit.Rank, Reason: g.explain(exit)}
		g.end(g.task.Grace)
	}
}

// end asks every live rank to end, and kills it after the grace; a later call
// can only shorten the grace.
func (g *Group) end(grace time.Duration) {
	killAt := time.Now().Add(grace)
	if !g.ending || killAt.Before(g.killAt) {
		g.killAt = killAt
	}
	if !g.ending && grace > 0 {
		first := syscall.SIGTERM
		if g.request.Dump {
			first = syscall.SIGABRT
		}
		g.signal(first)
		g.termed = true
	}
	g.ending = true
	g.killLate()
}

func (g *Group) killLate() {
	if !g.ending || time.Now().Before(g.killAt) {
		return
	}
	if g.killed == 0 && g.termed {
		g.killed = g.live
	}
	g.signal(syscall.SIGKILL)
}

func (g *Group) signal(sig syscall.Signal) {
	for _, r := range g.ranks {
		r.signal(sig)
	}
}

// poll does what is due from time to time.
func (g *Group) poll() {
	g.polled = time.Now()
	g.pollStop()
	g.killLate()
	if g.task.Poll != nil {
		g.task.Poll()
	}
}

// pollStop looks for a stop, or for one with a shorter grace than before.
func (g *Group) pollStop() {
	if g.task.Stopped == nil || (g.live == 0 && !g.starting) {
		return
	}
	request, asked := g.task.Stopped()
	if !asked {
		return
	}
	if g.stopAt.IsZero() {
		g.stopAt = time.Now()
	} else if request == g.request {
		return
	}
	g.request, g.grace = request, request.Grace
	if !g.ending {
		g.outcome = Outcome{Stopped: true, Reason: "stopped"}
		if request.Dump {
			g.outcome.Reason = "stopped; its stacks are in the logs of the ranks, where their runtime writes them"
		}
	}
	g.end(max(request.Grace-time.Since(g.stopAt), 0))
}

// explain tells how a rank failed, for people.
func (g *Group) explain(exit Exit) string {
	if exit.ExitCode <= 128 {
		return fmt.Sprintf("rank %d exited %d", exit.Rank, exit.ExitCode)
	}
	sig := syscall.Signal(exit.ExitCode - 128)
	reason := fmt.Sprintf("rank %d ended by signal %d (%v)", exit.Rank, int(sig), sig)
	if sig == syscall.SIGKILL && memoryKills() > g.memory {
		reason += "; the kernel killed a process for want of memory meanwhile"
	}
	return reason
}

// at is the time now, by the group's clock.
func (g *Group) at() time.Time { return g.began.Add(time.Since(g.began)).UTC() }

// Exits are the ranks that have ended, in the order of their ends.
func (g *Group) Exits() []Exit { return slices.Clone(g.exits) }

// Ended is when the last rank that has ended did; now, where none was started.
func (g *Group) Ended() time.Time {
	if len(g.exits) == 0 {
		return g.at()
	}
	return slices.MaxFunc(g.exits, func(a, b Exit) int { return a.Ended.Compare(b.Ended) }).Ended
}

// Note puts what the keeper has to say into the log of the first rank, also after
// its end. It is called by the goroutine that started the group.
func (g *Group) Note(lines ...string) {
	if len(g.ranks) == 0 {
		return
	}
	for _, line := range lines {
		g.ranks[0].log.write([]byte("[yard] "+strings.ReplaceAll(line, "\n", " ")+"\n"), 1)
	}
}

// KillAt is when ranks that have been asked to end are killed; zero before.
func (g *Group) KillAt() time.Time { return g.killAt }

// LogLost counts the lines of all ranks that are not kept.
func (g *Group) LogLost() int64 {
	var lost int64
	for _, r := range g.ranks {
		lost += r.log.lostLines()
	}
	return lost
}
