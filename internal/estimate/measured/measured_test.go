package measured

import (
	"math"
	"sort"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/estimate"
)

func table(t testing.TB, text string) *Table {
	t.Helper()
	tab, err := ReadTable(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func TestNumbersAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]float64{
		"1,024": 1024, "~30.5": 30.5, "~": 0, "": 0, "n/a": 0, "2k": 2000, "1.5M": 1.5e6, " 7 ": 7, "-3": 0, "NaN": 0, "Inf": 0, "x": 0, "45%": 45, "1e3": 1000,
	} {
		row := Row{Values: []string{text}, index: map[string]int{"v": 0}}
		if got := row.Number("v"); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

const someTraining = "\ufeffsource,model,layers,hidden,seq_len,global_batch_seqs,chip,chips,precision,tp,pp,dp,notes,mystery\n" +
	"ours,Llama-3.1-70B,,,8192,128,h100,64,fp8,4,4,2,cp=2; mbs=1;vp=5,x\n" +
	"ours,,32,4096,\"4,096\",~256,TPU-v5e,256,bf16,,,,per_device_batch=1\n" +
	"ours,Our-13B,40,5120,4096,512,trn2,64,bf16,~,~,~,\n" +
	"ours,Llama-3.1-70B,,,8192,128,H1000,64,fp8,,,,\n" +
	"ours,,,,8192,128,H100,64,fp8,,,,\n"

func TestTrainingRowsAreRead(t *testing.T) {
	tab := table(t, someTraining)
	first, err := ReadTraining(tab.Rows[0])
	if err != nil {
		t.Fatal(err)
	}
	f := first.Fixed
	if !first.Exact || f.TP != 4 || f.PP != 4 || f.CP != 2 || f.DP != 2 || f.MicroBatch != 1 || f.Interleave != 5 || first.Cluster.Chip.ID != "H100" || first.Job.Precision != chip.FP8 {
		t.Errorf("got %+v", first)
	}
	second, err := ReadTraining(tab.Rows[1])
	if err != nil {
		t.Fatal(err)
	}
	if second.Job.Seq != 4096 || second.Job.GlobalBatch != 256 || second.Fixed.DP != 256 || second.Fixed.ZeRO != 3 {
		t.Errorf("got %+v", second)
	}
	var statuses []string
	for _, row := range tab.Rows {
		cells := PredictTraining(row, estimate.Default())
		statuses = append(statuses, cells[len(cells)-2])
	}
	if got := strings.Join(statuses, " "); got != "measured measured extrapolated invalid invalid" {
		t.Errorf("statuses: %s", got)
	}
}

// What was measured must not reach the prediction.
func TestMeasuredColumnsAreNotLookedAt(t *testing.T) {
	files := Embedded()
	for _, kind := range []struct {
		table   *Table
		columns []string
		predict func(Row, *estimate.Constants) []string
	}{
		{files.Training, []string{"tflops_per_chip", "mfu", "tokens_per_s", "step_s"}, PredictTraining},
		{files.Inference, []string{"out_tokens_per_s", "total_tokens_per_s", "ttft_ms", "tpot_ms"}, PredictServing},
	} {
		for i := 0; i < len(kind.table.Rows); i += 7 {
			row := kind.table.Rows[i]
			hidden := Row{Line: row.Line, Values: append([]string(nil), row.Values...), index: row.index}
			for _, c := range kind.columns {
				if j, ok := row.index[c]; ok && j < len(hidden.Values) {
					hidden.Values[j] = ""
				}
			}
			a, b := kind.predict(row, estimate.Default()), kind.predict(hidden, estimate.Default())
			if strings.Join(a, "|") != strings.Join(b, "|") {
				t.Fatalf("line %d: %v with, %v without what was measured", row.Line, a, b)
			}
		}
	}
}

func median(v []float64) float64 {
	sort.Float64s(v)
	return v[len(v)/2]
}

// The figures that the shipped constants have to reach on the shipped rows.
func TestShippedRowsArePredictedWell(t *testing.T) {
	files := Embedded()
	training, _ := TrainingRows(files.Training)
	errors := map[string][]float64{}
	for _, row := range training {
		step, err := row.Predict(estimate.Default())
		if err != nil {
			t.Fatalf("line %d: %v", row.Row.Line, err)
		}
		class := "dense"
		if row.Job.Model.MoE != nil {
			class = "moe"
		}
		e := math.Abs(step.Seconds/row.Seconds - 1)
		errors[class] = append(errors[class], e)
		if row.Cluster.Chip.Maker == chip.AWS {
			errors["trainium"] = append(errors["trainium"], e)
		}
	}
	serving, _ := ServingRows(files.Inference)
	for _, row := range serving {
		s, err := row.Predict(estimate.Default())
		if err != nil {
			t.Fatalf("line %d: %v", row.Row.Line, err)
		}
		class := "serving dense"
		switch {
		case row.Cluster.Chip.Maker == chip.AWS:
			class = "serving neuron"
		case row.Job.Model.MoE != nil:
			class = "serving moe"
		}
		switch {
		case row.TPOT > 0:
			errors[class] = append(errors[class], math.Abs(s.TPOT/row.TPOT-1))
		case row.Output > 0:
			errors[class] = append(errors[class], math.Abs(row.Output/s.OutputPerSecond-1))
		}
	}
	for class, most := range map[string]float64{"dense": 0.08, "moe": 0.12, "trainium": 0.08, "serving dense": 0.09, "serving moe": 0.15, "serving neuron": 0.12} {
		if got := median(errors[class]); got > most {
			t.Errorf("%s: median error %.1f%% of %d rows, at most %.0f%% is wanted", class, 100*got, len(errors[class]), 100*most)
		}
	}
}

func TestEveryLeftOutRowSaysWhyAndFewAre(t *testing.T) {
	files := Embedded()
	_, a := TrainingRows(files.Training)
	_, b := ServingRows(files.Inference)
	all := len(files.Training.Rows) + len(files.Inference.Rows)
	if len(a)+len(b) > all*3/100 {
		t.Errorf("%d of %d rows are left out", len(a)+len(b), all)
	}
	for _, s := range append(a, b...) {
		if s.Reason == "" {
			t.Errorf("line %d is left out without a reason", s.Row.Line)
		}
	}
}

func TestServingRowsAreRead(t *testing.T) {
	tab := table(t, "source,model,chip,chips,tp,precision,engine,input_len,output_len,concurrency_or_batch,tpot_ms,notes\n"+
		"x,DeepSeek-R1,H200,8,1,fp8,trtllm 1.1,1024,1024,128,,attn_dp=8;moe_tp=1;moe_ep=8\n"+
		"x,Llama-2-13b,Inferentia2,12,24,bf16,transformers-neuronx,128,128,1,,static batch\n"+
		"x,Llama-3.1-70B + Llama-3.2-1B draft,H100,8,8,fp8,vllm,128,128,1,,\n")
	r1, err := ReadServing(tab.Rows[0])
	if err != nil || r1.Layout.AttnDP != 8 || r1.Layout.Replicas != 1 || r1.Job.Engine != "trtllm/1.1" {
		t.Errorf("got %+v, %v", r1, err)
	}
	neuron, err := ReadServing(tab.Rows[1])
	if err != nil || !neuron.Job.Static || neuron.Layout.TP != 24 {
		t.Errorf("got %+v, %v", neuron, err)
	}
	if cells := PredictServing(tab.Rows[2], estimate.Default()); cells[len(cells)-2] != Abstained {
		t.Errorf("got %v", cells)
	}
}

func TestSourcesOfOneSeries(t *testing.T) {
	a := Series("NVIDIA Megatron-Bridge docs performance-summary (25.09 container)")
	b := Series("NVIDIA Megatron-Bridge docs performance-summary (26.02.01 container)")
	if a != b || a == "" {
		t.Errorf("%q and %q", a, b)
	}
}

// Whatever a file holds, each row ends in a status and nothing panics.
func FuzzRows(f *testing.F) {
	f.Add(someTraining)
	f.Add("model,chip,chips,tp,input_len,output_len,concurrency_or_batch,notes\ngpt-oss-120b,H200,1,1,1024,1024,max,pp=3;attn_dp=7;moe_ep=900000\nLlama-3-8B,trn1,1,64,0,1,0,\n")
	f.Add("model,chip,chips,tp,pp,seq_len,global_batch_seqs,experts,active_experts,layers,hidden\n,H100,99999999,99999,99999,99999,9e8,99999,0,1,1\n,H100,7,3,5,1,1,,,3,3\n")
	f.Add("\"a")
	f.Add("chip\n\x00,\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 {
			return
		}
		tab, err := ReadTable(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, row := range tab.Rows {
			for _, cells := range [][]string{PredictTraining(row, estimate.Default()), PredictServing(row, estimate.Default())} {
				switch status := cells[len(cells)-2]; status {
				case string(estimate.Measured), string(estimate.Extrapolated):
				case Abstained, Invalid:
					if cells[len(cells)-1] == "" {
						t.Fatalf("%q without a reason", status)
					}
				default:
					t.Fatalf("status %q", status)
				}
			}
		}
	})
}

func TestCountsThatAreNoCountsAreInvalid(t *testing.T) {
	for _, chips := range []string{"0", "-4", "8.5"} {
		tab := table(t, "model,chip,chips,tp,input_len,output_len,concurrency_or_batch\nLlama-3-8B,H100,"+chips+",1,512,128,8\n")
		if _, err := ReadServing(tab.Rows[0]); err == nil || !strings.Contains(err.Error(), "chips: found") {
			t.Errorf("%s chips: %v", chips, err)
		}
	}
	if _, err := ReadTable(strings.NewReader("a,b\n1,2\n")); err == nil || !strings.Contains(err.Error(), "no column chip") {
		t.Errorf("a table of something else: %v", err)
	}
}
