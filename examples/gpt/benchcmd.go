package main

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/examples/gpt/corpus"
	"github.com/switchyard-ai/switchyard/examples/gpt/matmul"
	"github.com/switchyard-ai/switchyard/examples/gpt/ring"
	"github.com/switchyard-ai/switchyard/examples/gpt/train"
)

// measureFor is how long the products alone are timed.
const measureFor = 300 * time.Millisecond

// workerCount is the number of goroutines that train in this rank.
func (o *options) workerCount() int {
	if o.workers > 0 {
		return o.workers
	}
	return train.Workers(o.place.ranksHere())
}

// measure is the floating-point operations a second that so many goroutines reach together in products of the size that
// training is made of.
func measure(e *matmul.Engine, workers int, long time.Duration) float64 {
	const m, n, k = 256, 512, 128
	counts := make([]int, workers)
	began := time.Now()
	var wait sync.WaitGroup
	for i := range counts {
		wait.Go(func() {
			a, b, c := filled(m, k), filled(k, n), filled(m, n)
			var packed matmul.Packed
			e.Pack(&packed, b)
			for time.Since(began) < long {
				e.Mul(c, a, &packed, false)
				counts[i]++
			}
		})
	}
	wait.Wait()
	total := 0
	for _, c := range counts {
		total += c
	}
	return 2 * m * n * k * float64(total) / time.Since(began).Seconds()
}

// filled is a matrix of ones, with room for products to read past its end: some products are faster on zeros.
func filled(rows, cols int) matmul.View {
	x := make([]float32, rows*cols+4)[:rows*cols]
	for i := range x {
		x[i] = 1
	}
	return matmul.Mat(x, rows, cols)
}

// benchCommand trains a few steps on each path, turn by turn, so that what else the machine does hits both alike.
func benchCommand(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	rounds := f.Int("rounds", 3, "turns that each path gets; the best one counts")
	if err := f.Parse(args); err != nil {
		return err
	}
	o, err := parseTrain(nil)
	if err != nil {
		return err
	}
	dir, extensions, err := o.text(ctx)
	if err != nil {
		return err
	}
	text, err := corpus.Load(dir, extensions)
	if err != nil {
		return err
	}
	contenders := []*contender{newContender(o, text, matmul.Portable())}
	if v := matmul.Vector(); v != nil {
		contenders = append(contenders, newContender(o, text, v))
	}
	for range *rounds {
		for _, c := range contenders {
			if err := c.turn(); err != nil {
				return err
			}
		}
	}
	fmt.Printf("%-10s %14s %16s %16s %8s\n", "PATH", "TOKENS/S", "TRAINING GFLOP/S", "PRODUCTS GFLOP/S", "SHARE")
	for _, c := range contenders {
		used := c.tokens * o.shape.FLOPs()
		fmt.Printf("%-10s %14.0f %16.1f %16.1f %7.0f%%\n", c.engine.Name(), c.tokens, used/1e9, c.peak/1e9, 100*used/c.peak)
	}
	if len(contenders) == 1 {
		fmt.Println("no vector path here: it needs amd64 with AVX2 and a build with GOEXPERIMENT=simd")
		return nil
	}
	fmt.Printf("vector is %.1f times as fast in training, %.1f times in products alone\n",
		contenders[1].tokens/contenders[0].tokens, contenders[1].peak/contenders[0].peak)
	return nil
}

// contender is one path with its best figures so far.
type contender struct {
	engine       *matmul.Engine
	workers      int
	trainer      *train.Trainer
	tokens, peak float64 // a second
}

func newContender(o *options, text *corpus.Corpus, e *matmul.Engine) *contender {
	s := train.Settings{Shape: o.shape, Batch: o.batch, Steps: vectorSteps, Rate: o.rate, Seed: o.seed}
	workers := train.Workers(1)
	return &contender{engine: e, workers: workers, trainer: train.New(s, text, e, &ring.Ring{Size: 1}, workers)}
}

// turn trains for a second or two and times products alone.
func (c *contender) turn() error {
	began, steps := time.Now(), 0
	for time.Since(began) < time.Second {
		if _, _, err := c.trainer.Next(false); err != nil {
			return err
		}
		steps++
	}
	c.tokens = max(c.tokens, float64(steps)*float64(c.trainer.TokensPerStep())/time.Since(began).Seconds())
	c.peak = max(c.peak, measure(c.engine, c.workers, measureFor))
	return nil
}
