package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// rig is a loop over fakes under a bubble's clock.
type rig struct {
	t      *testing.T
	store  *memStore
	engine *fakeEngine
	skew   time.Duration // added to the bubble's clock: a clock that was set
	ids    int
	crash  func(string)
	loop   *Loop
}

func newRig(t *testing.T, nodes int, script func(string) script) *rig {
	r := &rig{t: t, store: newMemStore()}
	r.engine = newFakeEngine(r.now, nodes, script)
	r.restart()
	return r
}

func (r *rig) now() time.Time { return time.Now().UTC().Add(r.skew) }

// restart is a new process on the same state and world.
func (r *rig) restart() {
	dir := r.t.TempDir()
	policy := DefaultPolicy()
	policy.Grace = time.Second
	r.loop = New(Options{
		Store: r.store, Sites: NewSites(SitesOptions{Store: r.store, Local: r.engine, Log: slog.New(slog.DiscardHandler)}),
		Clock: r.now, Log: slog.New(slog.DiscardHandler), Policy: policy,
		Parse:  workload.Parse,
		Secret: func(string) (string, error) { return "s3cret", nil },
		Price:  func(p fleet.Pool, _ *site.Site) fleet.Pool { return p },
		Random: func(n int) []byte {
			r.ids++
			return []byte(fmt.Sprintf("%08d", r.ids))[8-n:]
		},
		Checkpoints: func(run string) string { return filepath.Join(dir, run) },
		Interval:    time.Second, SweepEvery: 10 * time.Second, PoolsEvery: time.Minute,
		Crash: func(point string) {
			if r.crash != nil {
				r.crash(point)
			}
		},
	})
}

const file = `kind: Training
name: job
restarts: {limit: 3, backoff: 10s, max_backoff: 1m}
variants:
  cpu:
    command: [train]
    env: {A: b}
    secrets: [{name: TOKEN, from: hub/token}]
`

func (r *rig) submit(key string) fleet.Run {
	r.t.Helper()
	run, err := r.loop.Submit(context.Background(), Request{Key: key, File: "job.yaml", Content: []byte(file), Dir: "/work"})
	if err != nil {
		r.t.Fatal(err)
	}
	return run
}

// pass lets the time go by with the loop running.
func (r *rig) pass(d time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { r.loop.Run(ctx); close(done) }()
	time.Sleep(d) // the bubble's clock
	cancel()
	<-done
}

func (r *rig) run(id string) (fleet.Run, []fleet.Attempt) {
	return r.store.state.runs[id], r.store.state.attempts[id]
}

// verify proves the ledger and that no attempt ran twice.
func (r *rig) verify() {
	r.t.Helper()
	var attempts []fleet.Attempt
	for _, list := range r.store.state.attempts {
		attempts = append(attempts, list...)
	}
	source := func(fn func(ledger.Entry) error) error {
		return r.store.View(context.Background(), func(tx store.Tx) error { return tx.Entries(store.EntryFilter{}, fn) })
	}
	report, err := ledger.Verify(source, attempts)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, problem := range report.Problems {
		r.t.Errorf("ledger: %s", problem)
	}
	for key, count := range r.engine.starts {
		if count != 1 {
			r.t.Errorf("%s was started %d times", key, count)
		}
	}
}

func (r *rig) wants(id string, state fleet.RunState, attempts int) (fleet.Run, []fleet.Attempt) {
	r.t.Helper()
	run, list := r.run(id)
	if run.State != state || len(list) != attempts {
		r.t.Fatalf("%s is %s after %d attempts (%s), want %s after %d", id, run.State, len(list), run.Reason, state, attempts)
	}
	return run, list
}

func always(s script) func(string) script { return func(string) script { return s } }

func TestARunSucceedsAndIsBooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: 90 * time.Minute}))
		run := r.submit("k")
		if again := r.submit("k"); again.ID != run.ID {
			t.Errorf("the same submission made %s and %s", run.ID, again.ID)
		}
		r.pass(2 * time.Hour)
		_, attempts := r.wants(run.ID, fleet.Succeeded, 1)
		r.verify()
		gang := r.engine.gangs[attempts[0].Key()]
		for name, want := range map[string]string{
			"A": "b", "YARD_RUN": run.ID, "YARD_ATTEMPT": "1", "YARD_EPOCH": "1",
			"YARD_CHECKPOINT_DIR": r.loop.Checkpoints(run.ID),
		} {
			if gang.Env[name] != want {
				t.Errorf("%s=%q, want %q", name, gang.Env[name], want)
			}
		}
		if gang.Secrets["TOKEN"] != "s3cret" || gang.Env["TOKEN"] != "" {
			t.Errorf("a secret is no plain variable: %v %v", gang.Env, gang.Secrets)
		}
		if gang.Dir != "/work" || gang.Ranks != 1 {
			t.Errorf("gang %+v", gang.Gang)
		}
		// 1.5 hours at 1.23: two or three slices, cut at full hours.
		total := int64(0)
		for _, e := range r.store.state.entries {
			total += e.Cost.Micros
		}
		if total != 1_845_000 {
			t.Errorf("booked %d micros, want 1845000", total)
		}
	})
}

