package reconcile

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

const bothFamilies = `kind: Training
name: job
training_file: x
variants:
  cpu: {command: [train], checkpoint: {writes: safetensors}}
  neuron: {command: [train], checkpoint: {reads: [safetensors]}}
`

// newTrial is a run with a checkpoint in the east, and a neuron pool in the
// west on which its trials run by a script.
func newTrial(t *testing.T, trial script) (r *worldRig, run fleet.Run) {
	r = newWorld(t, func(key string) script {
		if strings.HasPrefix(key, "job-trial") {
			return trial
		}
		return training(&r, 36000, time.Second)(key)
	})
	neuronWest(r)
	r.restart()
	file := strings.Replace(bothFamilies, "training_file: x\n", "model: {preset: llama-3-8b}\ntokens: 36M\nsequence_length: 100\nglobal_batch: 10\n", 1)
	run, err := r.loop.Submit(context.Background(), Request{File: "j.yaml", Content: []byte(file)})
	if err != nil {
		t.Fatal(err)
	}
	r.pass(10 * time.Minute)
	return r, run
}

func TestATrialQualifiesAFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, run := newTrial(t, script{from: 600, steps: 36000, every: 100, per: time.Second / 2})
		if _, _, err := r.loop.AskMove(context.Background(), MoveRequest{Run: run.ID, To: "west"}); !fault.Is(err, fault.Conflict) {
			t.Fatalf("an unqualified family: %v", err)
		}
		trial, err := r.loop.AskTrial(context.Background(), TrialRequest{Run: run.ID, Pool: "west/p"})
		if err != nil {
			t.Fatal(err)
		}
		r.pass(5 * time.Minute)
		got, _ := r.wants(trial.ID, fleet.Succeeded, 1)
		list, err := r.loop.Qualifications(context.Background())
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v %v", list, err)
		}
		q := list[0]
		if q.Model != "llama-3-8b" || q.Family != "neuron" || q.Speed != 2000 || q.Of != run.ID || q.Steps < 50 {
			t.Errorf("%+v", q)
		}
		if got.ExitCode != 0 || !strings.Contains(got.Reason, "llama-3-8b trains on neuron") {
			t.Errorf("%+v", got)
		}
		if _, _, err := r.loop.AskMove(context.Background(), MoveRequest{Run: run.ID, To: "west"}); err != nil {
			t.Errorf("a qualified family: %v", err)
		}
		r.pass(time.Minute)
		if _, attempts := r.run(run.ID); len(attempts) != 2 || attempts[1].Pool != "west/p" {
			t.Errorf("%+v", attempts)
		}
		r.verifyAll()
	})
}

func TestATrialThatShowsNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		script script
		want   string
	}{
		{"loss", script{from: 600, steps: 36000, every: 100, per: time.Second, loss: 1}, "20.2% apart, and 5.0% is allowed"},
		{"anew", script{steps: 36000, every: 100, per: time.Second}, "the checkpoint was not read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, run := newTrial(t, c.script)
				trial, err := r.loop.AskTrial(context.Background(), TrialRequest{Run: run.ID, Pool: "west/p"})
				if err != nil {
					t.Fatal(err)
				}
				r.pass(5 * time.Minute)
				got, _ := r.wants(trial.ID, fleet.Failed, 1)
				if !strings.Contains(got.Reason, c.want) {
					t.Errorf("reason %q", got.Reason)
				}
				if list, err := r.loop.Qualifications(context.Background()); err != nil || len(list) != 0 {
					t.Errorf("%+v %v", list, err)
				}
				r.wants(run.ID, fleet.Running, 1)
			})
		})
	}
}

func TestAHungAttemptIsEndedAndRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *worldRig
		r = newWorld(t, func(key string) script {
			s := training(&r, 3600, time.Second)(key)
			if strings.HasSuffix(key, "-1") {
				s.hangs = 250
			}
			return s
		})
		run := r.submit("")
		r.pass(13 * time.Minute)
		r.wants(run.ID, fleet.Running, 1) // silent for less than ten minutes
		r.pass(5 * time.Minute)
		_, attempts := r.wants(run.ID, fleet.Running, 2)
		if want := "hung: no progress for 10m0s after step 250; the limit is 10m0s"; !strings.HasPrefix(attempts[0].Reason, want) {
			t.Errorf("reason %q", attempts[0].Reason)
		}
		if e := r.sites["east"]; len(e.dumped) != 1 {
			t.Errorf("stacks were asked for %d times", len(e.dumped))
		}
		if got := r.verbs(run.ID); got != "place east/p, watchdog "+run.ID+"-1, restart "+run.ID+"-1, place east/p" {
			t.Errorf("decisions: %s", got)
		}
		r.long(2 * time.Hour)
		r.wants(run.ID, fleet.Succeeded, 2)
		r.verifyAll()
	})
}

func TestTheWatchdogWaitsAsLongAsTheFileSays(t *testing.T) {
	for _, c := range []struct {
		file string
		want int // attempts after an hour of silence
	}{{"watchdog: 0s\n", 1}, {"watchdog: 90m\n", 1}, {"watchdog: 20m\n", 2}, {"", 2}} {
		synctest.Test(t, func(t *testing.T) {
			var r *worldRig
			r = newWorld(t, func(key string) script {
				s := training(&r, 36000, time.Second)(key)
				if strings.HasSuffix(key, "-1") {
					s.hangs = 250
				}
				return s
			})
			run, err := r.loop.Submit(context.Background(), Request{File: "j.yaml", Content: []byte(file + c.file)})
			if err != nil {
				t.Fatal(err)
			}
			r.long(70 * time.Minute)
			if _, attempts := r.run(run.ID); len(attempts) != c.want {
				t.Errorf("%q: %d attempts, want %d", c.file, len(attempts), c.want)
			}
		})
	}
}

// An attempt that went on from step 200 and takes five minutes a step may be
// silent for twenty of its own steps, not of those that others took before it.
func TestTheWatchdogKnowsThePaceOfAnAttemptThatWentOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *worldRig
		r = newWorld(t, func(key string) script {
			s := training(&r, 3600, time.Second)(key)
			switch {
			case strings.HasSuffix(key, "-1"):
				s.hangs = 250
			case strings.HasSuffix(key, "-2"):
				s.per, s.hangs = 5*time.Minute, s.from+3
			}
			return s
		})
		run := r.submit("")
		r.long(75 * time.Minute)
		r.wants(run.ID, fleet.Running, 2) // 40 minutes of silence
		r.long(2 * time.Hour)
		_, attempts := r.wants(run.ID, fleet.Succeeded, 3)
		if want := "the limit is 1h40m0s"; !strings.Contains(attempts[1].Reason, want) {
			t.Errorf("reason %q; want %q", attempts[1].Reason, want)
		}
	})
}

// A pool that takes gangs away again and again says so to the merit order.
func TestInterruptionsAreCountedByPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *worldRig
		r = newWorld(t, training(&r, 36000, time.Second))
		run := r.submit("")
		for n := range 3 {
			r.long(20 * time.Minute)
			delete(r.sites["east"].gangs, fleet.AttemptKey(run.ID, n+1))
		}
		r.long(20 * time.Minute)
		pools, err := r.loop.SitePools(context.Background(), "east")
		if err != nil || len(pools) != 1 || pools[0].Interruptions != 3 || pools[0].Observed < 0.5 || pools[0].Observed > 1.5 {
			t.Errorf("%+v %v", pools, err)
		}
	})
}

