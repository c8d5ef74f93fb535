package cli

import (
	"net/http/httptest"
	"strings"
	"testing"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/client"
)

// Who is told only that the server is gone would submit a run twice.
func TestLostServerNamesTheRunItTook(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	c, err := client.New(gone.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Health(t.Context())
	var run v1.RunDetail
	run.ID = "short-0204"
	err = submitted(run, err)
	if err == nil || !client.Unreachable(err) || !strings.Contains(err.Error(), "run short-0204 was submitted; follow it: yard logs -f short-0204") {
		t.Errorf("got %v", err)
	}
	if err := submitted(run, exitError(3)); err != exitError(3) {
		t.Errorf("another fault becomes %v", err)
	}
}

func TestVerdictWithoutUse(t *testing.T) {
	for want, verdict := range map[string]v1.LedgerVerdict{
		"the ledger balances: 14 entries, none of a run's use yet\n14 entries of bills stand once each, as the contracts in force make them\n": {Entries: 14, Charges: 14},
		"the ledger is empty: nothing to prove\n": {},
		"wrong\n1 problem\n":                      {Entries: 14, Problems: []string{"wrong"}},
	} {
		if got := verdictText(verdict); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
