package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/estimate/measured"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

type trainingFlags struct {
	estimateFlags
	seq, batch       int
	fixed            estimate.Fixed
	recompute, stack string
}

func (a *app) estimateTrainingCommand() *cobra.Command {
	var f trainingFlags
	cmd := &cobra.Command{
		Use:   "training",
		Short: "Predict the time of a training step",
		Long: "Training predicts the time of one training step. Dimensions of the parallelism\n" +
			"that are not given are searched. On Trainium, tp, pp and dp count logical NeuronCores.",
		Example: "  yard estimate training --model llama-3.1-70b --chip h100 --chips 64 --seq 8192 --batch 128 --precision fp8 --explain\n" +
			"  yard estimate training --rows runs.csv -o csv",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if f.rows != "" {
				return a.predictRows(&f.estimateFlags, true)
			}
			return a.estimateTraining(&f)
		},
	}
	f.bind(cmd)
	flags := cmd.Flags()
	flags.IntVar(&f.seq, "seq", 4096, "sequence length, tokens")
	flags.IntVar(&f.batch, "batch", 512, "global batch, sequences")
	flags.IntVar(&f.fixed.TP, "tp", 0, "tensor-parallel ranks")
	flags.IntVar(&f.fixed.PP, "pp", 0, "pipeline stages")
	flags.IntVar(&f.fixed.DP, "dp", 0, "data-parallel ranks")
	flags.IntVar(&f.fixed.CP, "cp", 0, "context-parallel ranks")
	flags.IntVar(&f.fixed.EP, "ep", 0, "expert-parallel ranks")
	flags.IntVar(&f.fixed.MicroBatch, "micro-batch", 0, "sequences of a micro-batch")
	flags.IntVar(&f.fixed.Interleave, "interleave", 0, "virtual pipeline stages per device")
	flags.IntVar(&f.fixed.ZeRO, "zero", 0, "ZeRO stage 1, 2 or 3 (3: FSDP)")
	flags.StringVar(&f.recompute, "recompute", "", "none, selective or full (default: the least that fits)")
	flags.StringVar(&f.stack, "stack", "", "framework, such as megatron/nvidia, fsdp/torchtitan, maxtext, neuron")
	return a.withOutput(cmd)
}

func (a *app) estimateTraining(f *trainingFlags) error {
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
	recompute := estimate.Recompute(f.recompute)
	switch recompute {
	case estimate.AnyRecompute, estimate.NoRecompute, estimate.SelectiveRecompute, estimate.FullRecompute:
	default:
		return fault.Newf(fault.Invalid, "--recompute: found %q; valid: none, selective, full", f.recompute)
	}
	if err := f.check(); err != nil {
		return err
	}
	if err := validStack("--stack", f.stack, &c.Training, nil); err != nil {
		return err
	}
	job := estimate.Job{Model: m, Seq: f.seq, GlobalBatch: f.batch, Precision: measured.Precision(f.precision), Recompute: recompute, Stack: f.stack}
	step, reasons, err := estimate.SearchAround(job, cluster, f.fixed, c)
	if err != nil {
		return withReasons(err, reasons)
	}
	head := fmt.Sprintf("%s on %s × %s · seq %s · batch %s · %s\n\n", modelTitle(m), units.Grouped(int64(cluster.Chips)), cluster.Chip.ID, units.Grouped(int64(f.seq)), units.Grouped(int64(f.batch)), job.Precision)
	if f.explain {
		return a.print(explainParts(step, step.Breakdown.Parts(), head+stepLine(step)+"\n\n", "\n"+memoryLine(step.Memory)+"\n"+supportText(step.Status, step.Support)+"\n"))
	}
	return a.print(stepListing(step, head))
}

func withReasons(err error, reasons []estimate.Reason) error {
	for _, r := range reasons {
		err = fault.Newf(fault.KindOf(err), "%v\n  %d configurations: %s", err, r.Count, r.Detail)
	}
	return err
}

func stepLine(s estimate.Step) string {
	return fmt.Sprintf("%.4g s a step (80%% within %.4g to %.4g) · %s tokens/s · %.1f%% of bf16 peak · %s",
		s.Seconds, s.Low, s.High, units.Grouped(int64(s.TokensPerSecond)), 100*s.MFU, measured.Describe(s.Parallelism))
}

func memoryLine(m estimate.Memory) string {
	const gb = 1e9
	return fmt.Sprintf("memory per device %.1f of %.1f GB: weights %.1f, gradients %.1f, optimizer %.1f, activations %.1f, reserve %.1f",
		m.Total()/gb, m.Capacity/gb, m.Weights/gb, m.Gradients/gb, m.Optimizer/gb, m.Activations/gb, m.Reserve/gb)
}

func stepListing(s estimate.Step, head string) listing {
	exact := []string{fmt.Sprint(s.Seconds), fmt.Sprint(s.Low), fmt.Sprint(s.High), fmt.Sprint(s.TokensPerSecond), fmt.Sprint(s.MFU), measured.Describe(s.Parallelism), string(s.Status)}
	return listing{
		document: s,
		columns: []column{
			{title: "STEP", field: "step_s", number: true}, {title: "LOW", field: "low_step_s", number: true}, {title: "HIGH", field: "high_step_s", number: true},
			{title: "TOKENS/S", field: "tokens_per_s", number: true}, {title: "MFU", field: "mfu", number: true}, {title: "PARALLELISM", field: "parallelism"}, {title: "STATUS", field: "status"},
		},
		cells: [][]string{{
			fmt.Sprintf("%.4g s", s.Seconds), fmt.Sprintf("%.4g s", s.Low), fmt.Sprintf("%.4g s", s.High), units.Grouped(int64(s.TokensPerSecond)),
			fmt.Sprintf("%.1f%%", 100*s.MFU), measured.Describe(s.Parallelism), string(s.Status),
		}},
		exact:  [][]string{exact},
		before: head,
		after:  "\n" + supportText(s.Status, s.Support) + "\nWhere the time goes: --explain\n",
	}
}
