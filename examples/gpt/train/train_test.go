package train

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/examples/gpt/ckpt"
	"github.com/switchyard-ai/switchyard/examples/gpt/corpus"
	"github.com/switchyard-ai/switchyard/examples/gpt/matmul"
	"github.com/switchyard-ai/switchyard/examples/gpt/model"
	"github.com/switchyard-ai/switchyard/examples/gpt/ring"
)

func text() *corpus.Corpus {
	return &corpus.Corpus{
		Train:   []byte(strings.Repeat("func add(a, b int) int { return a + b }\nif err != nil {\n\treturn err\n}\n", 60)),
		HeldOut: []byte(strings.Repeat("func sub(a, b int) int { return a - b }\n", 20)),
	}
}

func settings(steps int) Settings {
	return Settings{Shape: model.Shape{Layers: 2, Dim: 32, Heads: 2, Seq: 32}, Batch: 6, Steps: steps, Rate: 5e-3, Seed: 3, Text: "t"}
}

func engines() []*matmul.Engine {
	all := []*matmul.Engine{matmul.Portable()}
	if v := matmul.Vector(); v != nil {
		all = append(all, v)
	}
	return all
}

func alone(s Settings, e *matmul.Engine, workers int) *Trainer {
	return New(s, text(), e, &ring.Ring{Size: 1}, workers)
}

func steps(t *testing.T, tr *Trainer, n int) []float64 {
	t.Helper()
	var losses []float64
	for range n {
		loss, _, err := tr.Next(false)
		if err != nil {
			t.Fatal(err)
		}
		losses = append(losses, loss)
	}
	return losses
}

func TestItLearns(t *testing.T) {
	for _, e := range engines() {
		tr := alone(settings(120), e, 2)
		probes := tr.text.Probes(8, 33)
		before := tr.HeldOut(probes)
		steps(t, tr, 120)
		after, bigram := tr.HeldOut(probes), tr.text.Bigram(probes)
		if math.Abs(before-math.Log(256)) > 1e-3 || after > bigram {
			t.Errorf("%s: held-out loss went from %g to %g, bigram %g", e.Name(), before, after, bigram)
		}
	}
}

// saved passes a trainer's state through a file.
func saved(t *testing.T, tr *Trainer) *ckpt.Checkpoint {
	t.Helper()
	store := ckpt.Open(t.TempDir(), t.Logf)
	if _, err := store.Begin(1); err != nil {
		t.Fatal(err)
	}
	c, err := tr.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Save(c); err != nil {
		t.Fatal(err)
	}
	read, err := store.Latest()
	if err != nil || read == nil {
		t.Fatalf("%v, %v", read, err)
	}
	return read
}

func TestAResumedRunGivesTheSameBits(t *testing.T) {
	for _, e := range engines() {
		whole := steps(t, alone(settings(12), e, 3), 12)
		first := alone(settings(12), e, 3)
		steps(t, first, 5)
		second := alone(settings(12), e, 3)
		if err := second.Restore(saved(t, first)); err != nil {
			t.Fatal(err)
		}
		for i, loss := range steps(t, second, 7) {
			if loss != whole[5+i] {
				t.Fatalf("%s: step %d has loss %v resumed, %v uninterrupted", e.Name(), 6+i, loss, whole[5+i])
			}
		}
	}
}

func TestACheckpointOfAnotherRunIsRefused(t *testing.T) {
	c := saved(t, alone(settings(12), matmul.Portable(), 1))
	others := map[string]func(*Settings){
		"steps": func(s *Settings) { s.Steps++ }, "batch": func(s *Settings) { s.Batch++ }, "text": func(s *Settings) { s.Text = "u" },
		"seed": func(s *Settings) { s.Seed++ }, "layers": func(s *Settings) { s.Shape.Layers++ },
	}
	for what, change := range others {
		s := settings(12)
		change(&s)
		if err := alone(s, matmul.Portable(), 1).Restore(c); err == nil {
			t.Errorf("a checkpoint with other %s was taken", what)
		}
	}
	c.Arrays[1] = c.Arrays[1][:10]
	if err := alone(settings(12), matmul.Portable(), 1).Restore(c); err == nil {
		t.Error("a checkpoint with a short array was taken")
	}
}

