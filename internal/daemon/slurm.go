package daemon

import (
	"cmp"
	"context"
	"io"
	"os"
	"slices"

	"github.com/switchyard-ai/switchyard/internal/catalog"
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
func openSlurm(s *site.Site, offers *catalog.Catalog) (engine.Engine, error) {
	self, err := slurmSelf()
	if err != nil {
		return nil, err
	}
	of := withCatalogChips(*s, offers)
	if of.Slurm.SSH != "" {
		return slurm.NewRemote(of, self, slurm.SSH(*of.Slurm)), nil
	}
	return slurm.New(of, self, slurm.System(of.Slurm.Bin, of.Slurm.Config)), nil
}

// withCatalogChips adds to pools of a known instance type the chips that it has,
// where the file says nothing of them: Slurm's names of resources may be anything.
func withCatalogChips(s site.Site, offers *catalog.Catalog) site.Site {
	s.Pools = slices.Clone(s.Pools)
	for i := range s.Pools {
		p := &s.Pools[i]
		if p.InstanceType == "" || p.Chip != "" || offers == nil {
			continue
		}
		t, err := offers.Type(cmp.Or(p.Provider, s.Provider), p.InstanceType)
		if err != nil || t.Chip == nil {
			continue
		}
		p.Chip, p.ChipsPerNode = t.Chip.ID, cmp.Or(p.ChipsPerNode, t.Chips)
	}
	return s
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
