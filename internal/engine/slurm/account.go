package slurm

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Used is what Slurm's accounting says that a gang of this site used. Its node
// time is what the cluster charges, whatever yard saw of it.
type Used struct {
	Key   string    `json:"key"`
	Job   string    `json:"job"`
	State string    `json:"state"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end,omitzero"` // zero while it runs
	Nodes int       `json:"nodes"`
}

// NodeTime is how long the job held its nodes, summed over them, until now
// where it runs.
func (u Used) NodeTime(now time.Time) time.Duration {
	end := u.End
	if end.IsZero() {
		end = now
	}
	if u.Start.IsZero() || end.Before(u.Start) {
		return 0
	}
	return time.Duration(u.Nodes) * end.Sub(u.Start)
}

// Used asks sacct what the gangs of this site have used since the time, by its
// own clock. It is fault.NotFound where the cluster keeps no accounting.
func (e *Engine) Used(ctx context.Context, since time.Time) ([]Used, error) {
	jobs, err := e.slurm.accounted(ctx, past{since: since})
	if err != nil {
		return nil, err
	}
	gangs := filepath.Join(e.shared(), "gangs") + string(filepath.Separator)
	var used []Used
	for _, j := range jobs {
		if key, ours := strings.CutPrefix(j.Dir, gangs); ours && !j.Start.IsZero() && j.Count > 0 {
			used = append(used, Used{Key: key, Job: j.ID, State: j.State, Start: j.Start, End: j.End, Nodes: j.Count})
		}
	}
	return used, nil
}

// Difference is a gang for which the ledger and Slurm's accounting disagree.
type Difference struct {
	Key    string
	Booked time.Duration // node time in the ledger
	Used   time.Duration // node time by sacct, all jobs of the gang
}

// Reconcile compares the node time that is booked, by gang, with what the
// accounting says until now, and returns the gangs for which they differ by more
// than the tolerance for each of a gang's nodes, in the order of what was used.
// A gang that was booked and is not in the accounting comes last.
func Reconcile(booked map[string]time.Duration, used []Used, tolerance time.Duration, now time.Time) []Difference {
	var order []string
	total, allowed := map[string]time.Duration{}, map[string]time.Duration{}
	for _, u := range used {
		if _, seen := total[u.Key]; !seen {
			order = append(order, u.Key)
		}
		total[u.Key] += u.NodeTime(now)
		allowed[u.Key] += time.Duration(u.Nodes) * tolerance
	}
	for _, key := range slices.Sorted(maps.Keys(booked)) {
		if _, seen := total[key]; !seen {
			order = append(order, key)
		}
	}
	var differences []Difference
	for _, key := range order {
		if d := booked[key] - total[key]; d > allowed[key] || -d > allowed[key] {
			differences = append(differences, Difference{Key: key, Booked: booked[key], Used: total[key]})
		}
	}
	return differences
}
