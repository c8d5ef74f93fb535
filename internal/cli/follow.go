package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/guptarohit/asciigraph"
	"golang.org/x/term"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/client"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

const (
	followEvery = 250 * time.Millisecond // between looks at the run
	logWait     = 5 * time.Second        // how long the server may hold back an empty log
	queueEvery  = 2 * time.Second        // between looks at why the run waits
	firstQueue  = 500 * time.Millisecond
	curveHeight = 10
	curveWidth  = 72
)

// follower follows one run: what it writes, how it goes on, and Ctrl-C. Its
// goroutines send, and the one that calls follow prints.
type follower struct {
	app     *app
	plane   *plane
	id      string
	display *display

	states chan v1.RunDetail
	texts  chan logText
	faults chan error

	told    int // decisions told so far
	waited  string
	askedAt time.Time
}

// logText is a part of the log of an attempt.
type logText struct {
	attempt int
	text    string
}

// errDetached says that the user left the run to itself.
var errDetached = errors.New("detached")

// follow shows a run to its end and returns its exit code as an error.
func (a *app) follow(ctx context.Context, p *plane, run v1.RunDetail) error {
	f := &follower{
		app: a, plane: p, id: run.ID, display: newDisplay(a.stdout),
		states: make(chan v1.RunDetail), texts: make(chan logText), faults: make(chan error, 2),
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	watching, cancel := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { f.watch(watching) })
	watchers.Go(func() { f.read(watching) })
	last, err := f.loop(ctx, signals)
	cancel()
	f.drain(&watchers)
	f.display.flush()
	if errors.Is(err, errDetached) {
		_, err := fmt.Fprintf(a.stdout, "detached from %s; follow it: yard logs -f %s\n", f.id, f.id)
		return err
	}
	if err != nil {
		return err
	}
	return f.summarize(ctx, last)
}

// drain lets the watchers end, whatever they want to send.
func (f *follower) drain(watchers *sync.WaitGroup) {
	done := make(chan struct{})
	go func() { watchers.Wait(); close(done) }()
	for {
		select {
		case <-done:
			return
		case _, ok := <-f.states:
			if !ok {
				f.states = nil
			}
		case _, ok := <-f.texts:
			if !ok {
				f.texts = nil
			}
		}
	}
}

// loop prints until the run is over and its log is read, or the user leaves.
func (f *follower) loop(ctx context.Context, signals <-chan os.Signal) (last v1.RunDetail, err error) {
	states, texts := f.states, f.texts
	var answers <-chan string
	var early *logText // of an attempt that is not told yet
	for states != nil || texts != nil || early != nil {
		// A question stands alone, and where an attempt was placed is told before what it writes.
		if early != nil && answers == nil && (last.Attempts >= early.attempt || states == nil) {
			f.display.text(early.text)
			early = nil
		}
		readable := texts
		if answers != nil || early != nil {
			readable = nil
		}
		if states == nil && texts == nil && answers == nil {
			return last, nil
		}
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case err := <-f.faults:
			return last, err
		case run, ok := <-states:
			if !ok {
				states = nil
				continue
			}
			last = run
			if answers == nil {
				f.tell(ctx, run)
				f.display.show(run)
			}
		case text, ok := <-readable:
			if !ok {
				texts = nil
				continue
			}
			early = &text
		case sig := <-signals:
			if answers != nil || sig == syscall.SIGTERM {
				return last, errDetached
			}
			if answers = f.ask(); answers == nil {
				return last, errDetached
			}
		case answer := <-answers:
			answers = nil
			if !strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "s") {
				return last, errDetached
			}
			if err := f.stop(ctx); err != nil {
				return last, err
			}
		}
	}
	return last, nil
}

// ask asks what Ctrl-C means, and returns where the answer comes; nil where
// there is nobody to ask.
func (f *follower) ask() <-chan string {
	in, ok := f.app.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) || !f.display.terminal {
		return nil
	}
	f.display.say("\nstop the run, or detach from it and let it go on? [s/D] ")
	answers := make(chan string, 1)
	go func() { // ends with the process: reading a terminal cannot be called off
		line, _ := bufio.NewReader(in).ReadString('\n')
		answers <- line
	}()
	return answers
}

