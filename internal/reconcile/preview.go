package reconcile

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// Preview is what a run of a workload would be on a pool.
type Preview struct {
	Pool   string // SITE/POOL
	Engine string
	Nodes  int
	Ranks  int
	Reason string // why this pool
	// Text is what the engine would hand to the site: manifests, a batch script,
	// or on this machine the command of a rank.
	Text string
	// Checked tells that the site itself took it, without starting anything.
	Checked bool
}

// previewed is the number of a run that is not there. No run has its name: those
// of runs end in random digits.
const previewed = "dry-run"

// Preview shows what an attempt of a workload would be on the pool that on names
// (SITE/POOL), on the best pool of the site that it names, or on the best of all
// where it is "". Nothing is recorded or started, and no room is needed now.
func (l *Loop) Preview(ctx context.Context, request Request, on string) (Preview, error) {
	now := l.Clock()
	w, err := l.Parse(request.File, request.Content, now)
	if err != nil {
		return Preview{}, err
	}
	run := asked(request, w, now)
	if err := workload.CheckStanding(run.Project, run.Priority); err != nil {
		return Preview{}, err
	}
	run.ID = w.Name + "-" + previewed
	choice, err := l.previewPool(ctx, run, on)
	if err != nil {
		return Preview{}, err
	}
	p := choice.pool
	need := choice.candidate.Need
	attempt := newAttempt(run, scheduler.Placement{
		Run: run.ID, Pool: p, Nodes: need.Nodes, Ranks: need.Ranks, Chips: need.Nodes * max(1, p.ChipsPerNode), Rate: p.Rate,
	}, 1, now)
	gang, err := l.gangOf(w, run, attempt, p)
	if err != nil {
		return Preview{}, err
	}
	place, err := l.Sites.Find(p.Site)
	if err != nil {
		return Preview{}, err
	}
	out := Preview{Pool: p.ID(), Engine: place.Engine, Nodes: need.Nodes, Ranks: need.Ranks, Reason: choice.reason}
	eng, err := l.Sites.Engine(p.Site)
	if err != nil {
		return Preview{}, err
	}
	shows, ok := eng.(engine.Previewer)
	if !ok {
		out.Text = commandLine(gang)
		return out, nil
	}
	out.Text, out.Checked, err = shows.Preview(ctx, gang)
	return out, err
}

// aim is the pool that a preview is of.
type aim struct {
	pool      fleet.Pool
	candidate scheduler.Candidate
	reason    string
}

// previewPool finds the pool: the one that costs least of those asked for.
func (l *Loop) previewPool(ctx context.Context, run fleet.Run, on string) (aim, error) {
	pools := l.Pools(ctx)
	if on != "" {
		all := pools
		pools = slices.DeleteFunc(slices.Clone(all), func(p fleet.Pool) bool { return !scheduler.Aims(on, p.ID()) })
		if len(pools) == 0 {
			return aim{}, fault.Newf(fault.NotFound, "no connected pool is %q; there are %s", on, strings.Join(poolIDs(all), ", "))
		}
	}
	run.ID = previewed + hex.EncodeToString(l.Random(8)) // match remembers runs by their names
	waiting := l.match(run, nil, pools, l.Clock())
	if len(waiting.Candidates) == 0 {
		return aim{}, fault.Newf(fault.NoCapacity, "no connected pool can take it: %s", strings.Join(waiting.RuledOut, "; "))
	}
	best := waiting.Candidates[0]
	pool, _ := findPool(pools, best.Pool)
	reason := strings.Join(best.Reasons, "; ")
	if on != "" && len(pools) == 1 {
		reason = "asked for"
	}
	return aim{pool, best, reason}, nil
}

// commandLine is the command of a rank with the variables that the workload and
// yard set, as a shell reads it. Secrets are named and not told.
func commandLine(gang engine.Gang) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(gang.Env)) {
		words = append(words, name+"="+shellQuote(gang.Env[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(gang.Secrets)) {
		words = append(words, fmt.Sprintf("%s=<secret>", name))
	}
	for _, word := range gang.Command {
		words = append(words, shellQuote(word))
	}
	return strings.Join(words, " ") + "\n"
}

// shellQuote quotes a word where a shell would take it apart.
func shellQuote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./=:,+@%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
