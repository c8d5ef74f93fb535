package reconcile

import (
	"context"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// Accounting is what a site's own accounting says that its gangs used since a
// time; fault.Invalid of a site that keeps none.
func (l *Loop) Accounting(ctx context.Context, name string, since time.Time) ([]fleet.Used, error) {
	place, err := l.Sites.Find(name)
	if err != nil {
		return nil, err
	}
	eng, err := l.Sites.Engine(name)
	if err != nil {
		return nil, err
	}
	accountant, able := eng.(engine.Accountant)
	if !able {
		return nil, fault.Newf(fault.Invalid, "site %s (engine %s) keeps no accounting of its own; a provider's bill can be compared: yard ledger reconcile BILL", name, place.Engine)
	}
	used, err := accountant.Used(ctx, since)
	if fault.Is(err, fault.NotFound) {
		err = fault.Wrap(fault.NotFound, err, "site "+name)
	}
	return used, err
}
