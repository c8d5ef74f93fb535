package slurmlab_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/lab/slurmlab"
)

func TestLab(t *testing.T) {
	if testing.Short() {
		t.Skip("real Slurm is left out of -short")
	}
	if missing := slurmlab.Missing(); missing != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip("SKIPPED: " + missing)
	}
	began := time.Now()
	lab, err := slurmlab.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() {
		began := time.Now()
		if err := lab.Stop(); err != nil {
			t.Error(err)
		}
		if left := lab.Strays(); len(left) > 0 {
			t.Errorf("processes %v are left", left)
		}
		t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
	})
	out, err := lab.Call(t.Context(), "srun", "--nodes=4", "--gres=gpu:h100:8", "sh", "-c", `echo "$SLURMD_NODENAME $CUDA_VISIBLE_DEVICES"`)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range slurmlab.Nodes() {
		if !strings.Contains(out, node+" 0,1,2,3,4,5,6,7\n") {
			t.Errorf("srun on four nodes wrote\n%s", out)
		}
	}
}
