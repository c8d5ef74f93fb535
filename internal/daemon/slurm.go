package daemon

import (
	"context"
	"io"

	"github.com/switchyard-ai/switchyard/internal/engine/slurm"
)

// SlurmBatch is the batch script of a gang's job on a Slurm cluster.
func SlurmBatch(ctx context.Context, dir string) error { return slurm.RunBatch(ctx, dir) }

// SlurmNode keeps the ranks of one node of a gang's job, and returns the exit
// code for this process.
func SlurmNode(dir string, stdout io.Writer) (int, error) { return slurm.RunNode(dir, stdout) }
