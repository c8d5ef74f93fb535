//go:build unix

package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
)

// storedGang counts on from its newest checkpoint, which is kept in the store.
func storedGang(t *testing.T, key, url string, epoch int, then string) engine.Gang {
	gang := enginetest.Shell(key, 1, `cd "$YARD_CHECKPOINT_DIR"; step=$(cat step-*/step 2>/dev/null | sort -n | tail -1); echo "from ${step:-0} $YARD_CHECKPOINT_URL"
		save() { mkdir tmp-$1; echo $1 > tmp-$1/step; mv tmp-$1 step-$1; }
		save $((${step:-0} + 5)); `+then)
	gang.Env = map[string]string{"YARD_CHECKPOINT_DIR": filepath.Join(t.TempDir(), "checkpoints")}
	gang.Checkpoint = &engine.Checkpoint{URL: url, Epoch: epoch}
	return gang
}

// A gang with a store goes on from it, whatever is in its own directory.
func TestGangWithAStore(t *testing.T) {
	t.Parallel()
	e, url := open(t.TempDir()), "file://"+t.TempDir()
	enginetest.Start(t, e, storedGang(t, "a-1", url, 1, "exit 3"))
	if status := enginetest.Await(t, e, "a-1", engine.Exited); status.ExitCode != 3 || status.Stopped {
		t.Errorf("status %+v", status)
	}
	if log, _ := enginetest.ReadLog(t, e, "a-1", 0, 0); !strings.Contains(log, "from 0 "+url+"\n") || !strings.Contains(log, "[yard] checkpoint step-5 is in "+url) {
		t.Errorf("log %q", log)
	}

	// It is stopped, and its last checkpoint is stored within the grace.
	enginetest.Start(t, e, storedGang(t, "a-2", url, 2, `trap 'save 77; exit 0' TERM; echo ready; while :; do sleep 0.02; done`))
	enginetest.AwaitLog(t, e, "a-2", 0, "ready\n")
	if err := e.Stop(t.Context(), "a-2", time.Minute); err != nil {
		t.Fatal(err)
	}
	if status := enginetest.Await(t, e, "a-2", engine.Exited); !status.Stopped || status.ExitCode != 0 {
		t.Errorf("status %+v", status)
	}
	third := storedGang(t, "a-3", url, 3, "exit 0")
	if err := os.MkdirAll(filepath.Join(third.Env["YARD_CHECKPOINT_DIR"], "step-1000"), 0o700); err != nil {
		t.Fatal(err)
	}
	enginetest.Start(t, e, third)
	enginetest.Await(t, e, "a-3", engine.Exited)
	if log, _ := enginetest.ReadLog(t, e, "a-3", 0, 0); !strings.Contains(log, "from 77 ") || !strings.Contains(log, "step-1000 in the directory is of a superseded attempt") {
		t.Errorf("log %q", log)
	}

	// An attempt that comes too late never begins.
	enginetest.Start(t, e, storedGang(t, "a-late", url, 2, "exit 0"))
	if status := enginetest.Await(t, e, "a-late", engine.Exited); !status.Started.IsZero() || !strings.Contains(status.Reason, "superseded") {
		t.Errorf("status %+v", status)
	}
}
