package cli

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// reconcileSite compares the ledger with what a site's own accounting says.
func (a *app) reconcileSite(cmd *cobra.Command, args []string, f reconcileFlags) error {
	for _, flag := range []string{"by", "tolerance", "against"} {
		if cmd.Flags().Changed(flag) {
			return fault.Newf(fault.Invalid, "--%s is about a bill, not about the accounting of a site", flag)
		}
	}
	if len(args) > 0 {
		return fault.New(fault.Invalid, "either a bill or --site: they are compared one at a time")
	}
	var since time.Time
	if f.since != "" {
		var err error
		if since, err = contract.ParseInstant(f.since); err != nil {
			return fault.Newf(fault.Invalid, "--since: %s", err)
		}
	}
	return a.with(cmd.Context(), func(p *plane) error {
		found, err := p.ReconcileSite(cmd.Context(), f.site, since)
		if err != nil {
			return err
		}
		return a.print(siteListing(found))
	})
}

// siteListing shows what does not match; the others are counted.
func siteListing(found v1.SiteReconciliation) listing {
	l := listing{document: found, exact: [][]string{}, columns: []column{
		{"VERDICT", "verdict", false}, {"ATTEMPT", "key", false}, {"JOBS", "jobs", false}, {"LEDGER", "booked_node_seconds", true},
		{"SITE", "site_node_seconds", true}, {"APART", "apart_node_seconds", true}, {"AT STAKE", "at_stake", true},
	}}
	sums := map[string]*verdictSum{}
	for _, use := range found.Attempts {
		sum := sums[use.Verdict]
		if sum == nil {
			sum = &verdictSum{}
			sums[use.Verdict] = sum
		}
		sum.add(use)
		jobs, stake, exact := strings.Join(use.Jobs, " "), "", ""
		if use.AtStake != nil {
			stake, exact = showMoney(*use.AtStake), exactMoney(*use.AtStake)
		}
		l.exact = append(l.exact, []string{use.Verdict, use.Key, jobs, string(use.Booked), string(use.Used), string(use.Apart), exact})
		if use.Verdict != string(ledger.Matched) {
			l.cells = append(l.cells, []string{
				use.Verdict, use.Key, cmp.Or(jobs, "-"), nodeSeconds(use.Booked), nodeSeconds(use.Used), nodeSeconds(use.Apart), cmp.Or(stake, "-"),
			})
		}
	}
	l.after = siteSummary(found, sums)
	if len(l.cells) == 0 {
		l.page = l.after // no table without lines
	}
	return l
}

// verdictSum is the attempts of one verdict, and what is at stake in them, for
// whomever: what one attempt has too much makes up for no other's too little.
type verdictSum struct {
	attempts, unpriced int
	stakes             []units.Amount // one of each currency
}

func (s *verdictSum) add(use v1.SiteUse) {
	s.attempts++
	if use.AtStake == nil {
		s.unpriced++
		return
	}
	amount, err := units.ParseAmount(string(use.AtStake.Amount), units.Currency(use.AtStake.Currency))
	if err != nil {
		return // of a server that writes amounts otherwise
	}
	if amount.Micros < 0 {
		amount = amount.Neg()
	}
	for i, stake := range s.stakes {
		if sum, err := stake.Add(amount); err == nil {
			s.stakes[i] = sum
			return
		}
	}
	s.stakes = append(s.stakes, amount)
}

func (s *verdictSum) String() string {
	var parts []string
	for _, stake := range s.stakes {
		parts = append(parts, showMoney(v1.Money{Amount: v1.Decimal(stake.Decimal()), Currency: string(stake.Currency)}))
	}
	if s.unpriced > 0 {
		parts = append(parts, fmt.Sprintf("%d without a rate", s.unpriced))
	}
	return fmt.Sprintf("%d (%s)", s.attempts, strings.Join(parts, ", "))
}

func siteSummary(found v1.SiteReconciliation, sums map[string]*verdictSum) string {
	var parts []string
	for _, verdict := range ledger.Verdicts() {
		switch sum := sums[string(verdict)]; {
		case sum == nil:
		case verdict == ledger.Matched:
			parts = append(parts, fmt.Sprintf("matched %d", sum.attempts))
		default:
			parts = append(parts, string(verdict)+" "+sum.String())
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing to compare"}
	}
	text := fmt.Sprintf("%s since %s: %s\n", found.Site, stampHour(found.Since.UTC()), strings.Join(parts, " · "))
	if sums[string(ledger.Missing)] != nil || sums[string(ledger.Extra)] != nil || sums[string(ledger.Different)] != nil {
		text = "\n" + text + "Times are node-seconds. What one was: yard runs RUN; what is booked of it: yard ledger RUN\n"
	}
	return text
}

// nodeSeconds rounds for people.
func nodeSeconds(exact v1.Decimal) string {
	whole, _, _ := strings.Cut(string(exact), ".")
	sign := ""
	if rest, negative := strings.CutPrefix(whole, "-"); negative {
		sign, whole = "-", rest
	}
	return sign + grouped(whole) + " s"
}
