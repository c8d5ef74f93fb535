package server

import (
	"context"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/reconcile"
	"github.com/switchyard-ai/switchyard/internal/store"
)

func (s *server) routeRuns(api huma.API) {
	route(api, http.MethodPost, "/v1/runs", "submit-run", "Submit a workload file: queue a run of it", s.submit)
	route(api, http.MethodPost, "/v1/previews", "preview-run", "What a run of a workload file would be on a pool: its manifests or batch script; nothing is started", s.preview)
	route(api, http.MethodGet, "/v1/runs", "list-runs", "Runs, newest first", s.listRuns)
	route(api, http.MethodGet, "/v1/runs/{id}", "get-run", "A run with its attempts, decisions and cost", s.getRun)
	route(api, http.MethodPost, "/v1/runs/{id}/stop", "stop-run", "Ask a run to end", s.stopRun)
	route(api, http.MethodGet, "/v1/runs/{id}/history", "run-history", "The progress that a run reported, oldest first", s.history)
	route(api, http.MethodGet, "/v1/runs/{id}/checkpoints", "run-checkpoints", "The checkpoints of a run, in every place where its attempts kept them", s.checkpoints)
	route(api, http.MethodGet, "/v1/queue", "queue", "The runs that wait, next first, and why", s.queue)
}

// RunPath names a run in a path.
type RunPath struct {
	ID string `path:"id" maxLength:"200" doc:"the run"`
}

func (s *server) submit(ctx context.Context, in *struct{ Body v1.Submission }) (*body[v1.RunDetail], error) {
	b := in.Body
	if err := checkSubmission(b); err != nil {
		return nil, err
	}
	run, err := s.Loop.Submit(ctx, reconcile.Request{
		Key: b.Key, File: b.File, Content: []byte(b.Content), Dir: b.Dir, Project: b.Project, Priority: b.Priority, Wait: b.Wait,
	})
	if err != nil {
		return nil, err
	}
	return s.detail(ctx, run.ID)
}

func (s *server) preview(ctx context.Context, in *struct{ Body v1.PreviewRequest }) (*body[v1.Preview], error) {
	b := in.Body
	if err := checkSubmission(v1.Submission{File: b.File, Dir: b.Dir}); err != nil {
		return nil, err
	}
	p, err := s.Loop.Preview(ctx, reconcile.Request{File: b.File, Content: []byte(b.Content), Dir: b.Dir, Project: b.Project, Priority: b.Priority}, b.On)
	if err != nil {
		return nil, err
	}
	return answer(v1.Preview{Pool: p.Pool, Engine: p.Engine, Nodes: p.Nodes, Ranks: p.Ranks, Reason: p.Reason, Text: p.Text, Checked: p.Checked}), nil
}

// checkSubmission refuses names that no file system has: they would fail much
// later, where a rank starts.
func checkSubmission(b v1.Submission) error {
	switch {
	case strings.ContainsRune(b.File, 0):
		return fault.Newf(fault.Invalid, "file: found %q; a name without a zero byte is valid", clip(b.File))
	case b.Dir != "" && (!filepath.IsAbs(b.Dir) || strings.ContainsRune(b.Dir, 0)):
		return fault.Newf(fault.Invalid, "dir: found %q; an absolute directory is valid", clip(b.Dir))
	}
	return nil
}

func (s *server) getRun(ctx context.Context, in *RunPath) (*body[v1.RunDetail], error) {
	return s.detail(ctx, in.ID)
}

func (s *server) stopRun(ctx context.Context, in *struct {
	RunPath
	Body v1.StopRequest
}) (*body[v1.RunDetail], error) {
	var grace time.Duration
	if in.Body.GraceSeconds != nil {
		// 0 means the default to the loop; no grace at all is the shortest one.
		grace = max(time.Nanosecond, time.Duration(*in.Body.GraceSeconds)*time.Second)
	}
	if _, err := s.Loop.AskStop(ctx, in.ID, grace); err != nil {
		return nil, err
	}
	return s.detail(ctx, in.ID)
}

