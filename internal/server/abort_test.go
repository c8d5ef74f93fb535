package server

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// TestAnEndingServerLeavesRequestsUnanswered holds a request that the end of the
// server cut short to look like a server that is gone, not like a failure.
func TestAnEndingServerLeavesRequestsUnanswered(t *testing.T) {
	mux := http.NewServeMux()
	arrived := make(chan struct{})
	route(humago.New(mux, huma.DefaultConfig("test", "1")), http.MethodGet, "/slow", "slow", "", func(ctx context.Context, _ *struct{}) (*body[int], error) {
		close(arrived)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	ctx, end := context.WithCancel(t.Context())
	defer end()
	server := httptest.NewUnstartedServer(mux)
	server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	server.Start()
	defer server.Close()
	go func() {
		<-arrived
		end()
	}()
	response, err := http.Get(server.URL + "/slow")
	if err == nil {
		_ = response.Body.Close()
		t.Errorf("it answered %s", response.Status)
	}
}
