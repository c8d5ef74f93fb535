package server

import (
	"context"
	"time"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// accountedFor is how far back a site's accounting is compared where nobody says.
const accountedFor = 30 * 24 * time.Hour

func (s *server) reconcileSite(ctx context.Context, in *struct {
	SitePath
	Since time.Time `query:"since" doc:"default: 30 days ago"`
}) (*body[v1.SiteReconciliation], error) {
	out := v1.SiteReconciliation{Site: in.Name, Since: in.Since, Until: s.Clock().UTC().Round(0), Attempts: []v1.SiteUse{}}
	if in.Since.IsZero() {
		out.Since = out.Until.Add(-accountedFor).Truncate(time.Second)
	}
	used, err := s.Loop.Accounting(ctx, in.Name, out.Since)
	if err != nil {
		return nil, err
	}
	err = s.Store.View(ctx, func(tx store.Tx) error {
		attempts, err := attemptsOn(tx, in.Name)
		if err != nil {
			return err
		}
		compared, err := ledger.Compare(attempts, LedgerFilter{}.source(tx), used, out.Since, out.Until)
		for _, c := range compared {
			out.Attempts = append(out.Attempts, wireComparison(c))
		}
		return err
	})
	return answer(out), err
}

func attemptsOn(tx store.Tx, site string) ([]fleet.Attempt, error) {
	all, err := allAttempts(tx)
	var there []fleet.Attempt
	for _, a := range all {
		if a.Site == site {
			there = append(there, a)
		}
	}
	return there, err
}

func wireComparison(c ledger.Comparison) v1.SiteUse {
	use := v1.SiteUse{
		Verdict: string(c.Verdict), Key: c.Key, Run: c.Run, Attempt: c.Attempt, Jobs: append([]string{}, c.Jobs...), Live: c.Live,
		Booked: wireSeconds(c.Booked), Used: wireSeconds(c.Used), Apart: wireSeconds(c.Apart),
	}
	if c.Priced {
		stake := wireAmount(c.Stake)
		use.AtStake = &stake
	}
	return use
}

// wireSeconds is a time to the millisecond.
func wireSeconds(h *ledger.Hours) v1.Decimal { return v1.Decimal(h.Seconds().FloatString(3)) }
