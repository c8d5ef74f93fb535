package ranks

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine/whole"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

const (
	paceFile = "paces.json"
	// paceMark begins a line of a stream: "@pace RANK STEP SECONDS COMPUTE", the
	// last one left out where the rank does not tell.
	paceMark = "@pace "
	// pointEvery is the least time that a point of a pace is a mean of: shorter
	// ones are noise, and many.
	pointEvery = time.Second
	// slowestStep bounds what a rank may say of its own seconds of a step.
	slowestStep = 1e9
)

// PacePoint is the pace of a rank over the steps up to one.
type PacePoint struct {
	Rank    int
	Step    int64
	Seconds float64 // of a step
	Compute float64 // thereof in its own work; 0 where it did not tell
}

// Paces are how fast ranks go, by their last points.
type Paces struct{ byRank map[int]*fleet.Pace }

// Add takes a point; one that is not newer than the last is known already.
func (p *Paces) Add(point PacePoint) {
	if p.byRank == nil {
		p.byRank = map[int]*fleet.Pace{}
	}
	pace := p.byRank[point.Rank]
	if pace == nil {
		pace = &fleet.Pace{Rank: point.Rank}
		p.byRank[point.Rank] = pace
	}
	if point.Step <= pace.Step && len(pace.Seconds) > 0 {
		return
	}
	pace.Step = point.Step
	pace.Seconds = pushed(pace.Seconds, point.Seconds)
	if point.Compute > 0 {
		pace.Compute = pushed(pace.Compute, point.Compute)
	}
}

func pushed(points []float64, point float64) []float64 {
	points = append(points, point)
	return points[max(0, len(points)-fleet.PacePoints):]
}

// List is a copy of the paces, by rank.
func (p *Paces) List() []fleet.Pace {
	var list []fleet.Pace
	for _, pace := range slices.SortedFunc(maps.Values(p.byRank), func(a, b *fleet.Pace) int { return cmp.Compare(a.Rank, b.Rank) }) {
		next := *pace
		next.Seconds, next.Compute = slices.Clone(pace.Seconds), slices.Clone(pace.Compute)
		list = append(list, next)
	}
	return list
}

// paceReport is what a report says of its rank's pace.
type paceReport struct {
	Step    *int64   `json:"step"`
	Compute *float64 `json:"compute_seconds"` // of a step, since the last report
}

func (r paceReport) credible() bool {
	return r.Compute == nil || *r.Compute >= 0 && *r.Compute <= slowestStep
}

// stopwatch makes points out of the reports of one rank, which may be a launcher
// of several processes: what the slowest of them worked counts, since the others
// wait for it.
type stopwatch struct {
	open      time.Time // when the point began that is made now
	from      int64     // its step
	work      float64   // of its own since then, in seconds
	workSteps float64   // that work tells of

	last    int64     // step that was reported
	heard   time.Time // of it first
	steps   float64   // that it came after the one before
	compute float64   // of each of them, the longest that was said
}

// hear takes a report, and tells whether it is of a step after the end of a
// point. The first report tells of nothing: when its steps began is not known.
// Steps go up: an earlier one is that of a process that is late, or was begun anew.
func (s *stopwatch) hear(rank int, r paceReport, now time.Time) (point PacePoint, ended bool) {
	switch {
	case r.Step == nil || *r.Step < s.last:
		return point, false
	case s.open.IsZero():
		*s = stopwatch{open: now, from: *r.Step, last: *r.Step, heard: now}
		return point, false
	}
	if *r.Step > s.last {
		point, ended = s.close(rank)
		s.steps, s.compute, s.last, s.heard = float64(*r.Step-s.last), 0, *r.Step, now
	}
	if r.Compute != nil && s.steps > 0 && *r.Compute > s.compute {
		if s.compute == 0 {
			s.workSteps += s.steps
		}
		s.work += (*r.Compute - s.compute) * s.steps
		s.compute = *r.Compute
	}
	return point, ended
}

// close ends the point where it is long enough.
func (s *stopwatch) close(rank int) (point PacePoint, ended bool) {
	took := s.heard.Sub(s.open)
	if s.last == s.from || took < pointEvery {
		return point, false
	}
	point = PacePoint{Rank: rank, Step: s.last, Seconds: brief(took.Seconds() / float64(s.last-s.from))}
	if s.workSteps > 0 {
		point.Compute = brief(s.work / s.workSteps)
	}
	s.open, s.from, s.work, s.workSteps = s.heard, s.last, 0, 0
	return point, true
}

// brief keeps four digits: more says nothing, and is written again and again.
func brief(x float64) float64 {
	short, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 4, 64), 64)
	if err != nil {
		return x
	}
	return short
}

// line is the point in a stream.
func (p PacePoint) line() []byte {
	line := fmt.Appendf(nil, "%s%d %d %g", paceMark, p.Rank, p.Step, p.Seconds)
	if p.Compute > 0 {
		line = fmt.Appendf(line, " %g", p.Compute)
	}
	return append(line, '\n')
}

// parsePace reads a line of a stream that carries a point.
func parsePace(line []byte) (p PacePoint, ok bool) {
	text, found := bytes.CutPrefix(line, []byte(paceMark))
	if !found {
		return p, false
	}
	fields := bytes.Fields(text)
	if len(fields) < 3 {
		return p, false
	}
	var errs [4]error
	p.Rank, errs[0] = strconv.Atoi(string(fields[0]))
	p.Step, errs[1] = strconv.ParseInt(string(fields[1]), 10, 64)
	p.Seconds, errs[2] = strconv.ParseFloat(string(fields[2]), 64)
	if len(fields) > 3 {
		p.Compute, errs[3] = strconv.ParseFloat(string(fields[3]), 64)
	}
	sound := p.Rank >= 0 && p.Step >= 0 && p.Seconds >= 0 && p.Seconds <= slowestStep && p.Compute >= 0 && p.Compute <= slowestStep
	return p, errs == [4]error{} && sound
}

// ReadPaces reads the paces of a node's ranks from a keeper's folder. A damaged
// record is none.
func ReadPaces(dir string) ([]fleet.Pace, error) {
	var list []fleet.Pace
	if found, err := whole.ReadJSON(filepath.Join(dir, paceFile), &list); err != nil && !found {
		return nil, err
	} else if err != nil {
		return nil, nil
	}
	return list, nil
}