// gang runs do in so many ranks, each with a trainer.
func gang(t *testing.T, s Settings, size int, do func(*Trainer) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	master := l.Addr().String()
	l.Close()
	errs := make([]error, size)
	var wait sync.WaitGroup
	for rank := range size {
		wait.Go(func() {
			r, err := ring.Join(ctx, ring.Place{Rank: rank, Size: size, Master: master})
			if err == nil {
				defer r.Close()
				err = do(New(s, text(), matmul.Portable(), r, 2))
			}
			errs[rank] = err
		})
	}
	wait.Wait()
	for rank, err := range errs {
		if err != nil {
			t.Fatalf("rank %d: %v", rank, err)
		}
	}
}

func TestRanksTogetherEqualOneRank(t *testing.T) {
	const n = 10
	one := steps(t, alone(settings(n), matmul.Portable(), 2), n)
	for _, size := range []int{2, 4} { // four ranks share a batch of six unevenly
		var mutex sync.Mutex
		weights := map[int][]float32{}
		gang(t, settings(n), size, func(tr *Trainer) error {
			for i := range n {
				loss, _, err := tr.Next(false)
				if err != nil {
					return err
				}
				if math.Abs(loss-one[i]) > 1e-4*one[i] {
					return fmt.Errorf("step %d has loss %g, in one rank %g", i+1, loss, one[i])
				}
			}
			mutex.Lock()
			defer mutex.Unlock()
			weights[tr.ring.Rank] = tr.weights.Flat
			return nil
		})
		for rank, w := range weights {
			for i := range w {
				if w[i] != weights[0][i] {
					t.Fatalf("weight %d of rank %d is %g, of rank 0 %g", i, rank, w[i], weights[0][i])
				}
			}
		}
	}
}

func TestRanksTakeRankZerosStateAndStopTogether(t *testing.T) {
	s := settings(12)
	first := alone(s, matmul.Portable(), 2)
	whole := steps(t, alone(s, matmul.Portable(), 2), 6)
	steps(t, first, 5)
	c := saved(t, first)
	gang(t, s, 3, func(tr *Trainer) error {
		if tr.ring.Rank == 0 {
			if err := tr.Restore(c); err != nil {
				return err
			}
		}
		if err := tr.Share(); err != nil {
			return err
		}
		loss, stopped, err := tr.Next(tr.ring.Rank == 2)
		if err == nil && (tr.Step != 6 || !stopped || math.Abs(loss-whole[5]) > 1e-4) {
			err = fmt.Errorf("after sharing: step %d, stopped %v, loss %g, want %g", tr.Step, stopped, loss, whole[5])
		}
		return err
	})
}

func TestTheScheduleDependsOnStepsAlone(t *testing.T) {
	s := Settings{Steps: 1000, Rate: 1}
	if a, b, c := s.RateAt(0), s.RateAt(29), s.RateAt(999); a > 0.04 || b != 1 || c > finalRate+0.01 || c < finalRate {
		t.Fatalf("rates %g, %g, %g", a, b, c)
	}
	for i := 30; i < 999; i++ {
		if s.RateAt(i+1) > s.RateAt(i) {
			t.Fatalf("the rate rises after step %d", i)
		}
	}
}

func TestABrokenGradientLeavesTheWeightsFinite(t *testing.T) {
	tr := alone(settings(5), matmul.Portable(), 1)
	tr.workers[0].Grad.Flat[0] = float32(math.NaN())
	tr.update(tr.workers[0].Grad.Flat)
	for i, w := range tr.weights.Flat {
		if !finite(float64(w)) {
			t.Fatalf("weight %d is %g", i, w)
		}
	}
}

func TestSettingsAreValidated(t *testing.T) {
	bad := map[string]func(*Settings){
		"batch": func(s *Settings) { s.Batch = 1 }, "steps": func(s *Settings) { s.Steps = 0 }, "rate": func(s *Settings) { s.Rate = math.NaN() },
		"heads": func(s *Settings) { s.Shape.Heads = 3 }, "odd": func(s *Settings) { s.Shape.Dim, s.Shape.Heads = 9, 3 }, "seq": func(s *Settings) { s.Shape.Seq = 0 },
	}
	if err := settings(1).Validate(2); err != nil {
		t.Fatal(err)
	}
	for what, change := range bad {
		s := settings(1)
		if change(&s); s.Validate(2) == nil {
			t.Errorf("bad %s were taken", what)
		}
	}
}
