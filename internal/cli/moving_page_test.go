package cli

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/reconcile"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// TestMovingPage reads the workload of docs/moving.md, which may go from GPUs to
// Trainium and back, and compares the page's bounds with those in force.
func TestMovingPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/moving.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(page), "```yaml\n")
	file, _, ended := strings.Cut(example, "```\n")
	if !found || !ended {
		t.Fatal("the page has no workload")
	}
	w, err := workload.Parse("moving.md", []byte(file), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range [][2]chip.Family{{chip.CUDA, chip.Neuron}, {chip.Neuron, chip.CUDA}} {
		if why := w.Unreadable(way[0], way[1]); why != "" {
			t.Error(why)
		}
	}
	p := scheduler.DefaultMovePolicy()
	if p.MinScore != 2 || p.MinSaving != 0.10 || p.MinLeft != 30*time.Minute || p.Rest != 30*time.Minute || p.PerRun != 2 || p.PerDay != 50 {
		t.Errorf("the page tells of other bounds than %+v", p)
	}
	if reconcile.TrialSteps != 50 || reconcile.TrialTolerance != 0.05 {
		t.Error("the page tells of other trials")
	}
}