// After two attempts that end because of a node the run stays away from it.
func TestABadNodeIsAvoided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newWorld(t, func(key string) script {
			if strings.HasSuffix(key, "-1") || strings.HasSuffix(key, "-2") {
				return script{takes: time.Minute, exit: 1, node: "gpu-17"}
			}
			return script{takes: time.Minute}
		})
		run := r.submit("")
		r.pass(20 * time.Minute)
		r.wants(run.ID, fleet.Succeeded, 3)
		for n, want := range []string{"", "", "gpu-17"} {
			if got := strings.Join(r.sites["east"].gangs[fleet.AttemptKey(run.ID, n+1)].Avoid, " "); got != want {
				t.Errorf("attempt %d stays away from %q, want %q", n+1, got, want)
			}
		}
		d := r.store.state.decisions[run.ID]
		if last := d[len(d)-2]; !strings.Contains(strings.Join(last.Reasons, "; "), "stays away from node gpu-17 from now on") {
			t.Errorf("%+v", last)
		}
		r.verifyAll()
	})
}

// A trial that waited goes on from a newer checkpoint than there was when it
// was asked for: the steps before that are not its own.
func TestATrialCountsItsOwnStepsAlone(t *testing.T) {
	for _, c := range []struct {
		name   string
		script script
		state  fleet.RunState
		want   string
	}{
		{"enough", script{from: 700, steps: 36000, every: 100, per: time.Second}, fleet.Succeeded, "steps from the checkpoint at step 700"},
		{"too few", script{from: 700, steps: 730, every: 100, per: time.Second}, fleet.Failed, "it made 30 steps from the checkpoint at step 700, and 50 were asked for"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, run := newTrial(t, c.script) // at step 600
				trial, err := r.loop.AskTrial(context.Background(), TrialRequest{Run: run.ID, Pool: "west/p"})
				if err != nil {
					t.Fatal(err)
				}
				r.pass(5 * time.Minute)
				got, attempts := r.wants(trial.ID, c.state, 1)
				if !strings.Contains(got.Reason, c.want) {
					t.Errorf("reason %q", got.Reason)
				}
				list, err := r.loop.Qualifications(context.Background())
				if err != nil || (len(list) == 1) != (c.state == fleet.Succeeded) {
					t.Fatalf("%+v %v", list, err)
				}
				if len(list) == 1 && (list[0].Steps < 50 || list[0].Steps != attempts[0].Progress.Step-700) {
					t.Errorf("%d steps are kept, and it ended at step %d", list[0].Steps, attempts[0].Progress.Step)
				}
			})
		})
	}
}

func TestWhereATrialBegan(t *testing.T) {
	trial := fleet.Trial{From: 20}
	for _, c := range []struct {
		name        string
		first, from int64
		checkpoint  int64 // in the first report
		exact       bool
	}{
		{"as asked", 21, 20, 0, true},
		{"its first report repeats the checkpoint", 20, 20, 0, true},
		{"it waited", 41, 40, 0, false},
		{"it waited and tells of its checkpoint", 45, 40, 40, true},
		{"it tells of an old checkpoint", 41, 40, 10, false},
	} {
		points := []fleet.Progress{{}, {Step: c.first, CheckpointStep: c.checkpoint}, {Step: 90, CheckpointStep: 80}}
		if from, exact := beganAt(trial, points); from != c.from || exact != c.exact {
			t.Errorf("%s: from %d (%v), want %d (%v)", c.name, from, exact, c.from, c.exact)
		}
	}
}

func TestTheSpeedOfATrial(t *testing.T) {
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	points := func(tokens ...int64) (all []fleet.Progress) {
		for i, n := range tokens {
			all = append(all, fleet.Progress{At: at.Add(time.Duration(i) * time.Second), Step: int64(41 + i), Tokens: n, TokensPerSecond: 7})
		}
		return all
	}
	for _, c := range []struct {
		name    string
		points  []fleet.Progress
		perStep int64
		want    float64
	}{
		{"by the file", points(0, 0, 0), 500, 500},
		{"by the tokens reported", points(1000, 1300, 1600), 0, 300},
		{"as reported", points(0, 0, 0), 0, 7},
		{"one step", points(1000), 500, 7},
	} {
		if got := speedOf(c.points, c.perStep); got != c.want {
			t.Errorf("%s: %v tokens/s, want %v", c.name, got, c.want)
		}
	}
}