// A run whose gang its site keeps waiting says so, until it runs.
func TestARunSaysWhyItsGangWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: time.Hour, waits: 10 * time.Minute}))
		run := r.submit("k")
		r.pass(5 * time.Minute)
		if run, attempts := r.wants(run.ID, fleet.Running, 1); run.Reason != "the queue is full" || attempts[0].State != fleet.AttemptRecorded {
			t.Errorf("reason %q, attempt %s; want what the engine says", run.Reason, attempts[0].State)
		}
		r.pass(10 * time.Minute)
		if run, attempts := r.wants(run.ID, fleet.Running, 1); run.Reason != "" || attempts[0].State != fleet.AttemptRunning {
			t.Errorf("reason %q, attempt %s; want it running", run.Reason, attempts[0].State)
		}
		r.pass(time.Hour)
		r.wants(run.ID, fleet.Succeeded, 1)
	})
}

func TestFailuresBackOffAndGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: time.Second, exit: 3}))
		begun := time.Now()
		run := r.submit("")
		r.pass(10 * time.Minute)
		got, attempts := r.wants(run.ID, fleet.Failed, 4) // the file allows 3 restarts
		if got.ExitCode != 3 {
			t.Errorf("exit code %d, want 3", got.ExitCode)
		}
		// Rests of 10, 20 and 40 s, each found at the next pass of a second.
		if took := attempts[3].Started.Sub(begun); took < 70*time.Second || took > 85*time.Second {
			t.Errorf("the last attempt began after %s", took)
		}
		verbs := ""
		for _, d := range r.store.state.decisions[run.ID] {
			verbs += d.Verb + ","
		}
		if verbs != "place,restart,place,restart,place,restart,place,give up," {
			t.Errorf("decisions: %s", verbs)
		}
		r.verify()
	})
}

func TestANewCheckpointStartsTheCountAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempt int64
		r := newRig(t, 1, func(string) script {
			attempt++
			s := script{takes: 10 * time.Second, exit: 1, checkpoint: attempt}
			if attempt == 9 {
				s.exit = 0
			}
			return s
		})
		run := r.submit("")
		r.pass(time.Hour)
		r.wants(run.ID, fleet.Succeeded, 9)
		d := r.store.state.decisions[run.ID]
		if last := d[len(d)-2]; last.Reasons[1] != "from the checkpoint at step 8" {
			t.Errorf("the last restart: %v", last.Reasons)
		}
		r.verify()
	})
}

func TestStopEndsARunInEveryState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: time.Hour, stubborn: 3 * time.Second}))
		running, queued := r.submit("a"), r.submit("b")
		r.pass(5 * time.Second)
		r.wants(running.ID, fleet.Running, 1)
		r.wants(queued.ID, fleet.Queued, 0)
		for _, id := range []string{queued.ID, running.ID} {
			if _, err := r.loop.AskStop(context.Background(), id, 0); err != nil {
				t.Fatal(err)
			}
		}
		r.pass(10 * time.Second)
		r.wants(queued.ID, fleet.Stopped, 0)
		got, _ := r.wants(running.ID, fleet.Stopped, 1)
		if got.ExitCode != 143 {
			t.Errorf("exit code %d", got.ExitCode)
		}
		if _, err := r.loop.AskStop(context.Background(), running.ID, 0); !fault.Is(err, fault.Conflict) {
			t.Errorf("stopping what has ended: %v", err)
		}
		r.verify()
	})
}

// A key stands for one request: the same again is the run that it made, another
// under the same key is refused, so that nobody takes one run for another.
func TestAKeyStandsForOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: time.Hour}))
		first := r.submit("a")
		if again := r.submit("a"); again.ID != first.ID {
			t.Errorf("the same again: run %s, not %s", again.ID, first.ID)
		}
		five := 5
		for name, change := range map[string]func(*Request){
			"content":  func(q *Request) { q.Content = []byte(file + "    # another\n") },
			"project":  func(q *Request) { q.Project = "other" },
			"priority": func(q *Request) { q.Priority = &five },
		} {
			request := Request{Key: "a", File: "job.yaml", Content: []byte(file), Dir: "/work"}
			change(&request)
			run, err := r.loop.Submit(context.Background(), request)
			if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), first.ID) || !strings.Contains(err.Error(), name) {
				t.Errorf("another %s under the same key: run %q, %v", name, run.ID, err)
			}
		}
		if n := len(r.store.state.runs); n != 1 {
			t.Errorf("%d runs", n)
		}
	})
}

