package client

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
)

// A stream of the ledger that lacks its end was cut short: no one may take it
// for the whole.
func TestLedgerStream(t *testing.T) {
	for text, want := range map[string]struct {
		lines int
		cut   bool
	}{
		`{"entry":{"id":1}}` + "\n" + `{"entry":{"id":2}}` + "\n" + `{"end":2}` + "\n": {2, false},
		`{"end":0}` + "\n": {0, false},
		`{"entry":{"id":1}}` + "\n" + `{"entry":{"id":2}}` + "\n": {2, true},
		`{"entry":{"id":1}}` + "\n" + `{"entry":{"i`:              {1, true},
		"": {0, true},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, text) }))
		c, err := New(server.URL, "")
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		err = c.EachLedgerEntry(context.Background(), "", func(v1.LedgerEntry) error {
			lines++
			return nil
		})
		if lines != want.lines || Unreachable(err) != want.cut || err != nil != want.cut {
			t.Errorf("%q: %d lines, %v", text, lines, err)
		}
		server.Close()
	}
}
