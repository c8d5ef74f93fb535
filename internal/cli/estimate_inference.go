package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/estimate/measured"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// engines are those that the estimator has paths for, measured or not.
var engines = []string{"vllm", "trtllm", "sglang", "neuron", "jetstream", "gaudi"}

type inferenceFlags struct {
	estimateFlags
	layout         estimate.Layout
	input, output  int
	concurrency    int
	rate, prefix   float64
	engine, kv     string
	ttft50, ttft95 float64
	tpot50, tpot95 float64
}

func (a *app) estimateInferenceCommand() *cobra.Command {
	var f inferenceFlags
	cmd := &cobra.Command{
		Use:   "inference",
		Short: "Predict how fast a model is served",
		Long: "Inference predicts time to first token, time per token and throughput at a\n" +
			"concurrency or an arrival rate; with neither, at the highest rate that keeps the\n" +
			"SLO. Without --tp the best layout for the chips is searched. On Inferentia and\n" +
			"Trainium, tp counts logical NeuronCores.",
		Example: "  yard estimate inference --model llama-3.1-70b --chip h200 --chips 8 --precision fp8 --input-tokens 1024 --output-tokens 512 --slo-tpot-p95 40\n" +
			"  yard estimate inference --rows served.csv -o csv",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if f.rows != "" {
				return a.predictRows(&f.estimateFlags, false)
			}
			return a.estimateInference(&f)
		},
	}
	f.bind(cmd)
	f.bindServing(cmd)
	return a.withOutput(cmd)
}

func (f *inferenceFlags) bindServing(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVar(&f.layout.TP, "tp", 0, "tensor-parallel ranks of a replica")
	flags.IntVar(&f.layout.PP, "pp", 0, "pipeline stages of a replica")
	flags.IntVar(&f.layout.AttnDP, "attention-dp", 0, "data-parallel attention ranks of a replica")
	flags.IntVar(&f.input, "input-tokens", 1024, "input tokens per request")
	flags.IntVar(&f.output, "output-tokens", 512, "output tokens per request")
	flags.IntVar(&f.concurrency, "concurrency", 0, "requests in flight over all replicas")
	flags.Float64Var(&f.rate, "rate", 0, "requests per second over all replicas")
	flags.Float64Var(&f.prefix, "prefix-hit", 0, "share of input tokens found in the prefix cache, 0 to 1")
	flags.StringVar(&f.engine, "engine", "", "serving engine: vllm, trtllm, sglang, neuron, jetstream, gaudi")
	flags.StringVar(&f.kv, "kv-precision", "", "numeric type of the key-value cache (default: the engine's)")
	flags.Float64Var(&f.ttft50, "slo-ttft-p50", 0, "most ms to the first token, median")
	flags.Float64Var(&f.ttft95, "slo-ttft-p95", 0, "the same, 95th percentile")
	flags.Float64Var(&f.tpot50, "slo-tpot-p50", 0, "most ms per further token, median")
	flags.Float64Var(&f.tpot95, "slo-tpot-p95", 0, "the same, 95th percentile")
}

func (a *app) estimateInference(f *inferenceFlags) error {
	c, err := a.constants(f.calibration)
	if err != nil {
		return err
	}
	m, err := a.estimateModel(&f.estimateFlags)
	if err != nil {
		return err
	}
	cluster, err := f.cluster()
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	if err := validStack("--engine", f.engine, &c.Serving, engines); err != nil {
		return err
	}
	job := estimate.ServingJob{
		Model: m, Precision: measured.Precision(f.precision), Engine: f.engine, Input: f.input, Output: f.output,
		Concurrency: f.concurrency, Rate: f.rate, PrefixHit: f.prefix,
	}
	if f.kv != "" {
		job.KVPrecision = chip.DType(measured.Precision(f.kv))
	}
	slo := estimate.SLO{TTFT50: f.ttft50 / 1e3, TTFT95: f.ttft95 / 1e3, TPOT50: f.tpot50 / 1e3, TPOT95: f.tpot95 / 1e3}
	answer, err := serve(job, cluster, f.layout, slo, c)
	if err != nil {
		return err
	}
	head := fmt.Sprintf("%s on %s × %s · %s in, %s out · %s · %s\n\n", modelTitle(m), units.Grouped(int64(cluster.Chips)), cluster.Chip.ID, units.Grouped(int64(f.input)), units.Grouped(int64(f.output)), job.Precision, answer.Service.Layout)
	head += saturation(f.rate, answer.Service.RequestsPerSec)
	l := serviceListing(answer, head)
	if f.explain {
		s := answer.Service
		l = explainParts(answer, s.Parts.Parts(), head+"one decoding step:\n", fmt.Sprintf("\nweights %.1f GB of %.1f GB per device · cache holds %s tokens of a replica\n%s\n",
			s.Memory.Weights/1e9, s.Memory.Capacity/1e9, units.Grouped(int64(s.CacheTokens)), supportText(s.Status, s.Support)))
	}
	return a.print(l)
}

