package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
)

const (
	verbSlow = "slow"
	// slowSpells is how often an attempt's run is told of that the same rank
	// becomes slow: one that comes and goes is not told of for ever.
	slowSpells = 3
	// mostNamed bounds the ranks that one decision names.
	mostNamed = 8
	// suspectAfter is how long a rank must have been slow when its attempt ended
	// for its node to be suspect: a restart may be due to anything.
	suspectAfter = 5 * time.Minute
)

// judgePaces takes how fast the ranks go: who is slow is kept with the attempt,
// and told once.
func (o outcome) judgePaces(paces []fleet.Pace, now time.Time) outcome {
	before := o.attempt.Slow
	after := scheduler.SlowRanks(paces, before, now)
	if slices.Equal(before, after) {
		return o
	}
	o.attempt.Slow, o.change = after, changeProgress
	if reasons := slowNews(before, after); len(reasons) > 0 {
		o.decision = decision(o.run, now, verbSlow, o.attempt.Key(), reasons...)
	}
	return o
}

// slowNews says which ranks became slow, and which keep up again.
func slowNews(before, after []fleet.SlowRank) []string {
	var news []string
	for _, s := range after {
		i := slices.IndexFunc(before, func(b fleet.SlowRank) bool { return b.Rank == s.Rank })
		was := i >= 0 && before[i].IsSlow()
		if s.Spells > slowSpells || was == s.IsSlow() {
			continue
		}
		text := s.Text()
		if was {
			text = s.Name() + " keeps up with the others again"
		}
		if s.Spells == slowSpells {
			text += fmt.Sprintf("; time %d, from now on it is shown and not told", slowSpells)
		}
		news = append(news, text)
	}
	if more := len(news) - mostNamed; more > 0 {
		news = append(news[:mostNamed], fmt.Sprintf("and %d ranks more", more))
	}
	return news
}

// suspects are the nodes of a site on which ranks of a run were slow for long,
// and to the end of their attempt, the latest first.
func suspects(attempts []fleet.Attempt, site string) []string {
	var nodes []string
	for _, a := range slices.Backward(attempts) {
		if a.Site != site || !a.State.Final() {
			continue
		}
		for _, s := range a.Slow {
			if s.Node != "" && s.IsSlow() && a.Ended.Sub(s.Since) >= suspectAfter && !slices.Contains(nodes, s.Node) {
				nodes = append(nodes, s.Node)
			}
		}
	}
	return nodes
}

// avoided are the nodes that an attempt stays away from: those that ended
// attempts of its run, whatever that costs; and suspects as far as its pool has
// others to spare, since a slow node is better than none.
func avoided(attempt fleet.Attempt, attempts, live []fleet.Attempt, pool fleet.Pool) []string {
	bad := cordoned(attempts)
	spare := max(pool.Nodes, pool.MaxNodes) - attempt.Nodes - len(bad)
	for _, other := range live {
		if other.Pool == attempt.Pool && other.Key() != attempt.Key() {
			spare -= other.Nodes
		}
	}
	nodes := slices.Clone(bad)
	for _, node := range suspects(attempts, attempt.Site) {
		if spare > 0 && !slices.Contains(bad, node) {
			nodes = append(nodes, node)
			spare--
		}
	}
	return nodes
}

// suspicion says that the nodes of an attempt that ended are suspect, "" where
// none is.
func suspicion(ended fleet.Attempt) string {
	nodes := suspects([]fleet.Attempt{ended}, ended.Site)
	if len(nodes) == 0 {
		return ""
	}
	return fmt.Sprintf("from now on it avoids %s where the pool has other nodes: slow to the end, for %s at least",
		strings.Join(nodes, ", "), suspectAfter)
}
