package server

import (
	"math/big"
	"strings"
	"time"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/units"
)

func wireAmount(a units.Amount) v1.Money {
	return v1.Money{Amount: v1.Decimal(a.Decimal()), Currency: string(a.Currency)}
}

func wireRate(r units.Rate) v1.Money {
	return v1.Money{Amount: v1.Decimal(r.Decimal()), Currency: string(r.Currency)}
}

// wireRun is a run with what its attempts add to it. directory is where runs on
// this machine keep their checkpoints.
func wireRun(run fleet.Run, attempts []fleet.Attempt, now time.Time, directory string) (v1.Run, error) {
	out := v1.Run{
		ID: run.ID, Name: run.Name, Kind: run.Kind, Project: run.Project, Priority: run.Priority,
		State: string(run.State), StopAsked: run.StopAsked, Submitted: run.Submitted, Ended: run.Ended,
		NotBefore: run.NotBefore, ExitCode: run.ExitCode, Failures: run.Failures, Reason: run.Reason,
		Attempts: len(attempts), Cost: wireAmount(units.Amount{Currency: units.USD}), Rate: wireAmount(units.Amount{Currency: units.USD}),
		Target: run.Target,
	}
	if len(attempts) == 0 {
		return out, nil
	}
	var cost units.Amount
	for _, a := range attempts {
		if out.Started.IsZero() {
			out.Started = a.Started
		}
		var err error
		if cost, err = cost.Add(ledger.Accrued(a, now)); err != nil {
			return out, err
		}
		out.CostImputed = out.CostImputed || a.Imputed
		if p := wireProgress(a.Progress); p != nil {
			out.Progress = p
		}
	}
	last := attempts[len(attempts)-1]
	out.Pool, out.Chip, out.Chips = last.Pool, last.Chip, last.Chips
	out.Checkpoints = placeOf(last, directory)
	if !last.State.Final() {
		out.SlowRanks = wireSlow(last.Slow, fleet.SlowRank.IsSlow)
	}
	out.Cost, out.Rate = wireAmount(cost), wireAmount(last.Rate.ForHours(last.Nodes, time.Hour))
	return out, nil
}

// placeOf is where an attempt keeps its checkpoints, without the options of its
// store; "" where its site alone knows.
func placeOf(a fleet.Attempt, directory string) string {
	switch {
	case a.Store != "":
		return plain(a.Store)
	case a.Site == site.Local:
		return directory
	}
	return ""
}

func wireSlow(ranks []fleet.SlowRank, which func(fleet.SlowRank) bool) []v1.SlowRank {
	var out []v1.SlowRank
	for _, s := range ranks {
		if which(s) {
			out = append(out, v1.SlowRank{
				Rank: s.Rank, Node: s.Node, Measure: string(s.Measure), Seconds: s.Seconds, Others: s.Others,
				Since: s.Since, Until: s.Until, Spells: s.Spells, Text: s.Text(),
			})
		}
	}
	return out
}

func wireProgress(p fleet.Progress) *v1.Progress {
	if p.At.IsZero() && p.Step == 0 {
		return nil
	}
	return &v1.Progress{
		At: p.At, Step: p.Step, Steps: p.Steps, Loss: finite(p.Loss), Tokens: p.Tokens,
		TokensPerSecond: finite(p.TokensPerSecond), CheckpointStep: p.CheckpointStep,
		EvalLoss: finite(p.EvalLoss), BaselineLoss: finite(p.BaselineLoss), LossNaNSince: p.LossNaNSince,
	}
}

func wireAttempt(a fleet.Attempt, now time.Time) v1.Attempt {
	return v1.Attempt{
		Number: a.Number, Epoch: a.Epoch, Pool: a.Pool, State: string(a.State), Nodes: a.Nodes, Ranks: a.Ranks,
		Chip: a.Chip, Chips: a.Chips, Cores: a.Cores, Rate: wireAmount(a.Rate.ForHours(a.Nodes, time.Hour)), Created: a.Created, Started: a.Started, Ended: a.Ended,
		ExitCode: a.Exit, Reason: a.Reason, Cost: wireAmount(ledger.Accrued(a, now)), Imputed: a.Imputed,
		Progress: wireProgress(a.Progress), SlowRanks: wireSlow(a.Slow, func(fleet.SlowRank) bool { return true }),
	}
}

func wireDecision(d fleet.Decision) v1.Decision {
	reasons := d.Reasons
	if reasons == nil {
		reasons = []string{}
	}
	return v1.Decision{At: d.At, Verb: d.Verb, Subject: d.Subject, Reasons: reasons}
}

func wirePool(p fleet.Pool) v1.Pool {
	out := v1.Pool{
		ID: p.ID(), Site: p.Site, Name: p.Name, Provider: p.Provider, Region: p.Region, InstanceType: p.InstanceType,
		Option: p.Option, Family: p.Family, Chip: p.Chip, ChipsPerNode: p.ChipsPerNode, Nodes: p.Nodes, MaxNodes: p.MaxNodes, OthersNodes: p.Others,
		Cores: p.Cores, Memory: p.Memory, Rate: wireRate(p.Rate), Imputed: p.Imputed, RateSource: p.RateSource,
		Unpriced: p.Unpriced, Draining: p.Draining, DispatchRate: wireRate(p.Rate),
	}
	if !p.Ends.IsZero() {
		out.Ends = &p.Ends
	}
	return out
}

func wireEntry(e ledger.Entry, marks ledger.Marks) v1.LedgerEntry {
	out := v1.LedgerEntry{
		ID: e.ID, Category: string(e.Category), Reverses: e.Reverses, Run: e.Run, Attempt: e.Attempt, Project: e.Project,
		Pool: e.Pool, Provider: e.Provider, Region: e.Region, InstanceType: e.InstanceType, Option: e.Option,
		Chipmaker: e.Chipmaker, Chip: e.Chip, From: e.From, To: e.To,
		Nodes: e.Nodes, Chips: e.Chips, Rate: wireRate(e.Rate), Imputed: e.Imputed, Cost: wireAmount(e.Cost),
		Booked: e.Booked, Note: e.Note, Billed: marks.Covers(e),
	}
	if !e.IsUse() {
		currency := e.Cost.Currency
		out.Charge = &v1.LedgerCharge{
			Contract: e.Contract, Clause: e.Clause, Kind: e.ClauseKind, Charge: e.Charge, Quantity: quantityText(e.Quantity),
			List: wireAmount(units.Amount{Micros: e.List, Currency: currency}), Effective: wireAmount(units.Amount{Micros: e.Effective, Currency: currency}),
		}
	}
	return out
}

// quantityText writes an exact quantity in at most twelve decimals, as FOCUS
// files have it.
func quantityText(exact string) v1.Decimal {
	r, ok := new(big.Rat).SetString(exact)
	if !ok {
		return "0"
	}
	text := r.FloatString(12)
	return v1.Decimal(strings.TrimRight(strings.TrimRight(text, "0"), "."))
}
