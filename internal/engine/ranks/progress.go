package ranks

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine/whole"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// progressMark begins a line by which a rank reports; a JSON object with the
// fields of fleet.Progress and paceReport follows.
const progressMark = "@yard "

// historyLimit is the number of points at which the history is thinned to half.
const historyLimit = 1024

// Book keeps what ranks report: of rank 0, which speaks for the gang, the last and
// a history with a point per step, evenly thinned; of all, their paces.
type Book struct {
	mu      sync.Mutex
	last    fleet.Progress
	points  []fleet.Progress
	every   int // of this many steps one is kept
	steps   int // different steps reported
	written int // points that the file has; -1 when it must be written anew
	dirty   bool
	logLost int64 // as last written
	heard   func(fleet.Progress)

	watches map[int]*stopwatch // by rank; nil where no paces are kept
	paces   Paces
	paced   bool // the paces are not written yet
	point   func(PacePoint)
}

// KeepPaces has the paces of ranks kept, and each point told at once from the
// goroutine that reads the rank, where point is not nil; it is called before any
// rank begins. A rank that is alone has none to be compared with.
func (b *Book) KeepPaces(point func(PacePoint)) {
	b.watches, b.point = map[int]*stopwatch{}, point
}

// OnReport has every report told at once, from the goroutine that reads rank 0;
// it is set before any rank begins.
func (b *Book) OnReport(heard func(fleet.Progress)) { b.heard = heard }

const (
	progressFile = "progress.json"
	historyFile  = "progress.jsonl"
)

// progressRecord is what progress.json holds.
type progressRecord struct {
	Progress fleet.Progress `json:"progress"`
	LogLost  int64          `json:"log_lost"`
}

// NewBook returns an empty book.
func NewBook() *Book { return &Book{every: 1} }

// Offer takes a line of a rank that reports, and tells whether it is one.
// Fields that a line leaves out keep their last value. The time is the keeper's:
// what is booked of a lost attempt ends at its last progress, and no rank's
// clock may move that.
func (b *Book) Offer(rank int, line []byte) bool {
	object, found := bytes.CutPrefix(line, []byte(progressMark))
	if !found || !bytes.HasPrefix(bytes.TrimSpace(object), []byte{'{'}) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.last
	var pace paceReport
	object, lost := soundJSON(object)
	if json.Unmarshal(object, &next) != nil || json.Unmarshal(object, &pace) != nil || !credible(next) || !pace.credible() {
		return false
	}
	next.LossNaNSince = b.last.LossNaNSince // is the book's to say
	lost.mark(&next)
	now := time.Now()
	if rank == 0 {
		next.At = now.UTC()
		b.take(next)
		if b.heard != nil {
			b.heard(next)
		}
	}
	b.time(rank, pace, now)
	return true
}

// time takes what a report says of its rank's pace.
func (b *Book) time(rank int, report paceReport, now time.Time) {
	if b.watches == nil {
		return
	}
	watch := b.watches[rank]
	if watch == nil {
		watch = &stopwatch{}
		b.watches[rank] = watch
	}
	point, ended := watch.hear(rank, report, now)
	if !ended {
		return
	}
	b.paces.Add(point)
	b.paced = true
	if b.point != nil {
		b.point(point)
	}
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

// take makes a report the last, with its point in the history.
func (b *Book) take(next fleet.Progress) {
	b.note(next)
	b.last, b.dirty = next, true
}

// note adds a point to the history.
func (b *Book) note(next fleet.Progress) {
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

// Last is what was reported last.
func (b *Book) Last() fleet.Progress {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// Flush writes what is new to the keeper's folder. What a full disk refuses is tried again next time.
func (b *Book) Flush(dir string, logLost int64) {
	b.flushPaces(dir)
	b.mu.Lock()
	dirty := b.dirty || logLost != b.logLost
	last, points, written := b.last, slices.Clone(b.points), b.written
	b.dirty, b.written, b.logLost = false, len(points), logLost
	b.mu.Unlock()
	if !dirty {
		return
	}
	err := errors.Join(
		whole.WriteJSON(filepath.Join(dir, progressFile), progressRecord{Progress: last, LogLost: logLost}, whole.Volatile),
		writeHistory(filepath.Join(dir, historyFile), points, written),
	)
	if err != nil {
		b.mu.Lock()
		b.dirty, b.written = true, -1
		b.mu.Unlock()
	}
}

func (b *Book) flushPaces(dir string) {
	b.mu.Lock()
	paced, list := b.paced, []fleet.Pace(nil)
	if paced {
		b.paced, list = false, b.paces.List()
	}
	b.mu.Unlock()
	if paced && whole.WriteJSON(filepath.Join(dir, paceFile), list, whole.Volatile) != nil {
		b.mu.Lock()
		b.paced = true
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
		return whole.Write(path, data.Bytes(), whole.Volatile)
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

// ReadProgress reads the last report, and the log lines lost, from a keeper's folder.
// A damaged record is none.
func ReadProgress(dir string) (last fleet.Progress, logLost int64, err error) {
	var record progressRecord
	if found, err := whole.ReadJSON(filepath.Join(dir, progressFile), &record); err != nil && !found {
		return last, 0, err
	}
	return record.Progress, record.LogLost, nil
}

// ReadHistory reads the thinned history from a keeper's folder: at least half of
// historyLimit points where as many steps were reported, and always the last report.
func ReadHistory(dir string, last fleet.Progress) ([]fleet.Progress, error) {
	data, err := os.ReadFile(filepath.Join(dir, historyFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var points []fleet.Progress
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		var point fleet.Progress
		if json.Unmarshal(lines.Bytes(), &point) == nil { // the last may be half written
			points = append(points, point)
		}
	}
	return withLast(points, last), nil
}

// withLast ends a history, which is thinned, with the last report.
func withLast(points []fleet.Progress, last fleet.Progress) []fleet.Progress {
	if !last.At.IsZero() && (len(points) == 0 || points[len(points)-1].Step < last.Step) {
		points = append(points, last)
	}
	return points
}
