package measured

import (
	"regexp"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Serving is a row of inference: what to predict, and what was measured.
type Serving struct {
	Row     Row
	Source  string
	Job     estimate.ServingJob
	Cluster estimate.Cluster
	Layout  estimate.Layout
	Assumed []string
	Whole   bool // its time per token includes the prefill
	First   bool // the row measures the first token alone

	TTFT, TPOT      float64 // measured, s; 0 where the row has none
	Output, Overall float64 // measured tokens/s: output, and input and output together
}

func servingMarks() []mark {
	return []mark{
		{"tensorrt-llm 0.17", "trtllm/0.17"},
		{"tensorrt-llm 0.9", "trtllm/0.9"},
		{"tensorrt-llm", "trtllm"},
		{"trtllm", "trtllm"},
		{"trt-llm", "trtllm"},
		{"sglang", "sglang"},
		{"nxd", "neuron/nxd"},
		{"transformers-neuronx", "neuron/tnx"},
		{"transformers neuron", "neuron/tnx"},
		{"neuron", "neuron"},
		{"optimum-habana", "gaudi"},
		{"gaudi", "gaudi"},
		{"jetstream", "jetstream"},
		{"maxtext", "jetstream"},
		{"vllm", "vllm"},
		{"lmdeploy", "lmdeploy"},
		{"tgi", "tgi"},
		{"text-generation-inference", "tgi"},
		{"deepspeed", "deepspeed"},
		{"mii", "deepspeed"},
		{"llama.cpp", "llamacpp"},
		{"ollama", "llamacpp"},
	}
}

// engine is the path of a row's serving engine.
func engine(column, source, note string, k *chip.Chip) string {
	path := findMark(servingMarks(), column, source)
	if path == "" {
		path = findMark(servingMarks(), note, "")
	}
	if v := versionMark.FindStringSubmatch(strings.ToLower(column)); v != nil && path != "" && !strings.Contains(path, "/") {
		path += "/" + v[1]
	}
	switch {
	case k.Family == chip.Neuron && !strings.HasPrefix(path, "neuron"):
		return "neuron"
	case path == "neuron/tnx" && strings.Contains(source+note, "old format"):
		return "neuron/tnx/old"
	}
	return path
}

// ReadServing turns a row into a case.
func ReadServing(row Row) (Serving, error) {
	s := Serving{Row: row, Source: row.Text("source")}
	k, err := chip.Find(row.Text("chip"))
	if err != nil {
		return s, err
	}
	note := row.Text("notes")
	if strings.Contains(row.Text("model"), " + ") || strings.Contains(strings.ToLower(note), "speculative decoding") {
		return s, fault.New(fault.NoCapacity, "speculative decoding with a draft model is not modelled")
	}
	m, guess, err := rowModel(row)
	if err != nil {
		return s, err
	}
	if guess != "" {
		s.Assumed = append(s.Assumed, guess)
	}
	if err := row.checkCount("chips"); err != nil {
		return s, err
	}
	s.Cluster = rowCluster(row, k, note)
	j := &s.Job
	j.Model, j.Precision = m, Precision(row.Text("precision"))
	if strings.Contains(strings.ToLower(row.Text("precision")), "int8") {
		j.Precision = chip.INT8
	}
	j.Engine = engine(row.Text("engine"), s.Source, note, k)
	j.Input, j.Output = row.Whole("input_len"), row.Whole("output_len")
	j.Rate = row.Number("rate_rps")
	j.Static = strings.Contains(strings.ToLower(row.Text("engine")+note), "static batch")
	s.Whole = strings.Contains(strings.ToLower(note), "includes prefill")
	s.layout(notes(note))
	s.load()
	s.measure()
	return s, nil
}

var versionMark = regexp.MustCompile(`^(?:vllm|sglang|trtllm|lmdeploy|tgi)[ v]*(\d+\.\d+)`)

// layout reads how a replica is spread. Attention runs on tp×attn_dp devices
// and experts on moe_tp×moe_ep of the same.
func (s *Serving) layout(extras map[string]string) {
	l := &s.Layout
	l.TP, l.PP, l.AttnDP = max(1, ranks(s.Row.Text("tp"))), max(1, ranks(extras["pp"])), max(1, ranks(extras["attn_dp"]))
	l.EP = max(1, ranks(extras["moe_ep"]))
	experts := max(1, ranks(extras["moe_tp"])) * l.EP
	if s.Job.Model.MoE != nil && experts > l.TP*l.AttnDP {
		l.AttnDP = (experts + l.TP - 1) / l.TP
	}
	perChip := 1
	if k := s.Cluster.Chip; k.Family == chip.Neuron {
		perChip = max(1, k.Cores)
	}
	width := l.TP * l.PP * l.AttnDP
	if need := (width + perChip - 1) / perChip; s.Cluster.Chips < need {
		s.Cluster.Chips = need
	}
	l.Replicas = max(1, s.Cluster.Chips*perChip/width)
	if s.Cluster.Chip.Family == chip.Neuron {
		l.Replicas = 1 // the Neuron tables run one server on an instance, whatever it leaves idle
	}
}

// load reads lengths and concurrency and assumes what is missing.
func (s *Serving) load() {
	j := &s.Job
	switch text := strings.ToLower(s.Row.Text("concurrency_or_batch")); text {
	case "max", "inf", "infinite":
	case "":
		if j.Rate == 0 {
			j.Concurrency = 1
			s.Assumed = append(s.Assumed, "concurrency")
		}
	default:
		j.Concurrency = max(1, whole(text))
	}
	if j.Output == 0 {
		s.First = s.Row.Text("output_len") == "" && j.Concurrency <= 1
		j.Output = 128
		if !s.First {
			s.Assumed = append(s.Assumed, "output length")
		}
	}
	if j.Input == 0 {
		j.Input = 512
		s.Assumed = append(s.Assumed, "input length")
	}
	j.Ran, j.Series = true, Series(s.Source)
	j.Trial = len(s.Assumed) > 0 || strings.Contains(s.Row.Text("notes"), "trust=C")
}

func (s *Serving) measure() {
	s.TTFT, s.TPOT = s.Row.Number("ttft_ms")/1e3, s.Row.Number("tpot_ms")/1e3
	s.Output, s.Overall = s.Row.Number("out_tokens_per_s"), s.Row.Number("total_tokens_per_s")
}

// Predict is what the estimator says of the row.
func (s *Serving) Predict(c *estimate.Constants) (estimate.Service, error) {
	return estimate.Serving(s.Job, s.Cluster, s.Layout, c)
}
