package server

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/quote"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Quoter answers what a workload file would cost at every place, connected
// pools included.
type Quoter func(ctx context.Context, file string, content []byte) (*quote.Quote, error)

// describeQuotes makes the API's description say how quotes look on the wire:
// the types of deciding code write themselves as money and numbers.
func describeQuotes(registry huma.Registry) {
	money := reflect.TypeFor[v1.Money]()
	registry.RegisterTypeAlias(reflect.TypeFor[units.Amount](), money)
	registry.RegisterTypeAlias(reflect.TypeFor[units.Rate](), money)
	registry.RegisterTypeAlias(reflect.TypeFor[scheduler.Decimal](), floatType)
	registry.RegisterTypeAlias(reflect.TypeFor[time.Duration](), floatType)
}

func (s *server) routeQuotes(api huma.API) {
	route(api, http.MethodPost, "/v1/quotes", "quote", "The merit order of a workload: every offer and connected pool by what it would cost there", s.quote)
	route(api, http.MethodPost, "/v1/prices", "price-pool", "What nodes of a pool cost a run that comes to it, contracts in force considered", s.price)
}

func (s *server) price(ctx context.Context, in *struct{ Body v1.PriceRequest }) (*body[v1.PriceAnswer], error) {
	site, _, _ := strings.Cut(in.Body.Pool, "/")
	pools, err := s.Loop.SitePools(ctx, site)
	at := slices.IndexFunc(pools, func(p fleet.Pool) bool { return p.ID() == in.Body.Pool })
	if at < 0 && err != nil {
		return nil, err
	}
	if at < 0 {
		return nil, fault.Newf(fault.NotFound, "no connected pool is %q (yard sites)", in.Body.Pool)
	}
	prices, err := s.Loop.PoolPrices(ctx)
	if err != nil {
		return nil, err
	}
	price := prices(pools[at], in.Body.Project)
	if price.Of != nil {
		price = price.Of(in.Body.Nodes, time.Duration(in.Body.Seconds*float64(time.Second)))
	}
	return answer(v1.PriceAnswer{Rate: wireRate(price.List), DispatchRate: wireRate(price.Marginal), Reason: price.Reason, Contracts: price.Contracts}), nil
}

func (s *server) quote(ctx context.Context, in *struct{ Body v1.QuoteRequest }) (*body[*quote.Quote], error) {
	if s.Quote == nil {
		return nil, fault.New(fault.Internal, "this control plane does not quote")
	}
	q, err := s.Quote(ctx, in.Body.File, []byte(in.Body.Content))
	if err != nil {
		return nil, err
	}
	return answer(q), nil
}