// check refuses what would be ignored in silence.
func (f *inferenceFlags) check() error {
	switch {
	case f.concurrency != 0 && f.rate != 0:
		return fault.New(fault.Invalid, "--concurrency and --rate: give one of them; the other follows")
	case f.rate < 0:
		return fault.Newf(fault.Invalid, "--rate: found %g; it may not be below 0", f.rate)
	case f.prefix < 0 || f.prefix > 1:
		return fault.Newf(fault.Invalid, "--prefix-hit: found %g; a share from 0 to 1 is needed", f.prefix)
	case f.kv != "":
		if err := validPrecision("--kv-precision", f.kv); err != nil {
			return err
		}
	}
	return f.estimateFlags.check()
}

// saturation says so where fewer requests are served than arrive.
func saturation(asked, served float64) string {
	const exact = 1e-6 // of the rate: below it they are the same
	if asked == 0 || served >= asked*(1-exact) {
		return ""
	}
	return fmt.Sprintf("cannot keep up: %s requests/s arrive and at most %s are served; the figures are those of full load\n\n", rate(asked), rate(served))
}

// serve predicts a given layout, or searches one.
func serve(job estimate.ServingJob, cluster estimate.Cluster, l estimate.Layout, slo estimate.SLO, c *estimate.Constants) (estimate.Answer, error) {
	switch {
	case l.TP == 0:
		answer, reasons, err := estimate.SearchServing(job, cluster, slo, c)
		if err != nil {
			err = withReasons(err, reasons)
		}
		return answer, err
	case job.Concurrency == 0 && job.Rate == 0:
		return estimate.HighestRate(job, cluster, l, slo, c)
	}
	s, err := estimate.Serving(job, cluster, l, c)
	return estimate.Answer{Service: s, Percentiles: estimate.Percentiles{TTFT50: s.TTFT, TTFT95: s.TTFT, TPOT50: s.TPOT, TPOT95: s.TPOT}}, err
}

func serviceListing(answer estimate.Answer, head string) listing {
	s := answer.Service
	ms := func(v float64) string { return fmt.Sprintf("%.4g ms", 1e3*v) }
	exact := func(v float64) string { return fmt.Sprint(v) }
	return listing{
		document: answer,
		columns: []column{
			{title: "FIRST TOKEN", field: "ttft_s", number: true}, {title: "PER TOKEN", field: "tpot_s", number: true},
			{title: "LOW", field: "low_tpot_s", number: true}, {title: "HIGH", field: "high_tpot_s", number: true},
			{title: "REQUESTS/S", field: "requests_per_s", number: true}, {title: "OUTPUT TOK/S", field: "out_tokens_per_s", number: true},
			{title: "IN FLIGHT", field: "concurrency", number: true}, {title: "STATUS", field: "status"},
		},
		cells: [][]string{{ms(s.TTFT), ms(s.TPOT), ms(s.Low), ms(s.High), fmt.Sprintf("%.3g", s.RequestsPerSec), units.Grouped(int64(s.OutputPerSecond)),
			fmt.Sprintf("%.0f × %d", s.Concurrency, s.Layout.Replicas), string(s.Status)}},
		exact:  [][]string{{exact(s.TTFT), exact(s.TPOT), exact(s.Low), exact(s.High), exact(s.RequestsPerSec), exact(s.OutputPerSecond), exact(s.Concurrency), string(s.Status)}},
		before: head,
		after:  "\n" + supportText(s.Status, s.Support) + "\nWhere the time goes: --explain\n",
	}
}