func (s *server) detail(ctx context.Context, id string) (*body[v1.RunDetail], error) {
	var out v1.RunDetail
	now := s.Clock()
	var attempts []fleet.Attempt
	err := s.Store.View(ctx, func(tx store.Tx) error {
		run, err := tx.Run(id)
		if err != nil {
			return err
		}
		if attempts, err = tx.Attempts(id); err != nil {
			return err
		}
		decisions, err := tx.Decisions(id)
		if err != nil {
			return err
		}
		if out.Run, err = wireRun(run, attempts, now, s.Checkpoints(id)); err != nil {
			return err
		}
		out.AttemptList, out.Decisions = []v1.Attempt{}, []v1.Decision{}
		for _, a := range attempts {
			out.AttemptList = append(out.AttemptList, wireAttempt(a, now))
		}
		for _, d := range decisions {
			out.Decisions = append(out.Decisions, wireDecision(d))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

func (s *server) listRuns(ctx context.Context, in *struct {
	Live    bool   `query:"live" doc:"queued and running ones only"`
	Project string `query:"project"`
	Limit   int    `query:"limit" minimum:"0" doc:"0 lists all"`
}) (*body[v1.RunList], error) {
	out := v1.RunList{Runs: []v1.Run{}}
	now := s.Clock()
	err := s.Store.View(ctx, func(tx store.Tx) error {
		runs, err := tx.Runs(store.RunFilter{Live: in.Live, Project: in.Project, Limit: in.Limit})
		if err != nil {
			return err
		}
		for _, run := range runs {
			attempts, err := tx.Attempts(run.ID)
			if err != nil {
				return err
			}
			wire, err := wireRun(run, attempts, now, s.Checkpoints(run.ID))
			if err != nil {
				return err
			}
			out.Runs = append(out.Runs, wire)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.whyQueued(ctx, out.Runs)
	return answer(out), nil
}

// whyQueued gives queued runs that say nothing themselves the reasons for which
// the scheduler lets them wait now.
func (s *server) whyQueued(ctx context.Context, runs []v1.Run) {
	unsaid := func(r v1.Run) bool { return r.State == string(fleet.Queued) && r.Reason == "" }
	if !slices.ContainsFunc(runs, unsaid) {
		return
	}
	waits, err := s.Loop.Queue(ctx)
	if err != nil {
		s.Log.Warn("why runs wait is not told", "error", err) // the list is worth having without
		return
	}
	why := map[string]string{}
	for _, w := range waits {
		why[w.Run.ID] = strings.Join(w.Reasons, "; ")
	}
	for i := range runs {
		if unsaid(runs[i]) {
			runs[i].Reason = why[runs[i].ID]
		}
	}
}

func (s *server) queue(ctx context.Context, _ *struct{}) (*body[v1.Queue], error) {
	out := v1.Queue{Waiting: []v1.Waiting{}}
	waits, err := s.Loop.Queue(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range waits {
		out.Waiting = append(out.Waiting, v1.Waiting{
			Position: w.Position, ID: w.Run.ID, Name: w.Run.Name, Project: w.Run.Project, Priority: w.Run.Priority,
			Submitted: w.Run.Submitted, NotBefore: w.Run.NotBefore, Reasons: w.Reasons,
		})
	}
	return answer(out), nil
}

// history joins what the attempts reported, in order.
func (s *server) history(ctx context.Context, in *RunPath) (*body[v1.History], error) {
	attempts, err := s.attempts(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := v1.History{Points: []v1.Point{}}
	for _, a := range attempts {
		eng, err := s.Sites.Engine(a.Site)
		if err != nil {
			continue // its site is gone, or cannot be opened now
		}
		points, err := eng.History(ctx, a.Key())
		if fault.Is(err, fault.Lost) {
			continue // never started, or past its retention
		}
		if err != nil {
			return nil, err
		}
		for _, p := range points {
			if wire := wireProgress(p); wire != nil {
				out.Points = append(out.Points, v1.Point{Attempt: a.Number, Progress: *wire})
			}
		}
	}
	return answer(out), nil
}

func (s *server) attempts(ctx context.Context, id string) ([]fleet.Attempt, error) {
	var attempts []fleet.Attempt
	err := s.Store.View(ctx, func(tx store.Tx) error {
		if _, err := tx.Run(id); err != nil {
			return err
		}
		var err error
		attempts, err = tx.Attempts(id)
		return err
	})
	return attempts, err
}

// finite replaces what JSON cannot hold: a diverged loss is sent as 0.
func finite(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return x
}
