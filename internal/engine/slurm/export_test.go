package slurm

import (
	"context"

	"github.com/switchyard-ai/switchyard/internal/engine"
)

// TestOnly asks sbatch when the gang would start, and submits nothing.
func (e *Engine) TestOnly(ctx context.Context, gang engine.Gang) (string, error) {
	dir := e.gangDir(gang.Key)
	a := accepted{Gang: gang, Notice: e.notice(gang), Self: e.self}
	bounded, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	o := e.order(dir, a)
	_, said, err := e.slurm.(client).run(bounded, o.script, "sbatch", append([]string{"--test-only"}, o.args()...)...)
	return said, err
}
