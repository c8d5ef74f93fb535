package slurm

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
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
	out, err := e.slurm.call(ctx, "", "sacct", "--noheader", "--parsable2", "--allocations", "--duplicates",
		fmt.Sprintf("--starttime=uts%d", max(since.Unix(), 1)), "--format=JobIDRaw,State,Start,End,NNodes,WorkDir")
	if err != nil {
		if strings.Contains(err.Error(), "accounting storage is disabled") {
			err = fault.Wrap(fault.NotFound, err, "site "+e.site.Name)
		}
		return nil, err
	}
	gangs := filepath.Join(e.shared(), "gangs") + string(filepath.Separator)
	var used []Used
	for line := range strings.Lines(out) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "|", 6)
		if len(f) != 6 {
			continue
		}
		key, ours := strings.CutPrefix(f[5], gangs)
		start := seconds(f[2])
		if !ours || start.IsZero() {
			continue
		}
		state, _, _ := strings.Cut(f[1], " ") // "CANCELLED by 1000"
		nodes, _ := strconv.Atoi(f[4])
		used = append(used, Used{Key: key, Job: f[0], State: state, Start: start, End: seconds(f[3]), Nodes: nodes})
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
