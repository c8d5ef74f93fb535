package ranks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// However long a run, the history has enough points for a curve and not many
// more, evenly spread, in memory as in the file.
func TestHistoryIsThinnedEvenly(t *testing.T) {
	for _, steps := range []int{0, 1, 10, 500, 1023, 1024, 1025, 5000, 100_000} {
		dir, book := t.TempDir(), NewBook()
		for step := 1; step <= steps; step++ {
			if !book.Offer(0, fmt.Appendf(nil, "@yard {\"step\": %d}\n", step)) {
				t.Fatalf("step %d refused", step)
			}
			if step%7 == 0 {
				book.Flush(dir, 0)
			}
		}
		book.Flush(dir, 1)
		points := fileSteps(t, dir)
		if len(points) > historyLimit || len(points) < min(steps, historyLimit/2) {
			t.Errorf("%d steps: %d points", steps, len(points))
		}
		for i := range points {
			if want := int64(i*book.every + 1); points[i] != want {
				t.Fatalf("%d steps: point %d is step %d; want %d", steps, i, points[i], want)
			}
		}
		if last := book.Last().Step; last != int64(steps) {
			t.Errorf("%d steps: the last is %d", steps, last)
		}
	}
}

func fileSteps(t *testing.T, dir string) []int64 {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, historyFile))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var steps []int64
	for line := range bytes.Lines(data) {
		var point struct{ Step int64 }
		if err := json.Unmarshal(line, &point); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, point.Step)
	}
	return steps
}

// A step that is reported twice, as when its checkpoint is saved, is one point:
// the later one.
func TestStepReportedTwiceIsOnePoint(t *testing.T) {
	dir, book := t.TempDir(), NewBook()
	for _, line := range []string{`{"step": 1, "loss": 3}`, `{"step": 2, "loss": 2}`, `{"checkpoint_step": 2}`} {
		book.Offer(0, []byte(progressMark+line))
		book.Flush(dir, 0)
	}
	data, err := os.ReadFile(filepath.Join(dir, historyFile))
	if err != nil || bytes.Count(data, []byte{'\n'}) != 2 || !strings.Contains(string(data), `"checkpoint_step":2`) {
		t.Errorf("history, %v:\n%s", err, data)
	}
}

// What a rank says of the time is not believed: usage may be booked by it.
func TestProgressIsTimedByTheShim(t *testing.T) {
	book := NewBook()
	for _, at := range []string{"9999-12-31T00:00:00Z", "0001-01-01T00:00:00Z"} {
		before := time.Now()
		if !book.Offer(0, []byte(progressMark+`{"step": 1, "at": "`+at+`"}`)) {
			t.Fatal("refused")
		}
		if got := book.Last().At; got.Before(before) || got.After(time.Now()) {
			t.Errorf("said %s: taken as %s", at, got)
		}
	}
}

// Counts below 0 are no progress: the line stays in the log, where it is seen.
func TestNegativeProgressIsRefused(t *testing.T) {
	book := NewBook()
	for _, field := range []string{"step", "steps", "tokens", "checkpoint_step", "tokens_per_second"} {
		if book.Offer(0, []byte(progressMark+`{"`+field+`": -1}`)) {
			t.Errorf("%s: -1 is taken", field)
		}
	}
}

// Figures beyond what any training counts are no progress either: what adds
// them up or draws them would overflow.
func TestAbsurdProgressIsRefused(t *testing.T) {
	for _, object := range []string{
		`{"step": 1000000000000000001}`, `{"step": 9223372036854775807}`, `{"steps": 2000000000000000000}`,
		`{"tokens": 9223372036854775807}`, `{"checkpoint_step": 9223372036854775807}`,
		`{"tokens_per_second": 1e19}`, `{"tokens_per_second": 1e999}`,
	} {
		book := NewBook()
		if book.Offer(0, []byte(progressMark+object)) {
			t.Errorf("%s is taken as %+v", object, book.Last())
		}
	}
	book := NewBook()
	if !book.Offer(0, []byte(progressMark+`{"step": 1000000000000000000, "tokens": 1000000000000000000, "tokens_per_second": 1e12}`)) {
		t.Error("the largest figures are refused")
	}
}

func FuzzProgress(f *testing.F) {
	for _, seed := range []string{`@yard {}`, `@yard {"step": 1e3}`, `@yard {"loss": 1e999}`, `@yard {`, `@yard [1]`, `@yard`, `@yard {"loss": NaN}`, `@yard {"a": "\"NaN", "step": -Infinity}`, "@yard {\"at\": \"x\"}", ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		book := NewBook()
		before := book.Last()
		if !book.Offer(0, line) {
			if book.Last() != before || len(book.points) != 0 {
				t.Errorf("%q is refused, but leaves %+v", line, book.Last())
			}
			return
		}
		if sound, _ := withoutBare(bytes.TrimPrefix(line, []byte(progressMark)), "null"); !json.Valid(sound) || book.Last().At.IsZero() {
			t.Errorf("%q is taken as %+v", line, book.Last())
		}
		if _, err := json.Marshal(book.Last()); err != nil {
			t.Errorf("%q gives what cannot be written: %v", line, err)
		}
	})
}
