package daemon

import (
	"context"
	"io"
	"os"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/slurm"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// slurmSubcommand is how this binary does a gang's part on a Slurm cluster.
const slurmSubcommand = "slurm"

func slurmSelf() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "finding this program's own file")
	}
	return []string{self, slurmSubcommand}, nil
}

// openSlurm makes the engine of a Slurm cluster: over ssh where the site says so.
func openSlurm(s *site.Site) (engine.Engine, error) {
	self, err := slurmSelf()
	if err != nil {
		return nil, err
	}
	if s.Slurm.SSH != "" {
		return slurm.NewRemote(*s, self, slurm.SSH(*s.Slurm)), nil
	}
	return slurm.New(*s, self, slurm.System(s.Slurm.Bin, s.Slurm.Config)), nil
}

// SlurmBatch is the batch script of a gang's job on a Slurm cluster.
func SlurmBatch(ctx context.Context, dir string) error { return slurm.RunBatch(ctx, dir) }

// SlurmNode keeps the ranks of one node of a gang's job, and returns the exit
// code for this process.
func SlurmNode(dir string, stdout io.Writer) (int, error) { return slurm.RunNode(dir, stdout) }

// SlurmServe runs the engine of a Slurm cluster for a control plane on another
// machine.
func SlurmServe(ctx context.Context, in io.Reader, out io.Writer) error {
	self, err := slurmSelf()
	if err != nil {
		return err
	}
	return slurm.Serve(ctx, self, in, out)
}
