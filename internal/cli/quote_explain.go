package cli

import (
	"fmt"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/quote"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// explanation is where the time and money of one candidate go.
type explanation struct {
	Rank      int                        `json:"rank"`
	Candidate *scheduler.RankedCandidate `json:"candidate"`
	Run       []share                    `json:"run"`
	Step      []share                    `json:"step"`
}

type share struct {
	Part    string       `json:"part"`
	Seconds float64      `json:"seconds"`
	Share   float64      `json:"share"`
	Cost    units.Amount `json:"cost,omitzero"`
}

func (a *app) explain(q *quote.Quote, flags quoteFlags) error {
	if flags.explain < 1 || flags.explain > len(q.Candidates) {
		return fault.Newf(fault.Invalid, "--explain %d: there is no such candidate; valid: 1 to %d", flags.explain, len(q.Candidates))
	}
	c := q.Candidates[flags.explain-1]
	if c.TokensPerSecond == 0 {
		return fault.Newf(fault.Invalid, "candidate %d (%s) has no time or cost to explain: %s", flags.explain, where(c), strings.Join(c.Reasons, "; "))
	}
	e := explanation{Rank: flags.explain, Candidate: c}
	e.Run = shares(c.Whole)
	if err := bookShares(e.Run, c.Cost); err != nil {
		return err
	}
	e.Step = shares(c.Step)
	l := listing{
		document: e,
		columns: []column{
			{title: "WHERE IT GOES", field: "part"}, {title: "TIME", field: "seconds", number: true},
			{title: "SHARE", field: "share", number: true}, {title: "COST", field: "cost", number: true}, {title: "", field: "bar"},
		},
		before: explainHeader(flags.explain, c),
		after:  explainAfter(c),
	}
	for _, s := range e.Run {
		l.cells = append(l.cells, []string{s.Part, span(s.Seconds), fmt.Sprintf("%.1f%%", 100*s.Share), s.Cost.Short(), bar(s.Share)})
	}
	const least = 0.0005 // of the step: less shows as 0.0%; json has it
	for _, s := range e.Step {
		if s.Share < least {
			continue
		}
		l.cells = append(l.cells, []string{"  step: " + s.Part, brief(s.Seconds), fmt.Sprintf("%.1f%%", 100*s.Share), "", bar(s.Share)})
	}
	return a.print(l)
}

func shares(parts []scheduler.Part) []share {
	total := 0.0
	for _, p := range parts {
		total += p.Seconds
	}
	var list []share
	for _, p := range parts {
		if p.Seconds > 0 {
			list = append(list, share{Part: p.Name, Seconds: p.Seconds, Share: p.Seconds / total})
		}
	}
	return list
}

// bookShares splits the cost over the parts that are paid for, to the
// micro-unit.
func bookShares(parts []share, cost units.Amount) error {
	weights := make([]int64, len(parts))
	any := false
	for i, p := range parts {
		if p.Part != scheduler.PartWaiting {
			weights[i] = int64(p.Seconds * 1e3)
			any = any || weights[i] > 0
		}
	}
	if !any {
		return nil
	}
	split, err := cost.Allocate(weights)
	if err != nil {
		return err
	}
	for i := range parts {
		parts[i].Cost = split[i]
	}
	return nil
}

// brief is the time of a part of a step for people.
func brief(seconds float64) string {
	switch {
	case seconds >= 0.9995:
		return fmt.Sprintf("%.2f s", seconds)
	case seconds >= 1e-4:
		return fmt.Sprintf("%.3g ms", seconds*1e3)
	}
	return fmt.Sprintf("%.2f µs", seconds*1e6)
}

func bar(share float64) string { return strings.Repeat("█", int(share*30+0.5)) }

func explainHeader(rank int, c *scheduler.RankedCandidate) string {
	p := c.Parallelism
	if s := c.Served; s != nil {
		return fmt.Sprintf("%d  %s · %s %s on %s nodes · %d replicas of tp %d, pp %d · %.3g requests/s at the SLO\n"+
			"first token %s, %s per further token · %s an hour (%s to %s, 80%%) · %s per node-hour at list, %s at the margin\n\n",
			rank, where(c), units.Grouped(int64(c.Chips)), c.Chip, units.Grouped(int64(c.Nodes)), s.Replicas, p.TP, p.PP, s.RequestsPerSec,
			milliseconds(s.TTFT), milliseconds(s.TPOT), c.Cost.Short(), c.CostLow.Short(), c.CostHigh.Short(),
			short(scheduler.Decimal{Rate: c.ListRate}), short(scheduler.Decimal{Rate: c.MarginalRate}))
	}
	return fmt.Sprintf("%d  %s · %s %s on %s · dp %d, tp %d, pp %d, ep %d, cp %d, micro-batch %d\n"+
		"%s tok/s · %s · %s (%s to %s, 80%%) · %s per node-hour at list, %s at the margin\n\n",
		rank, where(c), units.Grouped(int64(c.Chips)), c.Chip, plural(c.Nodes, "node", "nodes"), p.DP, p.TP, p.PP, p.EP, p.CP, p.MicroBatch,
		rate(c.TokensPerSecond), span(c.Seconds), c.Cost.Short(), c.CostLow.Short(), c.CostHigh.Short(), hourly(c.ListRate), hourly(c.MarginalRate))
}

// hourly is a price of an hour for people, to the cent and below it where the
// rate has more digits.
func hourly(r units.Rate) string { return units.AmountOfRat(r.Rat(), r.Currency).Short() }

func explainAfter(c *scheduler.RankedCandidate) string {
	if len(c.Reasons) == 0 {
		return ""
	}
	return "\n" + strings.Join(c.Reasons, "\n") + "\n"
}
