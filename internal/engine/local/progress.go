package local

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// progressMark begins a line by which rank 0 reports its progress; a JSON object
// with the fields of fleet.Progress follows.
const progressMark = "@yard "

// historyLimit is the number of points at which the history is thinned to half.
const historyLimit = 1024

// progressBook keeps what rank 0 reports: the last, and a history with a point
// per step, evenly thinned.
type progressBook struct {
	mu      sync.Mutex
	last    fleet.Progress
	points  []fleet.Progress
	every   int // of this many steps one is kept
	steps   int // different steps reported
	written int // points that the file has; -1 when it must be written anew
	dirty   bool
	logLost int64 // as last written
}

func newProgressBook() *progressBook { return &progressBook{every: 1} }

// offer takes a line that reports progress, and reports whether it is one.
// Fields that a line leaves out keep their last value. The time is the shim's:
// what is booked of a lost attempt ends at its last progress, and no rank's
// clock may move that.
func (b *progressBook) offer(line []byte) bool {
	object, found := bytes.CutPrefix(line, []byte(progressMark))
	if !found {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.last
	if !bytes.HasPrefix(bytes.TrimSpace(object), []byte{'{'}) || json.Unmarshal(object, &next) != nil {
		return false
	}
	if !credible(next) {
		return false
	}
	next.At = time.Now().UTC()
	b.note(next)
	b.last, b.dirty = next, true
	return true
}

// mostCounted bounds what a rank may report of anything counted: no training
// counts a thousandth of it, and sums of a few such numbers still fit 64 bits.
const mostCounted = 1e18

// credible reports whether the figures can be: counts from 0 up, and a speed
// that is a number. Other lines stay in the log, where they are seen.
func credible(p fleet.Progress) bool {
	return min(p.Step, p.Steps, p.Tokens, p.CheckpointStep) >= 0 &&
		max(p.Step, p.Steps, p.Tokens, p.CheckpointStep) <= mostCounted &&
		p.TokensPerSecond >= 0 && p.TokensPerSecond <= mostCounted
}

// note adds a point to the history.
func (b *progressBook) note(next fleet.Progress) {
	if n := len(b.points); n > 0 && b.points[n-1].Step == next.Step {
		b.points[n-1], b.written = next, -1
		return
	}
	if b.steps == 0 || next.Step != b.last.Step {
		b.steps++
		if (b.steps-1)%b.every != 0 {
			return
		}
		b.points = append(b.points, next)
	}
	if len(b.points) < historyLimit {
		return
	}
	kept := b.points[:0]
	for i := 0; i < len(b.points); i += 2 {
		kept = append(kept, b.points[i])
	}
	b.points, b.every, b.written = kept, b.every*2, -1
}

func (b *progressBook) latest() fleet.Progress {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// flush writes what is new. What a full disk refuses is tried again next time.
func (b *progressBook) flush(dir gangDir, logLost int64) {
	b.mu.Lock()
	dirty := b.dirty || logLost != b.logLost
	last, points, written := b.last, slices.Clone(b.points), b.written
	b.dirty, b.written, b.logLost = false, len(points), logLost
	b.mu.Unlock()
	if !dirty {
		return
	}
	err := errors.Join(
		replaceJSON(dir.file(progressFile), progressRecord{Progress: last, LogLost: logLost}, volatile),
		writeHistory(dir.file(historyFile), points, written),
	)
	if err != nil {
		b.mu.Lock()
		b.dirty, b.written = true, -1
		b.mu.Unlock()
	}
}

// writeHistory appends the points that the file does not have, or writes it anew.
func writeHistory(path string, points []fleet.Progress, written int) error {
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	for _, point := range points[max(written, 0):] {
		if err := encoder.Encode(point); err != nil {
			return err
		}
	}
	if written < 0 {
		return replaceFile(path, data.Bytes(), volatile)
	}
	if data.Len() == 0 {
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data.Bytes())
	return errors.Join(err, file.Close())
}

// History implements engine.Engine: at least half of historyLimit points where
// the gang reported as many steps, and always the last.
func (e *Engine) History(_ context.Context, key string) ([]fleet.Progress, error) {
	dir, err := e.known(key)
	if err != nil {
		return nil, err
	}
	status, err := dir.status()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading gang "+key)
	}
	data, err := os.ReadFile(dir.file(historyFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fault.Wrap(fault.Internal, err, "reading the history of gang "+key)
	}
	var points []fleet.Progress
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		var point fleet.Progress
		if json.Unmarshal(lines.Bytes(), &point) == nil { // the last may be half written
			points = append(points, point)
		}
	}
	if last := status.Progress; !last.At.IsZero() && (len(points) == 0 || points[len(points)-1].Step < last.Step) {
		points = append(points, last)
	}
	return points, nil
}
