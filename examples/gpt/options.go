package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/switchyard-ai/switchyard/examples/gpt/model"
)

// options are the flags of train with what the environment adds.
type options struct {
	data, extensions, out, matmul, prompt string
	steps, batch, checkpointEvery, sample int
	workers, epoch                        int
	shape                                 model.Shape
	rate                                  float64
	seed                                  uint64
	place                                 place
}

// place is what a supervisor tells a rank, in the variables that torchrun made customary.
type place struct {
	rank, size, localRank int
	master                string
}

// The defaults take about two minutes on two quiet cores on either path: the portable one is several times slower, and
// does fewer steps.
const (
	vectorSteps   = 2000
	portableSteps = 320
	defaultBatch  = 8
	defaultRate   = 2e-3
)

func defaultShape() model.Shape { return model.Shape{Layers: 4, Dim: 128, Heads: 2, Seq: 128} }

func parseTrain(args []string) (*options, error) {
	o := &options{shape: defaultShape()}
	f := flag.NewFlagSet("train", flag.ContinueOnError)
	f.StringVar(&o.data, "data", "", "`directory` of text to learn (default: the source of the Go toolchain)")
	f.StringVar(&o.extensions, "ext", "", "learn only files whose names end so, as in .go,.md (default: .go for the Go toolchain, else all text)")
	f.StringVar(&o.out, "out", "", "`directory` of checkpoints, also to resume from (default: $YARD_CHECKPOINT_DIR, else gpt-checkpoints)")
	f.IntVar(&o.steps, "steps", 0, fmt.Sprintf("optimizer steps, which set the schedule (default: %d with vector products, %d with portable ones)", vectorSteps, portableSteps))
	f.IntVar(&o.batch, "batch", defaultBatch, "sequences in a step, over all ranks")
	f.IntVar(&o.shape.Seq, "seq", o.shape.Seq, "bytes in a sequence")
	f.IntVar(&o.shape.Layers, "layers", o.shape.Layers, "transformer layers")
	f.IntVar(&o.shape.Dim, "dim", o.shape.Dim, "width of the network")
	f.IntVar(&o.shape.Heads, "heads", o.shape.Heads, "attention heads")
	f.Float64Var(&o.rate, "lr", defaultRate, "highest learning rate of the layers; embedding and head learn six times as fast")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the weights and of the order of the data")
	f.IntVar(&o.checkpointEvery, "checkpoint-every", 100, "steps between checkpoints")
	f.StringVar(&o.matmul, "matmul", "auto", "matrix products: auto, portable or vector")
	f.IntVar(&o.sample, "sample", 0, "print so many bytes of text at the end")
	f.StringVar(&o.prompt, "prompt", defaultPrompt, "text that the sample continues")
	f.IntVar(&o.workers, "workers", 0, "goroutines that train (default: one a core, shared among the ranks of this machine)")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.checkpointEvery < 1 {
		return nil, fmt.Errorf("--checkpoint-every %d: it must be at least 1", o.checkpointEvery)
	}
	if err := o.check(f); err != nil {
		return nil, err
	}
	return o, o.fromEnvironment(os.Getenv)
}

// Bounds far beyond what this example is for: more is a slip of the finger, and would end in want of memory or in silence.
const (
	maxBatch = 1 << 16
	maxSteps = 1_000_000_000
)

// check refuses sizes before anything is made of them. Steps that are not given are chosen later.
func (o *options) check(f *flag.FlagSet) error {
	given := false
	f.Visit(func(set *flag.Flag) { given = given || set.Name == "steps" })
	switch {
	case given && (o.steps < 1 || o.steps > maxSteps):
		return fmt.Errorf("--steps %d: 1 to %d is valid", o.steps, maxSteps)
	case o.batch < 1 || o.batch > maxBatch:
		return fmt.Errorf("--batch %d: 1 to %d is valid", o.batch, maxBatch)
	}
	return o.shape.Validate()
}

func (o *options) fromEnvironment(get func(string) string) error {
	if o.out == "" {
		o.out = checkpointDir(get)
	}
	var err error
	number := func(name string, missing int) int {
		text := get(name)
		if text == "" {
			return missing
		}
		n, fault := strconv.Atoi(text)
		if (fault != nil || n < 0) && err == nil {
			err = fmt.Errorf("%s=%q: it must be a whole number, 0 or more", name, text)
		}
		return n
	}
	o.epoch = number("YARD_EPOCH", -1)
	o.place = place{rank: number("RANK", 0), size: number("WORLD_SIZE", 1), localRank: number("LOCAL_RANK", 0)}
	host, port := get("MASTER_ADDR"), number("MASTER_PORT", 29500)
	if host == "" {
		host = "127.0.0.1"
	}
	o.place.master = net.JoinHostPort(host, strconv.Itoa(port))
	if err == nil && (o.place.size < 1 || o.place.rank >= o.place.size) {
		err = fmt.Errorf("RANK=%d of WORLD_SIZE=%d: ranks count from 0", o.place.rank, o.place.size)
	}
	return err
}

func checkpointDir(get func(string) string) string {
	if dir := get("YARD_CHECKPOINT_DIR"); dir != "" {
		return dir
	}
	return "gpt-checkpoints"
}

// ranksHere is how many ranks share this machine: all if they meet on its loopback, else as many as the local rank tells.
func (p place) ranksHere() int {
	host, _, err := net.SplitHostPort(p.master)
	if ip := net.ParseIP(host); err == nil && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		return p.size
	}
	return p.localRank + 1
}

// text is the directory to learn and the extensions that count.
func (o *options) text(ctx context.Context) (dir string, extensions []string, err error) {
	if o.extensions != "" {
		extensions = strings.Split(o.extensions, ",")
	}
	if o.data != "" {
		return o.data, extensions, nil
	}
	if extensions == nil {
		extensions = []string{".go"}
	}
	root, err := goRoot(ctx)
	return filepath.Join(root, "src"), extensions, err
}

// goRoot asks the go command, which knows best; a binary built here may run elsewhere.
func goRoot(ctx context.Context) (string, error) {
	if out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output(); err == nil {
		if root := strings.TrimSpace(string(out)); root != "" {
			return root, nil
		}
	}
	//lint:ignore SA1019 it may be wrong on another machine, and is the fallback where there is no go command
	if root := runtime.GOROOT(); root != "" {
		return root, nil
	}
	return "", fmt.Errorf("no Go toolchain found to learn from: give --data")
}
