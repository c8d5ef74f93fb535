package server

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fault"
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
