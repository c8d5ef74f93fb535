package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/units"
)

func (s *server) routeLedger(api huma.API) {
	route(api, http.MethodGet, "/v1/ledger/entries", "ledger-entries", "Lines of the ledger, in order", s.entries)
	huma.Register(api, huma.Operation{
		OperationID: "stream-ledger", Method: http.MethodGet, Path: "/v1/ledger/stream",
		Summary: "Lines of the ledger, in order, as a stream of JSON objects, one a line: {\"entry\": …}, and {\"end\": N} after the last",
	}, s.stream)
	route(api, http.MethodGet, "/v1/ledger/summary", "ledger-summary", "The ledger added up by one dimension", s.summary)
	route(api, http.MethodGet, "/v1/ledger/verify", "verify-ledger", "Prove that the ledger has no gap and no overlap, and balances", s.verify)
	route(api, http.MethodGet, "/v1/ledger/sites/{name}", "reconcile-site", "The ledger compared with a site's own accounting", s.reconcileSite)
}

// LedgerFilter selects lines of the ledger.
type LedgerFilter struct {
	Run     string `query:"run"`
	Project string `query:"project"`
}

func (f LedgerFilter) source(tx store.Tx) ledger.Source {
	return func(fn func(ledger.Entry) error) error {
		return tx.Entries(store.EntryFilter{Run: f.Run, Project: f.Project}, fn)
	}
}

func (s *server) entries(ctx context.Context, in *LedgerFilter) (*body[v1.LedgerEntries], error) {
	out := v1.LedgerEntries{Entries: []v1.LedgerEntry{}}
	s.settle(ctx)
	err := s.Store.View(ctx, func(tx store.Tx) error {
		marks, err := marksIn(tx)
		if err != nil {
			return err
		}
		return in.source(tx)(func(e ledger.Entry) error {
			out.Entries = append(out.Entries, wireEntry(e, marks))
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

// stream sends the lines of the ledger as they are read, all of one moment, so
// that neither side holds them.
func (s *server) stream(ctx context.Context, in *LedgerFilter) (*huma.StreamResponse, error) {
	s.settle(ctx)
	return &huma.StreamResponse{Body: func(out huma.Context) {
		out.SetHeader("Content-Type", "application/x-ndjson")
		const buffered = 64 << 10
		w := bufio.NewWriterSize(out.BodyWriter(), buffered)
		lines, sent := json.NewEncoder(w), 0
		err := s.Store.View(out.Context(), func(tx store.Tx) error {
			marks, err := marksIn(tx)
			if err != nil {
				return err
			}
			return in.source(tx)(func(e ledger.Entry) error {
				entry := wireEntry(e, marks)
				sent++
				return lines.Encode(v1.LedgerLine{Entry: &entry})
			})
		})
		if err == nil {
			err = lines.Encode(v1.LedgerLine{End: &sent})
		}
		if err = errors.Join(err, w.Flush()); err != nil && out.Context().Err() == nil {
			s.Log.Warn("the ledger's stream was cut short", "error", err)
		}
	}}, nil
}

func (s *server) summary(ctx context.Context, in *struct {
	LedgerFilter
	By string `query:"by" doc:"run, project, pool, provider, chipmaker, chip, day, contract or category"`
}) (*body[v1.LedgerSummary], error) {
	if in.By == "" {
		in.By = string(ledger.ByRun)
	}
	by, err := ledger.ParseBy(in.By)
	if err != nil {
		return nil, err
	}
	out := v1.LedgerSummary{By: in.By, Groups: []v1.LedgerGroup{}}
	s.settle(ctx)
	err = s.Store.View(ctx, func(tx store.Tx) error {
		marks, err := marksIn(tx)
		if err != nil {
			return err
		}
		rows, err := ledger.Summarize(in.source(tx), by, marks)
		if err != nil {
			return err
		}
		for _, row := range rows {
			out.Groups = append(out.Groups, wireRow(row))
		}
		total, err := ledger.Total(in.source(tx), marks)
		out.Total = wireRow(total)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

// settle brings the bill up to date before it is read.
func (s *server) settle(ctx context.Context) {
	if s.Settle != nil {
		s.Settle(ctx)
	}
}

func marksIn(tx store.Tx) (ledger.Marks, error) {
	text, err := tx.Setting(ledger.MarksSetting)
	if err != nil {
		return nil, err
	}
	return ledger.ParseMarks(text)
}

func wireRow(row ledger.Row) v1.LedgerGroup {
	return v1.LedgerGroup{
		Group: row.Group, Entries: row.Entries, NodeHours: v1.Decimal(row.NodeHours.String()),
		ChipHours: v1.Decimal(row.ChipHours.String()), Cost: wireAmounts(row.Cost), Imputed: wireAmounts(row.Imputed),
		Billed: wireAmounts(row.Billed), Effective: wireAmounts(row.Effective),
	}
}

func wireAmounts(amounts []units.Amount) []v1.Money {
	out := []v1.Money{}
	for _, a := range amounts {
		out = append(out, wireAmount(a))
	}
	return out
}

func (s *server) verify(ctx context.Context, _ *struct{}) (*body[v1.LedgerVerdict], error) {
	var out v1.LedgerVerdict
	s.settle(ctx)
	err := s.Store.View(ctx, func(tx store.Tx) error {
		attempts, err := allAttempts(tx)
		if err != nil {
			return err
		}
		report, err := ledger.Verify(LedgerFilter{}.source(tx), attempts)
		if err != nil {
			return err
		}
		out = v1.LedgerVerdict{
			Entries: report.Entries, Charges: report.Charges, Attempts: report.Attempts,
			Booked: wireAmounts(report.Booked), Computed: wireAmounts(report.Computed), Problems: []string{},
		}
		for _, p := range report.Problems {
			out.Problems = append(out.Problems, p.String())
		}
		return nil
	})
	if err != nil || s.Audit == nil {
		return answer(out), err
	}
	problems, err := s.Audit(ctx)
	for _, p := range problems {
		out.Problems = append(out.Problems, p.String())
	}
	return answer(out), err
}

func allAttempts(tx store.Tx) ([]fleet.Attempt, error) {
	runs, err := tx.Runs(store.RunFilter{})
	if err != nil {
		return nil, err
	}
	var all []fleet.Attempt
	for _, run := range runs {
		attempts, err := tx.Attempts(run.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, attempts...)
	}
	return all, nil
}
