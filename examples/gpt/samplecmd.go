package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/switchyard-ai/switchyard/examples/gpt/ckpt"
	"github.com/switchyard-ai/switchyard/examples/gpt/matmul"
	"github.com/switchyard-ai/switchyard/examples/gpt/model"
	"github.com/switchyard-ai/switchyard/examples/gpt/train"
)

const (
	defaultPrompt      = "func "
	defaultTemperature = 0.6
)

// sampleCommand prints text from the newest checkpoint.
func sampleCommand(_ context.Context, args []string) error {
	f := flag.NewFlagSet("sample", flag.ContinueOnError)
	dir := f.String("checkpoint", checkpointDir(os.Getenv), "`directory` of checkpoints")
	n := f.Int("bytes", 500, "bytes to print")
	prompt := f.String("prompt", defaultPrompt, "text to continue")
	temperature := f.Float64("temperature", defaultTemperature, "0 takes the likeliest byte, 1 draws as the model predicts")
	seed := f.Uint64("seed", 1, "another seed draws another text")
	mode := f.String("matmul", "auto", "matrix products: auto, portable or vector")
	if err := f.Parse(args); err != nil {
		return err
	}
	e, err := matmul.Select(*mode)
	if err != nil {
		return err
	}
	c, err := ckpt.Open(*dir, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }).Latest()
	if err != nil {
		return err
	}
	if c == nil {
		return fmt.Errorf("no checkpoint in %s: train first, or give --checkpoint", *dir)
	}
	s, err := train.SettingsOf(c)
	if err != nil {
		return err
	}
	w := model.NewWeights(s.Shape)
	if len(c.Arrays) == 0 || copy(w.Flat, c.Arrays[0]) != len(w.Flat) {
		return fmt.Errorf("the checkpoint of step %d does not hold %d parameters", c.Step, len(w.Flat))
	}
	var packed model.Packed
	packed.Pack(e, w)
	text := model.NewWorker(s.Shape, e).Sample(&packed, []byte(*prompt), *n, *temperature, *seed)
	fmt.Printf("%s%s\n", *prompt, printable(text))
	return nil
}