// Log lines that are missing may have been cut, or the disk had no room: the
// reason claims no more than is known.
func TestTheReasonTellsOfMissingLogLines(t *testing.T) {
	s := sight{
		run: fleet.Run{ID: "r"}, attempt: fleet.Attempt{Run: "r", Number: 1, State: fleet.AttemptRunning},
		status: engine.Status{State: engine.Exited, LogLost: 7},
	}
	o := settle(s, 0, time.Now(), DefaultPolicy())
	if want := "7 log lines were not kept: over the bound, or the disk was full"; o.attempt.Reason != want {
		t.Errorf("reason %q; want %q", o.attempt.Reason, want)
	}
}

// A project and a priority given beside the file follow the file's own rules: a
// priority near the largest number would wrap around as the run waits.
func TestStandingBesideTheFileIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: time.Hour}))
		for _, c := range []struct {
			project  string
			priority int
		}{{"p", math.MaxInt}, {"p", -1001}, {"../x\x00", 0}, {strings.Repeat("p", 1000), 0}} {
			_, err := r.loop.Submit(context.Background(), Request{
				File: "w.yaml", Content: []byte(file), Project: c.project, Priority: &c.priority,
			})
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("project %q priority %d: %v", c.project, c.priority, err)
			}
		}
	})
}

// A gang that ignores SIGTERM was stopped with a long grace; who has no more
// patience asks again with a shorter one.
func TestASecondStopShortensTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: 48 * time.Hour, stubborn: 24 * time.Hour}))
		run := r.submit("a")
		r.pass(5 * time.Second)
		for _, ask := range []struct {
			grace time.Duration
			state fleet.RunState
		}{{time.Hour, fleet.Running}, {2 * time.Hour, fleet.Running}, {time.Second, fleet.Stopped}} {
			if _, err := r.loop.AskStop(context.Background(), run.ID, ask.grace); err != nil {
				t.Fatal(err)
			}
			r.pass(10 * time.Second)
			r.wants(run.ID, ask.state, 1)
		}
		r.verify()
	})
}

func TestALostGangIsRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: time.Minute}))
		run := r.submit("")
		r.pass(10 * time.Second)
		delete(r.engine.gangs, run.ID+"-1")
		r.pass(5 * time.Minute)
		_, attempts := r.wants(run.ID, fleet.Succeeded, 2)
		if attempts[0].State != fleet.AttemptLost || attempts[1].Epoch <= attempts[0].Epoch {
			t.Errorf("attempts: %+v", attempts)
		}
		r.verify()
	})
}

func TestWhatTheEngineRefuses(t *testing.T) {
	for _, c := range []struct {
		kind     fault.Kind
		state    fleet.RunState
		attempts func(int) bool
		fenced   bool
	}{
		{fault.Invalid, fleet.Failed, func(n int) bool { return n == 1 }, false},
		{fault.NoCapacity, fleet.Queued, func(n int) bool { return n > 1 }, true},
		{fault.Transient, fleet.Running, func(n int) bool { return n == 1 }, false},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1, always(script{takes: time.Second}))
				r.engine.faults["start"] = fault.New(c.kind, "no")
				run := r.submit("")
				r.pass(65 * time.Second)
				got, attempts := r.run(run.ID)
				waiting := got.State == c.state || (c.state == fleet.Queued && !got.State.Final())
				if !waiting || !c.attempts(len(attempts)) || r.engine.fenced[attempts[0].Key()] != c.fenced {
					t.Errorf("%s, %d attempts, fenced %v", got.State, len(attempts), r.engine.fenced)
				}
				delete(r.engine.faults, "start")
				r.pass(10 * time.Minute)
				if c.state != fleet.Failed {
					if got, _ := r.run(run.ID); got.State != fleet.Succeeded {
						t.Errorf("after the fault has gone it is %s", got.State)
					}
				}
				r.verify()
			})
		})
	}
}

func TestTheClockIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: 3 * time.Hour}))
		run := r.submit("")
		r.pass(time.Minute)
		r.skew = 5 * time.Hour // set forward by mistake: hours seem to have ended
		r.engine.now = func() time.Time { return time.Now().UTC() }
		r.pass(time.Minute)
		if r.store.state.entries == nil {
			t.Fatal("no hour was booked: the test shows nothing")
		}
		r.skew = -2 * time.Hour
		r.pass(4 * time.Hour)
		r.wants(run.ID, fleet.Succeeded, 1)
		r.verify()
	})
}

func TestARestIsCutShortWhenTheClockIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, func(key string) script {
			if strings.HasSuffix(key, "-1") {
				return script{takes: time.Second, exit: 1}
			}
			return script{takes: time.Second}
		})
		run := r.submit("")
		r.pass(3 * time.Second)
		r.wants(run.ID, fleet.Queued, 1)
		r.skew = -24 * time.Hour
		r.pass(2 * time.Minute)
		r.wants(run.ID, fleet.Succeeded, 2)
		r.verify()
	})
}

func TestAFullDiskIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: time.Minute}))
		run := r.submit("")
		r.store.full = true
		r.pass(10 * time.Second)
		r.wants(run.ID, fleet.Queued, 0)
		if len(r.engine.starts) != 0 {
			t.Error("a gang started that is not recorded")
		}
		r.store.full = false
		r.pass(10 * time.Second)
		r.store.full = true
		r.pass(2 * time.Minute) // it ends meanwhile
		r.wants(run.ID, fleet.Running, 1)
		r.store.full = false
		r.pass(10 * time.Second)
		r.wants(run.ID, fleet.Succeeded, 1)
		r.verify()
	})
}

func TestOrphansAreStoppedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: time.Hour}))
		if err := r.engine.Start(context.Background(), engine.Gang{Key: "ghost-1"}); err != nil {
			t.Fatal(err)
		}
		run := r.submit("")
		r.pass(time.Minute)
		if len(r.engine.forgot) != 1 || r.engine.forgot[0] != "ghost-1" {
			t.Errorf("forgotten: %v", r.engine.forgot)
		}
		r.wants(run.ID, fleet.Running, 1)
		r.pass(2 * time.Hour)
		if len(r.engine.forgot) != 1 {
			t.Errorf("what ended in order was forgotten: %v", r.engine.forgot)
		}
		r.skew = 91 * 24 * time.Hour
		r.pass(time.Minute)
		if len(r.engine.forgot) != 2 {
			t.Errorf("what is past its retention was kept: %v", r.engine.forgot)
		}
	})
}

// crashed is what a simulated death panics with.
type crashed struct{}

// dieAt dies two times of three that the point is reached, and counts deaths.
func dieAt(point string, deaths *int) func(at string) {
	reached := 0
	return func(at string) {
		if at != point {
			return
		}
		if reached++; reached%3 != 0 && *deaths < 20 {
			*deaths++
			panic(crashed{})
		}
	}
}

// survived acts, and restarts where that died.
func survived(act, restart func()) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(crashed); !ok {
				panic(p)
			}
			restart()
		}
	}()
	act()
}

// TestKilledAtEveryPointAgainAndAgain dies at each point in turn, the hourly
// booking included, and wants the same end.
func TestKilledAtEveryPointAgainAndAgain(t *testing.T) {
	for _, point := range CrashPoints() {
		if strings.HasPrefix(point, "orphan.") || strings.HasPrefix(point, "move.") {
			continue // internal/cli leaves orphans to a real engine; see TestKilledWhileRunsMove
		}
		t.Run(point, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				deaths := killAt(t, point)
				if deaths == 0 {
					t.Error("the point was never reached")
				}
			})
		})
	}
}

func killAt(t *testing.T, point string) (deaths int) {
	var r *rig
	r = newRig(t, 2, func(key string) script {
		run := r.store.state.runs[key[:strings.LastIndex(key, "-")]]
		switch {
		case run.Submission == "b": // only fails
			return script{takes: time.Minute, exit: 1}
		case strings.HasSuffix(key, "-1"):
			return script{takes: 130 * time.Minute, exit: 1, checkpoint: 5}
		}
		return script{takes: 20 * time.Minute}
	})
	r.crash = dieAt(point, &deaths)
	survive := func(act func()) { survived(act, r.restart) }
	ctx := context.Background()
	for _, key := range []string{"a", "b", "c"} {
		for range 4 { // a client repeats a submission until it is answered
			survive(func() { r.submit(key) })
		}
	}
	stop := func() {
		for id, run := range r.store.state.runs {
			if run.Submission == "c" && !run.State.Final() {
				survive(func() {
					if _, err := r.loop.AskStop(ctx, id, time.Second); err != nil && !fault.Is(err, fault.Conflict) {
						t.Error(err)
					}
				})
			}
		}
	}
	for minute := range 600 {
		survive(func() {
			if err := r.loop.Tick(ctx); err != nil {
				t.Fatal(err)
			}
		})
		if minute > 60 {
			stop()
		}
		time.Sleep(time.Minute) // the bubble's clock
	}
	if len(r.store.state.runs) != 3 {
		t.Errorf("%d runs of 3 submissions", len(r.store.state.runs))
	}
	for id, run := range r.store.state.runs {
		if !run.State.Final() {
			t.Errorf("%s is %s", id, run.State)
		}
		for i, a := range r.store.state.attempts[id] {
			if !a.State.Final() || a.Number != i+1 {
				t.Errorf("%s attempt %d is %s", id, a.Number, a.State)
			}
		}
	}
	r.verify()
	return deaths
}
