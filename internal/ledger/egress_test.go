package ledger

import (
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

func journey() Journey {
	return Journey{
		From: fleet.Pool{Site: "eks", Name: "p5", Provider: "aws", Region: "us-east-1"}, Bytes: 112_500_000_000,
		Rate: units.MustRate("0.09", units.USD), Source: "list", Began: start(), End: start().Add(time.Minute),
	}
}

func TestEgressIsBookedAndProved(t *testing.T) {
	a := attempt()
	e := EgressEntry(a, "lab", journey(), start())
	if e.Cost.Decimal() != "10.125000" || e.Provider != "aws" || e.IsCharge() || e.IsUse() || !strings.Contains(e.Note, "112.500 GB") {
		t.Errorf("%+v", e)
	}
	entries := numbered(append(whole(a), e)...)
	if report := verified(t, entries, a); len(report.Problems) > 0 {
		t.Errorf("%v", report.Problems)
	}
	withBack := numbered(append(whole(a), e, Reverse(entries[len(entries)-1], start(), "twice"))...)
	if report := verified(t, withBack, a); len(report.Problems) > 0 {
		t.Errorf("taken back: %v", report.Problems)
	}
	for name, crime := range map[string]func(*Entry){
		"cost":     func(e *Entry) { e.Cost.Micros++ },
		"quantity": func(e *Entry) { e.Quantity = "much" },
		"attempt":  func(e *Entry) { e.Attempt = 9 },
	} {
		wrong := e
		crime(&wrong)
		if report := verified(t, numbered(append(whole(a), wrong)...), a); len(report.Problems) == 0 {
			t.Errorf("%s: not found", name)
		}
	}
	if marks := (Marks{units.USD: {To: start().Add(time.Hour), Through: 100}}); marks.Covers(e) {
		t.Error("no charge stands for egress")
	}
}
