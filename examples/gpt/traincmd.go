package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/switchyard-ai/switchyard/examples/gpt/ckpt"
	"github.com/switchyard-ai/switchyard/examples/gpt/corpus"
	"github.com/switchyard-ai/switchyard/examples/gpt/matmul"
	"github.com/switchyard-ai/switchyard/examples/gpt/ring"
	"github.com/switchyard-ai/switchyard/examples/gpt/train"
)

// Ranks wait so long for each other, and say after the shorter time that they do.
const (
	rendezvousLimit = 2 * time.Minute
	rendezvousSlow  = 5 * time.Second
)

// probes is how many held-out sequences are scored at the end: enough for two digits, few enough for a second or two.
const probes = 256

func trainCommand(ctx context.Context, args []string) error {
	o, err := parseTrain(args)
	if err != nil {
		return err
	}
	var stop atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-signals:
			stop.Store(true)
			cancel() // ends the wait for other ranks; steps do not look at it
		case <-ctx.Done():
		}
	}()
	return trainRun(ctx, o, os.Stdout, &stop)
}

// job is one rank's part in a run, from first line to last.
type job struct {
	*train.Trainer
	o      *options
	stdout io.Writer // takes reports of progress
	out    io.Writer // rank 0's standard output; nowhere for the others
	engine *matmul.Engine
	text   *corpus.Corpus
	store  *ckpt.Store // rank 0 only
	saved  int         // step of the newest checkpoint
	report *reporter
	peak   float64 // floating-point operations a second of products alone, on this rank's workers
}

func trainRun(ctx context.Context, o *options, out io.Writer, stop *atomic.Bool) error {
	j := &job{o: o, stdout: out, out: out}
	if o.place.rank > 0 {
		j.out = io.Discard
	}
	peers, err := j.prepare(ctx)
	switch {
	case err != nil && stop.Load():
		return errors.Join(errStopped, err)
	case err != nil:
		return err
	}
	defer peers.Close()
	if o.place.rank == 0 {
		j.peak = measure(j.engine, o.workerCount(), measureFor)
		j.describe()
	}
	if err := j.loop(stop); err != nil {
		return err
	}
	if o.place.rank == 0 {
		j.finish()
	}
	return nil
}

// prepare reads the text, meets the other ranks and goes on from the newest checkpoint.
func (j *job) prepare(ctx context.Context) (*ring.Ring, error) {
	var err error
	if j.engine, err = matmul.Select(j.o.matmul); err != nil {
		return nil, err
	}
	dir, extensions, err := j.o.text(ctx)
	if err != nil {
		return nil, err
	}
	if j.text, err = corpus.Load(dir, extensions); err != nil {
		return nil, err
	}
	s := train.Settings{Shape: j.o.shape, Batch: j.o.batch, Steps: j.o.steps, Rate: j.o.rate, Seed: j.o.seed, Text: j.text.Fingerprint()}
	p, agreed := j.o.place, fmt.Sprintf("%+v", s)
	var last *ckpt.Checkpoint
	if p.rank == 0 {
		j.store = ckpt.Open(j.o.out, j.printf)
		if last, err = j.store.Begin(j.o.epoch); err != nil {
			return nil, err
		}
	}
	if s.Steps, err = j.steps(last); err != nil {
		return nil, err
	}
	if err := s.Validate(p.size); err != nil {
		return nil, err
	}
	meeting, done := context.WithTimeout(ctx, rendezvousLimit)
	defer done()
	slow := func() {
		fmt.Fprintf(os.Stderr, "gpt train: rank %d of %d still waits to meet the others at %s; it gives up after %v\n", p.rank, p.size, p.master, rendezvousLimit)
	}
	peers, err := ring.Join(meeting, ring.Place{
		Rank: p.rank, Size: p.size, Master: p.master, Job: agreed, Slow: slow, SlowAfter: rendezvousSlow,
	})
	if err != nil {
		return nil, err
	}
	j.Trainer = train.New(s, j.text, j.engine, peers, j.o.workerCount())
	if err := errors.Join(j.resume(last), j.Share()); err != nil {
		peers.Close()
		return nil, err
	}
	return peers, nil
}

// steps is the number of steps: as told, else of the run to resume, else by the speed of the path.
func (j *job) steps(last *ckpt.Checkpoint) (int, error) {
	switch {
	case j.o.steps != 0:
		return j.o.steps, nil
	case last != nil:
		s, err := train.SettingsOf(last)
		return s.Steps, err
	case j.engine.IsVector():
		return vectorSteps, nil
	}
	return portableSteps, nil
}

func (j *job) resume(last *ckpt.Checkpoint) error {
	if last == nil {
		return nil
	}
	if err := j.Restore(last); err != nil {
		return fmt.Errorf("%s: %w", j.o.out, err)
	}
	j.saved = last.Step
	j.printf("resuming after step %d of %d from %s", last.Step, j.Steps, j.o.out)
	return nil
}

// loop trains to the last step, or until any rank is told to stop.
func (j *job) loop(stop *atomic.Bool) error {
	j.report = newReporter(j.stdout, j.o.place.rank == 0, j.Steps, j.TokensPerStep())
	for j.Step < j.Steps {
		loss, stopped, err := j.Next(stop.Load())
		if err != nil {
			return err
		}
		if stopped || j.Step == j.Steps || j.Step%j.o.checkpointEvery == 0 {
			if err := j.save(); err != nil {
				return err
			}
		}
		j.report.step(j.Step, loss, j.Own, j.saved, stopped)
		if stopped && j.Step < j.Steps {
			j.printf("told to stop: leaving after step %d of %d", j.Step, j.Steps)
			return errStopped
		}
	}
	return nil
}

// save writes a checkpoint. A disk that is full or broken does not end the training; a later attempt does.
func (j *job) save() error {
	if j.store == nil {
		return nil
	}
	c, err := j.Checkpoint()
	if err != nil {
		return err
	}
	switch err := j.store.Save(c); {
	case errors.Is(err, ckpt.ErrSuperseded):
		return err
	case err != nil:
		j.printf("no checkpoint at step %d: %v; training goes on, the newest checkpoint is of step %d", j.Step, err, j.saved)
	default:
		j.saved = j.Step
	}
	return nil
}

func (j *job) printf(format string, args ...any) { fmt.Fprintf(j.out, format+"\n", args...) }