func (f *follower) stop(ctx context.Context) error {
	err := f.plane.try(ctx, func(c *client.Client) error {
		_, err := c.Stop(ctx, f.id, -1)
		return err
	})
	if fault.Is(err, fault.Conflict) {
		return nil // it ended meanwhile
	}
	return err
}

// watch sends the state of the run until it is final.
func (f *follower) watch(ctx context.Context) {
	defer close(f.states)
	for {
		run, err := f.get(ctx)
		if err != nil {
			f.fail(ctx, err)
			return
		}
		select {
		case f.states <- run:
		case <-ctx.Done():
			return
		}
		if fleet.RunState(run.State).Final() || !sleep(ctx, followEvery) {
			return
		}
	}
}

// read sends the log of rank 0, attempt after attempt.
func (f *follower) read(ctx context.Context) {
	defer close(f.texts)
	err := f.plane.readLog(ctx, f.id, client.LogPosition{Attempt: 1}, true, func(attempt int, text []byte) error {
		select {
		case f.texts <- logText{attempt, string(text)}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err != nil {
		f.fail(ctx, err)
	}
}

func (f *follower) fail(ctx context.Context, err error) {
	if ctx.Err() == nil {
		f.faults <- err
	}
}

func (f *follower) get(ctx context.Context) (run v1.RunDetail, err error) {
	err = f.plane.try(ctx, func(c *client.Client) error {
		var err error
		run, err = c.Run(ctx, f.id)
		return err
	})
	return run, err
}

// tell prints what was decided since the last look, and why the run waits.
func (f *follower) tell(ctx context.Context, run v1.RunDetail) {
	for ; f.told < len(run.Decisions); f.told++ {
		d := run.Decisions[f.told]
		if d.Verb == "place" {
			f.display.say(f.placed(ctx, run, d) + "\n")
			continue
		}
		f.display.say(strings.TrimSpace(d.Verb+" "+d.Subject) + ": " + strings.Join(d.Reasons, " · ") + "\n")
	}
	if f.askedAt.IsZero() {
		f.askedAt = time.Now().Add(firstQueue - queueEvery) // most runs start at once
	}
	resting := run.NotBefore.After(time.Now()) // the decision to restart told
	if run.State != string(fleet.Queued) || resting || time.Since(f.askedAt) < queueEvery {
		return
	}
	f.askedAt = time.Now()
	var queue []v1.Waiting
	err := f.plane.try(ctx, func(c *client.Client) error {
		var err error
		queue, err = c.Queue(ctx)
		return err
	})
	at := slices.IndexFunc(queue, func(w v1.Waiting) bool { return w.ID == f.id })
	if err != nil || at < 0 {
		return // the next look tells
	}
	if why := strings.Join(queue[at].Reasons, "; "); why != f.waited {
		f.waited = why
		f.display.say(fmt.Sprintf("waits, number %d in the queue: %s          give up: yard stop %s\n", queue[at].Position, why, f.id))
	}
}

// placed says where an attempt went and why.
func (f *follower) placed(ctx context.Context, run v1.RunDetail, d v1.Decision) string {
	attempt, cores := v1.Attempt{}, 0
	for _, a := range run.AttemptList {
		if a.Created.Equal(d.At) {
			attempt = a
		}
	}
	_ = f.plane.try(ctx, func(c *client.Client) error { // the size is an extra: without it the line is still true
		name, _, _ := strings.Cut(d.Subject, "/")
		site, err := c.Site(ctx, name)
		for _, pool := range site.Pools {
			if pool.ID == d.Subject {
				cores = pool.Cores
			}
		}
		return err
	})
	if attempt.Cores > 0 {
		cores = attempt.Cores
	}
	size := plural(attempt.Chips, attempt.Chip, attempt.Chip)
	if attempt.Chip == "cpu" {
		size = plural(cores, "core", "cores")
	}
	price := showMoney(attempt.Rate) + "/h"
	if attempt.Imputed {
		price = "imputed " + price
	}
	return fmt.Sprintf("placed on %s (%s, %s): %s          run %s · attempt %d",
		d.Subject, size, price, strings.Join(d.Reasons, "; "), run.ID, attempt.Number)
}

// summarize ends with the loss curve, one line of results and the next command.
func (f *follower) summarize(ctx context.Context, run v1.RunDetail) error {
	f.curve(ctx)
	_, err := fmt.Fprint(f.app.stdout, summary(run))
	if err != nil {
		return err
	}
	if run.ExitCode != 0 {
		return exitError(run.ExitCode)
	}
	if run.State != string(fleet.Succeeded) {
		return exitError(exitFailure)
	}
	return nil
}

func (f *follower) curve(ctx context.Context) {
	var points []v1.Point
	err := f.plane.try(ctx, func(c *client.Client) error {
		var err error
		points, err = c.History(ctx, f.id)
		return err
	})
	if err != nil {
		return // the curve is an extra; the log has the figures
	}
	drawCurve(f.app.stdout, points)
}

// drawCurve draws the loss over the steps, where there are enough to draw.
func drawCurve(out io.Writer, points []v1.Point) {
	const fewest = 4
	var losses []float64
	for _, p := range points {
		if p.Loss != 0 {
			losses = append(losses, drawable(p.Loss))
		}
	}
	if len(losses) < fewest {
		return
	}
	caption := fmt.Sprintf("loss, steps %s to %s", units.Grouped(int64(points[0].Step)), units.Grouped(int64(points[len(points)-1].Step)))
	graph := asciigraph.Plot(losses, asciigraph.Height(curveHeight), asciigraph.Width(curveWidth), asciigraph.Caption(caption), asciigraph.Precision(2))
	_, _ = fmt.Fprintln(out, "\n"+graph+"\n") // the summary that follows reports a broken output
}

// summary is the last lines about a run.
func summary(run v1.RunDetail) string {
	begun := run.Started
	if begun.IsZero() {
		begun = run.Submitted
	}
	took := showSpan(max(0, run.Ended.Sub(begun)))
	var parts []string
	switch fleet.RunState(run.State) {
	case fleet.Succeeded:
		parts = append(parts, "done in "+took)
	case fleet.Stopped:
		parts = append(parts, "stopped after "+took)
	default:
		parts = append(parts, fmt.Sprintf("failed after %s with exit code %d: %s", took, run.ExitCode, run.Reason))
	}
	if p := run.Progress; p != nil {
		parts = append(parts, results(*p)...)
	}
	if run.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("%d attempts", run.Attempts))
	}
	parts = append(parts, fmt.Sprintf("cost %s (yard ledger %s)", showMoney(run.Cost), run.ID))
	if p := run.Progress; p != nil && p.CheckpointStep > 0 {
		where := run.Checkpoints
		if where == "" { // its site alone knows
			where = "at step " + humanize.Comma(p.CheckpointStep)
		}
		parts = append(parts, "checkpoint "+where)
	}
	line := strings.Join(parts, " · ") + "\n"
	if run.State != string(fleet.Succeeded) {
		line += fmt.Sprintf("What happened: yard runs %s · yard logs %s\n", run.ID, run.ID)
	}
	return line
}

func results(p v1.Progress) []string {
	var parts []string
	switch {
	case p.LossNaNSince > 0:
		parts = append(parts, lossNaN(p))
	case p.EvalLoss != 0 && p.BaselineLoss != 0:
		parts = append(parts, fmt.Sprintf("loss %s (baseline %s)", showLoss(p.EvalLoss), showLoss(p.BaselineLoss)))
	case p.EvalLoss != 0:
		parts = append(parts, "loss "+showLoss(p.EvalLoss))
	case p.Loss != 0:
		parts = append(parts, "loss "+showLoss(p.Loss))
	}
	if p.Tokens > 0 {
		parts = append(parts, showCount(float64(p.Tokens))+" tokens")
	}
	return parts
}
