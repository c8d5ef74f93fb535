package slurm

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// Used implements engine.Accountant: what Slurm's accounting says that the gangs
// of this site held. Other jobs of the cluster are none of its business.
func (e *Engine) Used(ctx context.Context, since time.Time) ([]fleet.Used, error) {
	jobs, err := e.slurm.accounted(ctx, past{since: since})
	if err != nil {
		return nil, err
	}
	gangs := filepath.Join(e.shared(), "gangs") + string(filepath.Separator)
	var used []fleet.Used
	for _, j := range jobs {
		if key, ours := strings.CutPrefix(j.Dir, gangs); ours && !j.Start.IsZero() && j.Count > 0 {
			used = append(used, fleet.Used{Key: key, Job: j.ID, State: j.State, Start: j.Start, End: j.End, Nodes: j.Count})
		}
	}
	return used, nil
}
