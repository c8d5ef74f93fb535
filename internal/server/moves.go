package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/reconcile"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
)

func (s *server) routeMoves(api huma.API) {
	route(api, http.MethodPost, "/v1/runs/{id}/move", "move-run", "Have a run go on elsewhere from its checkpoint", s.moveRun)
	route(api, http.MethodPost, "/v1/runs/{id}/trial", "try-run", "Queue a trial of a run's model on a pool", s.tryRun)
	route(api, http.MethodGet, "/v1/qualifications", "list-qualifications", "The models that trials have qualified for chip families", s.listQualifications)
}

func (s *server) moveRun(ctx context.Context, in *struct {
	RunPath
	Body v1.MoveRequest
}) (*body[v1.MoveAnswer], error) {
	move, verdicts, err := s.Loop.AskMove(ctx, reconcile.MoveRequest{Run: in.ID, To: in.Body.To, DryRun: in.Body.DryRun})
	if err != nil {
		return nil, err
	}
	out := v1.MoveAnswer{Run: in.ID, To: move.To, DryRun: in.Body.DryRun, Choices: []v1.MoveChoice{}}
	for _, v := range verdicts {
		out.Choices = append(out.Choices, wireVerdict(v))
	}
	return answer(out), nil
}

func wireVerdict(v scheduler.Verdict) v1.MoveChoice {
	out := v1.MoveChoice{
		Pool: v.Pool, RuledOut: v.RuledOut, Known: v.Known, Stay: wireAmount(v.Stay), Go: wireAmount(v.Go), Egress: wireAmount(v.Egress),
		Hourly: wireAmount(v.Hourly), Unpriced: v.Unpriced, Saving: finite(v.Share), Disruption: v.Disruption.Seconds(), Score: finite(v.Score), Reasons: []string{},
	}
	if len(v.RuledOut) == 0 {
		out.Reasons = v.Explain("")
	}
	return out
}

func (s *server) tryRun(ctx context.Context, in *struct {
	RunPath
	Body v1.TrialRequest
}) (*body[v1.RunDetail], error) {
	trial, err := s.Loop.AskTrial(ctx, reconcile.TrialRequest{Run: in.ID, Pool: in.Body.On, Steps: in.Body.Steps, Tolerance: in.Body.Tolerance})
	if err != nil {
		return nil, err
	}
	return s.detail(ctx, trial.ID)
}

func (s *server) listQualifications(ctx context.Context, _ *struct{}) (*body[v1.QualificationList], error) {
	list, err := s.Loop.Qualifications(ctx)
	if err != nil {
		return nil, err
	}
	out := v1.QualificationList{Qualifications: []v1.Qualification{}}
	for _, q := range list {
		out.Qualifications = append(out.Qualifications, wireQualification(q))
	}
	return answer(out), nil
}

func wireQualification(q fleet.Qualification) v1.Qualification {
	return v1.Qualification{
		Model: q.Model, Family: q.Family, Chip: q.Chip, InstanceType: q.InstanceType, Pool: q.Pool, Nodes: q.Nodes, Steps: q.Steps,
		TokensPerSecond: finite(q.Speed), Loss: finite(q.Loss), Reference: finite(q.Reference), Of: q.Of, Trial: q.Trial, At: q.At,
	}
}
