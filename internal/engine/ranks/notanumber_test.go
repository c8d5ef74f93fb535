package ranks

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// What Python's json.dumps writes of a loss that is no number costs the report
// nothing else, and is said until a number comes.
func TestLossThatIsNotANumber(t *testing.T) {
	dir, book := t.TempDir(), NewBook()
	for _, c := range []struct {
		line string
		want fleet.Progress
	}{
		{`{"step": 3, "steps": 40, "loss": 2.5, "eval_loss": 2}`, fleet.Progress{Step: 3, Steps: 40, Loss: 2.5, EvalLoss: 2}},
		{`{"step":4,"steps":40,"loss":NaN,"checkpoint_step":4}`, fleet.Progress{Step: 4, Steps: 40, EvalLoss: 2, CheckpointStep: 4, LossNaNSince: 4}},
		{`{"step": 5, "loss": Infinity, "tokens_per_second": -Infinity}`, fleet.Progress{Step: 5, Steps: 40, EvalLoss: 2, CheckpointStep: 4, LossNaNSince: 4}},
		{`{"step": 6, "loss_nan_since": 1, "eval_loss": NaN, "note": "loss: NaN, \"NaN"}`, fleet.Progress{Step: 6, Steps: 40, CheckpointStep: 4, LossNaNSince: 4}},
		{`{"step": 7, "loss": null}`, fleet.Progress{Step: 7, Steps: 40, CheckpointStep: 4, LossNaNSince: 4}},
		{`{"step": 8, "loss": 2.25}`, fleet.Progress{Step: 8, Steps: 40, Loss: 2.25, CheckpointStep: 4}},
	} {
		if !book.Offer(0, []byte(progressMark+c.line+"\n")) {
			t.Fatalf("%s is refused", c.line)
		}
		book.Flush(dir, 0)
		got, _, err := ReadProgress(dir)
		got.At = c.want.At
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, want %+v; %v", c.line, got, c.want, err)
		}
	}
	if points, err := ReadHistory(dir, book.Last()); err != nil || len(points) != 6 || points[1].LossNaNSince != 4 {
		t.Errorf("history %+v, %v", points, err)
	}
}

// The step from before the first, and the pace beside a NaN, are heard, too.
func TestNaNBesideThePace(t *testing.T) {
	book := NewBook()
	if !book.Offer(0, []byte(progressMark+`{"loss":NaN}`)) || book.Last().LossNaNSince != 1 {
		t.Errorf("got %+v", book.Last())
	}
	for _, wrong := range []string{`{"step": NaNs}`, `{"step": -NaN}`, `{"loss": nan}`, `{NaN: 1}`, `{"loss": "NaN"}`, `{"compute_seconds": 1e10, "loss": NaN}`} {
		if book.Offer(0, []byte(progressMark+wrong)) {
			t.Errorf("%s is taken as %+v", wrong, book.Last())
		}
	}
}

func FuzzWithoutBare(f *testing.F) {
	for _, seed := range []string{`{"a":NaN}`, `{"a":"\\","b":-Infinity}`, `{"a":"\"NaN"}`, `"`, `"\`, `[NaN,Infinity]`, `NaN`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		out, found := withoutBare(text, "null")
		if json.Valid(text) && (found || !bytes.Equal(out, text)) {
			t.Errorf("%q is JSON and becomes %q", text, out)
		}
		if again, more := withoutBare(out, "null"); more || !bytes.Equal(again, out) {
			t.Errorf("%q becomes %q and then %q", text, out, again)
		}
	})
}
