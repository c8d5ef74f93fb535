package server

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/clock"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/reconcile"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// Services is what the handlers work with. Fields are needed unless they say
// otherwise.
type Services struct {
	Store       store.Store
	Loop        *reconcile.Loop
	Sites       *reconcile.Sites
	Clock       clock.Clock
	Log         *slog.Logger
	Checkpoints func(run string) string
	Version     string
	PID         int
	Metrics     http.Handler // may be nil
	Touched     func()       // called at every request; may be nil
	Quote       Quoter
	Settle      func(context.Context) // bills the ledger up to now; may be nil
	InForce     InForce
	Audit       func(context.Context) ([]ledger.Problem, error) // bills the ledger from nothing, to compare; may be nil
}

// server is the handlers' state: their services, and one lock.
type server struct {
	Services
	forces sync.Mutex // one change of what is in force at a time
}

// New returns the API as a handler that trusts its callers; see RequireToken.
func New(services Services) http.Handler {
	mux := http.NewServeMux()
	newAPI(mux, services)
	if services.Metrics != nil {
		mux.Handle("GET /metrics", services.Metrics)
	}
	if services.Touched == nil {
		return mux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		services.Touched()
		mux.ServeHTTP(w, r)
	})
}

//go:generate go test -run TestOpenAPIIsUpToDate . -update

// OpenAPI returns the API's description as YAML, generated from the handlers.
func OpenAPI(version string) ([]byte, error) {
	return newAPI(http.NewServeMux(), Services{Version: version}).OpenAPI().YAML()
}

// maxBody bounds a request, in bytes: a workload file may be large nonsense,
// which is refused by its parser, with a reason, rather than here.
const maxBody = 32 << 20

func newAPI(mux *http.ServeMux, services Services) huma.API {
	config := huma.DefaultConfig("Switchyard", services.Version)
	config.CreateHooks = nil // no $schema fields in answers
	config.DocsPath = ""     // its page would load scripts from elsewhere
	config.SchemasPath = ""
	config.Transformers = append(config.Transformers, boundProblem)
	config.OnAddOperation = append(config.OnAddOperation, documentProblems)
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "the content of the file `token` in the state directory; not needed on the unix socket"},
	}
	config.Security = []map[string][]string{{"token": {}}}
	config.Components.Schemas.RegisterTypeAlias(decimalType, floatType)
	describeQuotes(config.Components.Schemas)
	api := humago.New(mux, config)
	s := &server{Services: services}
	s.routeRuns(api)
	s.routeMoves(api)
	s.routeLogs(api)
	s.routePlaces(api)
	s.routeInForce(api)
	s.routeLedger(api)
	s.routeQuotes(api)
	s.routeState(api)
	return api
}

// route registers one operation whose failures become problems.
func route[In, Out any](api huma.API, method, path, id, summary string, handle func(context.Context, *In) (*Out, error)) {
	operation := huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, MaxBodyBytes: maxBody}
	huma.Register(api, operation, func(ctx context.Context, in *In) (*Out, error) {
		out, err := handle(ctx, in)
		if err != nil && ctx.Err() != nil {
			// The control plane ends, or the caller left. Without an answer a
			// client asks the next control plane of the state directory.
			panic(http.ErrAbortHandler)
		}
		if err != nil {
			return nil, Problem(err)
		}
		return out, nil
	})
}

// body is an answer with a JSON body.
type body[T any] struct{ Body T }

func answer[T any](value T) *body[T] { return &body[T]{value} }

func (s *server) routeState(api huma.API) {
	route(api, http.MethodGet, "/healthz", "health", "Whether the control plane answers", s.health)
	route(api, http.MethodGet, "/v1/backup", "backup", "A consistent copy of the state, as a file", s.backup)
}

func (s *server) health(ctx context.Context, _ *struct{}) (*body[v1.Health], error) {
	if err := s.Store.View(ctx, func(store.Tx) error { return nil }); err != nil {
		return nil, err
	}
	return answer(v1.Health{Status: "ok", Version: s.Version, PID: s.PID}), nil
}
