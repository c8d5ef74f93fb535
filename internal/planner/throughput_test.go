package planner_test

import (
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/plan"
	"github.com/switchyard-ai/switchyard/internal/planner"
	"github.com/switchyard-ai/switchyard/internal/units"
)

func TestAServiceIsEstimatedAtItsSLO(t *testing.T) {
	offers, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	tokens := planner.Estimated(offers, estimate.Default())
	service := plan.Estimate{Model: "llama-3-8b", Input: 1000, Output: 200}
	rate := func(chip string, tpot time.Duration) float64 {
		service.TPOT = units.Duration(tpot)
		rate, err := tokens(service, chip)
		if err != nil {
			t.Fatalf("%s: %v", chip, err)
		}
		return rate
	}
	loose, tight, none := rate("H100", 200*time.Millisecond), rate("H100", 15*time.Millisecond), rate("H100", time.Microsecond)
	if !(loose >= tight && tight > 0 && none == 0) {
		t.Errorf("%.0f tokens an hour at 200 ms a token, %.0f at 15 ms, %.0f at 1 µs", loose, tight, none)
	}
	if h200 := rate("H200", 15*time.Millisecond); h200 <= tight {
		t.Errorf("H200 serves %.0f tokens an hour and H100 %.0f", h200, tight)
	}
	if trainium := rate("Trainium2", 200*time.Millisecond); trainium <= 0 {
		t.Errorf("Trainium2 serves %.0f tokens an hour", trainium)
	}
}

func TestAnEstimateIsOfATrainingOrOfAService(t *testing.T) {
	const text = "kind: Portfolio\nname: e\nhorizon: {from: 2026-01-01, to: 2026-02-01}\ndemand: [{name: w, class: inference, rate: 1, estimate: {model: llama-3-8b, ESTIMATE}}]\noffers: [{name: a, provider: a, chip: H100, price: 1}]\n"
	for fields, want := range map[string]string{
		"input: 10, output: 10, chips: 8": "a service input and output",
		"sequence: 4096":                  "a training needs sequence, batch and chips",
		"input: 1000, output: 10":         "",
	} {
		_, err := plan.Parse("e.yaml", []byte(strings.Replace(text, "ESTIMATE", fields, 1)), plan.Choice{})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", fields, err, want)
		}
	}
}
