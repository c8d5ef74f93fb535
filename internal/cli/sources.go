package cli

import (
	"context"

	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// pools returns the connected pools.
func (a *app) pools(context.Context) ([]fleet.Pool, error) { return nil, nil }
