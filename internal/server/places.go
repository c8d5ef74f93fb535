package server

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

func (s *server) routePlaces(api huma.API) {
	s.routeSites(api)
	route(api, http.MethodGet, "/v1/quotas", "list-quotas", "The most chips that each project may hold at once", s.listQuotas)
	route(api, http.MethodPut, "/v1/quotas/{project}", "set-quota", "Set or remove the quota of a project", s.setQuota)
}

func (s *server) listQuotas(ctx context.Context, _ *struct{}) (*body[v1.QuotaList], error) {
	out := v1.QuotaList{Quotas: []v1.Quota{}}
	err := s.Store.View(ctx, func(tx store.Tx) error {
		quotas, err := tx.Quotas()
		if err != nil {
			return err
		}
		used, err := chipsByProject(tx)
		if err != nil {
			return err
		}
		for project, chips := range quotas {
			out.Quotas = append(out.Quotas, v1.Quota{Project: project, Chips: chips, Used: used[project]})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out.Quotas, func(a, b v1.Quota) int { return strings.Compare(a.Project, b.Project) })
	return answer(out), nil
}

func chipsByProject(tx store.Tx) (map[string]int, error) {
	live, err := tx.LiveAttempts()
	if err != nil {
		return nil, err
	}
	used := map[string]int{}
	for _, attempt := range live {
		run, err := tx.Run(attempt.Run)
		if err != nil {
			return nil, err
		}
		used[run.Project] += attempt.Chips
	}
	return used, nil
}

func (s *server) setQuota(ctx context.Context, in *struct {
	Project string `path:"project" minLength:"1" maxLength:"100"`
	Body    v1.QuotaChange
}) (*body[v1.QuotaList], error) {
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		quotas, err := tx.Quotas()
		if err != nil {
			return err
		}
		if _, known := quotas[in.Project]; !known || in.Body.Chips >= 0 { // any that is there can be removed
			if err := workload.CheckStanding(in.Project, 0); err != nil {
				return err
			}
		}
		return tx.PutQuota(in.Project, in.Body.Chips)
	})
	if err != nil {
		return nil, err
	}
	s.Loop.Kick()
	return s.listQuotas(ctx, nil)
}
