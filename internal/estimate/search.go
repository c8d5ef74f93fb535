package estimate

import (
	"fmt"
	"sort"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Fixed holds the dimensions of a parallelism that are given; zero ones are
// searched.
type Fixed Parallelism

// SearchTraining returns the fastest parallelism that fits, or an error of
// kind no capacity and the reasons why none does. Every combination is looked
// at: powers of two of tensor and context parallelism within a domain, every
// pipeline depth that divides the devices, divisors of the experts,
// micro-batches and interleavings in powers of two, ZeRO 1 and 3. Two
// prunings are exact: more recomputation is never faster, so the least that
// fits is taken; and what does not fit with full recomputation is not timed.
func SearchTraining(job Job, cluster Cluster, c *Constants) (Step, []Reason, error) {
	return SearchAround(job, cluster, Fixed{}, c)
}

// SearchAround is SearchTraining with some dimensions given.
func SearchAround(job Job, cluster Cluster, fixed Fixed, c *Constants) (Step, []Reason, error) {
	t, err := newTrainer(job, cluster, c)
	if err != nil {
		return Step{}, nil, err
	}
	s := search{t: t, fixed: fixed}
	s.run()
	if !s.found {
		return Step{}, s.reasons(), fault.Newf(fault.NoCapacity, "no parallelism fits %s on %d × %s", job.Model.ID, cluster.Chips, cluster.Chip.ID)
	}
	return t.finish(s.best, s.breakdown, true), s.reasons(), nil
}

// search walks the space of parallelisms.
type search struct {
	t         *trainer
	fixed     Fixed
	found     bool
	best      Parallelism
	seconds   float64
	breakdown Breakdown
	evaluated int

	tooBig   int // did not fit in memory
	closest  Memory
	tooFew   int // more data-parallel ranks than sequences
	noDivide int // devices do not divide
}

func (s *search) run() {
	for _, tp := range s.tensor() {
		for _, cp := range s.context(tp) {
			for _, pp := range s.pipeline(tp * cp) {
				s.data(Parallelism{TP: tp, CP: cp, PP: pp, DP: s.t.total / (tp * cp * pp)})
			}
		}
	}
}

// one is the single given value of a dimension, where it is given.
func one(fixed int, choices []int) []int {
	if fixed > 0 {
		return []int{fixed}
	}
	return choices
}

func powers(limit int) []int {
	var out []int
	for n := 1; n <= limit; n *= 2 {
		out = append(out, n)
	}
	return out
}

func (s *search) tensor() []int {
	limit := min(int(s.t.d.domain), s.t.total, int(s.t.s.heads), 64)
	return one(s.fixed.TP, powers(limit))
}

func (s *search) context(tp int) []int {
	limit := min(s.t.total/tp, s.t.job.Seq/4096, 64) // shorter slices than 2,048 tokens gain nothing
	return one(s.fixed.CP, powers(max(1, limit)))
}

func (s *search) pipeline(inner int) []int {
	if s.fixed.PP > 0 {
		if s.t.total%(inner*s.fixed.PP) != 0 {
			s.noDivide++
			return nil
		}
		return []int{s.fixed.PP}
	}
	var out []int
	for pp := 1; pp <= min(s.t.total/inner, int(s.t.s.layers), 128); pp++ {
		if s.t.total%(inner*pp) == 0 {
			out = append(out, pp)
		}
	}
	if len(out) == 0 {
		s.noDivide++
	}
	return out
}

// data goes over what is left once the devices are split.
func (s *search) data(p Parallelism) {
	if s.fixed.DP > 0 && p.DP != s.fixed.DP {
		s.noDivide++
		return
	}
	if p.DP > s.t.job.GlobalBatch {
		s.tooFew++
		return
	}
	for _, ep := range s.expertChoices(p) {
		for _, zero := range s.zero(p) {
			p.EP, p.ZeRO = ep, zero
			for _, micro := range s.micro(p.DP) {
				p.MicroBatch = micro
				s.interleave(p)
			}
		}
	}
}

func (s *search) expertChoices(p Parallelism) []int {
	experts := int(s.t.s.experts)
	if s.fixed.EP > p.DP*p.CP*p.TP {
		s.noDivide++
		return nil
	}
	if s.fixed.EP > 0 {
		return []int{s.fixed.EP}
	}
	out := []int{1}
	for ep := 2; ep <= min(experts, p.DP*p.CP*p.TP); ep++ {
		if experts%ep == 0 && (p.DP*p.CP*p.TP)%ep == 0 {
			out = append(out, ep)
		}
	}
	return out
}

func (s *search) zero(p Parallelism) []int {
	switch {
	case s.fixed.ZeRO > 0:
		return []int{s.fixed.ZeRO}
	case p.PP > 1 || p.DP*p.CP == 1:
		return []int{1}
	}
	return []int{1, 3}
}

func (s *search) micro(dp int) []int {
	return one(s.fixed.MicroBatch, powers(min(32, (s.t.job.GlobalBatch+dp-1)/dp)))
}

func (s *search) interleave(p Parallelism) {
	limit := 1
	if p.PP > 1 {
		limit = int(s.t.s.layers) / p.PP
	}
	for _, v := range one(s.fixed.Interleave, powers(min(limit, 16))) {
		p.Interleave = max(1, v)
		s.consider(p)
	}
}

// consider times a configuration with the least recomputation that fits.
func (s *search) consider(p Parallelism) {
	s.evaluated++
	p.Recompute = s.fixed.Recompute
	if p.Recompute == AnyRecompute {
		p.Recompute = s.t.recompute(p)
	}
	if s.t.job.Recompute == AnyRecompute && s.fixed.Recompute == AnyRecompute && p.Recompute != FullRecompute {
		s.time(p) // recompute has seen that it fits
		return
	}
	if m := s.t.memory(p); !m.Fits() {
		if s.tooBig == 0 || m.Total() < s.closest.Total() {
			s.closest = m
		}
		s.tooBig++
		return
	}
	s.time(p)
}

func (s *search) time(p Parallelism) {
	b := s.t.evaluate(p)
	if seconds := b.total(); !s.found || seconds < s.seconds {
		s.found, s.best, s.seconds, s.breakdown = true, p, seconds, b
	}
}

// reasons lists what was ruled out and why, most frequent first.
func (s *search) reasons() []Reason {
	var out []Reason
	if s.tooBig > 0 {
		out = append(out, Reason{"memory", fmt.Sprintf("does not fit in memory: the leanest of these needs %.1f GB of %.1f GB per device", s.closest.Total()/1e9, s.closest.Capacity/1e9), s.tooBig})
	}
	if s.tooFew > 0 {
		out = append(out, Reason{"batch", fmt.Sprintf("more data-parallel ranks than the %d sequences of a batch", s.t.job.GlobalBatch), s.tooFew})
	}
	if s.noDivide > 0 {
		out = append(out, Reason{"devices", fmt.Sprintf("the product of the given dimensions does not divide %d devices", s.t.total), s.noDivide})
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Count > out[j].Count })
	return out
}
