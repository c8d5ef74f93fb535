package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/client"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

func serve(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, "secret")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestProblemsKeepTheirKindAndFaults(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		kind   fault.Kind
		text   string
		faults int
	}{
		{422, `{"status":422,"detail":"a.yaml:1:2: no","kind":"invalid","faults":[{"file":"a.yaml","line":1,"column":2,"message":"no"}]}`, fault.Invalid, "a.yaml:1:2: no", 1},
		{422, `{"status":422,"detail":"validation failed","errors":[{"location":"body.grace","message":"too long"}]}`, fault.Invalid, "validation failed; body.grace: too long", 0},
		{404, `{"status":404,"detail":"no run","kind":"not found"}`, fault.NotFound, "no run", 0},
		{503, `{"status":503,"detail":"disk is full","kind":"transient"}`, fault.Transient, "disk is full", 0},
		{502, "<html>proxy</html>", fault.Internal, "the server answered 502 Bad Gateway: <html>proxy</html>", 0},
	} {
		cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer secret" {
				t.Error("no token was sent")
			}
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		})
		_, err := cl.Run(context.Background(), "x")
		var problem *v1.Problem
		if !errors.As(err, &problem) || !fault.Is(err, c.kind) || err.Error() != c.text || len(problem.Faults) != c.faults {
			t.Errorf("%d %s: %v (%s)", c.status, c.body, err, fault.KindOf(err))
		}
		if client.Unreachable(err) {
			t.Errorf("%d: a server that answered counts as unreachable", c.status)
		}
	}
}

func TestWhatIsCutShortIsUnreachable(t *testing.T) {
	cl := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(`{"id":`))
	})
	if _, err := cl.Run(context.Background(), "x"); !client.Unreachable(err) {
		t.Errorf("an answer that was cut short: %v", err)
	}
	if err := cl.Backup(context.Background(), &strings.Builder{}); !client.Unreachable(err) {
		t.Errorf("a backup that was cut short: %v", err)
	}
	if _, err := cl.Log(context.Background(), "x", client.LogPosition{}, time.Second); !client.Unreachable(err) {
		t.Errorf("a log that was cut short: %v", err)
	}
	gone, err := client.New("127.0.0.1:1", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Health(context.Background()); !client.Unreachable(err) || !fault.Is(err, fault.Transient) {
		t.Errorf("no server: %v", err)
	}
}

func TestAddressesAreChecked(t *testing.T) {
	for _, address := range []string{"", "ftp://x", "http://", "http://a b"} {
		if _, err := client.New(address, ""); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
}
