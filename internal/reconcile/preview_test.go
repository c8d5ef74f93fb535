package reconcile

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// A preview says what a rank would be started with, and leaves nothing behind.
func TestPreviewStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{}))
		request := Request{File: "job.yaml", Content: []byte(file), Dir: "/work"}
		p, err := r.loop.Preview(context.Background(), request, "")
		if err != nil {
			t.Fatal(err)
		}
		want := "A=b YARD_ATTEMPT=1 YARD_CHECKPOINT_DIR=" + r.loop.Checkpoints("job-dry-run") + " YARD_CHECKPOINT_KEEP=3 YARD_EPOCH=1 YARD_RUN=job-dry-run TOKEN=<secret> train\n"
		if p.Pool != "local/cpu" || p.Nodes != 1 || p.Checked || p.Text != want {
			t.Errorf("preview %+v; want %q", p, want)
		}
		if _, err := r.loop.Preview(context.Background(), request, "elsewhere"); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "local/cpu") {
			t.Errorf("elsewhere: %v; want the pools there are", err)
		}
		if len(r.store.state.runs)+len(r.store.state.decisions)+len(r.engine.starts) > 0 {
			t.Errorf("a preview left %v, %v, %v", r.store.state.runs, r.store.state.decisions, r.engine.starts)
		}
	})
}
