package calibrate

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/estimate/measured"
)

func shipped(t *testing.T, few bool) []Case {
	t.Helper()
	rows, _ := measured.TrainingRows(measured.Embedded().Training)
	cases := TrainingCases(rows, estimate.Default())
	if few {
		var some []Case
		for i := 0; i < len(cases); i += 8 {
			some = append(some, cases[i])
		}
		return some
	}
	return cases
}

func TestTheSameRowsGiveTheSameConstants(t *testing.T) {
	kind := TrainingKind()
	kind.Rounds = 3
	fit := func() string {
		k := Fit(kind, shipped(t, true), nil)
		round(&k)
		data, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if diff := cmp.Diff(fit(), fit()); diff != "" {
		t.Error(diff)
	}
}

// Constants are in reach of their priors, and effects small: nothing is bent.
func TestConstantsAreNearTheirPriors(t *testing.T) {
	for name, kind := range map[string]struct {
		table []estimate.Global
		k     estimate.KindConstants
	}{"training": {estimate.TrainingGlobals(), estimate.Default().Training}, "serving": {estimate.ServingGlobals(), estimate.Default().Serving}} {
		for _, g := range kind.table {
			if v := kind.k.Globals[g.Name]; v <= 0 || v/g.Prior > 10 || v/g.Prior < 0.1 {
				t.Errorf("%s: %s is %v, far from its prior %v", name, g.Name, v, g.Prior)
			}
		}
		for node, v := range kind.k.Effects {
			if v > 0.7 || v < -0.7 {
				t.Errorf("%s: the effect of %s is %v", name, node, v)
			}
		}
	}
}

// A user whose Trainium2 runs a known factor slower than predicted sees that
// most of it is learned from four rows.
func TestOwnRowsImproveTheirChip(t *testing.T) {
	var text strings.Builder
	text.WriteString("source,model,seq_len,global_batch_seqs,chip,chips,precision,tp,pp,step_s,notes\n")
	for _, chips := range []string{"16", "32", "64", "128"} {
		text.WriteString("ours,llama-3.1-8b,8192,256,trn2," + chips + ",bf16,8,1,@,mbs=1\n")
	}
	tab, err := measured.ReadTable(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	var own measured.Own
	for _, r := range tab.Rows {
		row, err := measured.ReadTraining(r)
		if err != nil {
			t.Fatal(err)
		}
		step, err := row.Predict(estimate.Default())
		if err != nil {
			t.Fatal(err)
		}
		row.Seconds = step.Seconds * 1.4
		own.Training = append(own.Training, row)
	}
	after, changes := WithOwn(own)
	if len(changes) != 1 || changes[0].Rows != 4 || changes[0].After > changes[0].Before/2 {
		t.Errorf("got %+v", changes)
	}
	if after.Training.Rows["chip:Trainium2"] != 4 {
		t.Errorf("rows behind Trainium2: %d", after.Training.Rows["chip:Trainium2"])
	}
}

func TestLeavingOutIsDoneByGroup(t *testing.T) {
	kind := TrainingKind()
	kind.Rounds = 2
	cases := shipped(t, true)
	k := Fit(kind, cases, nil)
	out := HoldOut(kind, cases, &k, ByPublication)
	worse := 0.0
	for i := range cases {
		in := cases[i].Residual(&k)
		worse += out[i]*out[i] - in*in
	}
	if worse <= 0 {
		t.Errorf("rows that were left out are predicted better than fitted ones: %v", worse)
	}
}

// A row of nonsense must not move the fit far.
func TestOneWrongRowHardlyMatters(t *testing.T) {
	kind := TrainingKind()
	kind.Rounds = 6
	cases := shipped(t, true)
	good := Fit(kind, cases, nil)
	cases[3].Log += 3
	bad := Fit(kind, cases, nil)
	for _, g := range kind.Globals {
		if ratio := bad.Globals[g.Name] / good.Globals[g.Name]; ratio > 1.3 || ratio < 0.77 {
			t.Errorf("%s moved by a factor of %.2f", g.Name, ratio)
		}
	}
}
