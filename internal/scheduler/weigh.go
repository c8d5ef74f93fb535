package scheduler

import (
	"fmt"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Verdict is what a move of a run to a pool would bring.
type Verdict struct {
	Pool     string
	Need     Need
	RuledOut []string // why the run cannot go on there

	Known      bool          // what follows is known, except Hourly, which always is
	Stay       units.Amount  // to the end of the run where it is
	Go         units.Amount  // to the end there, all that the move costs included
	Saving     units.Amount  // Stay − Go
	Share      float64       // Saving ÷ Stay
	Egress     units.Amount  // of the checkpoint, in Go
	Disruption time.Duration // until the run is where it was when it left
	Score      float64       // saving share ÷ disruption share
	Hourly     units.Amount  // of the nodes there

	// Contracted says that a price in it depends on contracts, and so on what
	// else runs.
	Contracted bool
	Unpriced   bool // no price is known there: Hourly says nothing

	unknown string // why what it brings is not known
	words   []string
	lost    time.Duration
	short   bool // the capacity there ends before the run is done
}

// Weigh works out what it brings to move a run: the cost of what is left here
// and there, where the work since the newest checkpoint is done again, the
// start is paid for, and the checkpoint travels. Score sets the share of the
// cost that is saved against the share of the time left that is disrupted.
func (s MoveSnapshot) Weigh(m Movable, d Destination) Verdict {
	v := Verdict{Pool: d.Pool, Need: d.Need, RuledOut: append([]string(nil), d.RuledOut...), Egress: d.Egress, lost: m.Lost}
	pool, known := poolIn(s.Pools, d.Pool)
	if !known {
		v.RuledOut = append(v.RuledOut, "it is not connected")
		return v
	}
	if why := closed(pool, s.Now); why != "" {
		v.RuledOut = append(v.RuledOut, why)
	}
	why, short := s.ending(pool, m, d)
	if why != "" && len(v.RuledOut) == 0 {
		v.RuledOut = append(v.RuledOut, why)
	}
	v.short = short
	rate, nodes := d.Price.rateOr(RateOf(pool, d.Need)), max(1, d.Need.Nodes)
	v.Hourly, v.Unpriced = rate.ForHours(nodes, time.Hour), pool.Unpriced
	v.Contracted = d.Price.Contracted() || m.Price.Contracted()
	for _, words := range []string{d.Price.Words("there"), m.Price.Words("here")} {
		if words != "" {
			v.words = append(v.words, words)
		}
	}
	if v.unknown = s.unknown(m, d, pool); v.unknown == "" {
		v.weigh(m, d, rate, nodes, s.setUp(d), s.Policy.Grace)
	}
	return v
}

// RateOf is the rate of a node-hour of a pool for what a run holds of a node.
func RateOf(pool fleet.Pool, need Need) units.Rate {
	if need.CoresPerRank > 0 && pool.Nodes == 1 {
		return shareOf(pool.Rate, need.CoresPerRank*max(1, need.Ranks), pool.Cores)
	}
	return pool.Rate
}

// unknown says why it is not known what a move brings, or "". A pool without a
// price is not weighed: nothing is guessed.
func (s MoveSnapshot) unknown(m Movable, d Destination, pool fleet.Pool) string {
	here, _ := poolIn(s.Pools, m.Attempt.Pool)
	switch {
	case pool.Unpriced:
		return "no price is known there (a rate in the site's file sets one)"
	case here.Unpriced:
		return "no price is known of where it runs"
	case pool.Rate.Currency != m.Attempt.Rate.Currency:
		return fmt.Sprintf("prices there are in %s, and here in %s", pool.Rate.Currency, m.Attempt.Rate.Currency)
	case d.Pace <= 0:
		return "how fast it goes there is not known"
	case !m.LeftKnown:
		return "how much work is left is not known"
	}
	return ""
}

// ending says that a pool's capacity ends too soon for a run to go there, and
// whether it ends before the run is done.
func (s MoveSnapshot) ending(pool fleet.Pool, m Movable, d Destination) (why string, short bool) {
	if pool.Ends.IsZero() {
		return "", false
	}
	useful, pause := pool.Ends.Sub(s.Now)-noticeOf(pool), d.Copy+s.setUp(d)
	if m.LeftKnown && d.Pace > 0 && pause+stretch(m.Left+m.Lost, d.Pace) < useful {
		return "", false
	}
	if useful < 2*noticeOf(pool)+pause {
		why = "its own capacity ends at " + clockTime(pool.Ends)
	}
	return why, true
}

func (s MoveSnapshot) setUp(d Destination) time.Duration {
	if d.SetUp > 0 {
		return d.SetUp
	}
	return s.Policy.SetUp
}

func (v *Verdict) weigh(m Movable, d Destination, rate units.Rate, nodes int, setUp, grace time.Duration) {
	here := m.Price.rateOr(m.Attempt.Rate)
	v.Stay = here.ForHours(m.Attempt.Nodes, m.Left)
	there := rate.ForHours(nodes, setUp+stretch(m.Left+m.Lost, d.Pace))
	leave := here.ForHours(m.Attempt.Nodes, grace)
	var err error
	if v.Go, err = there.Add(leave); err != nil {
		v.unknown = err.Error()
		return
	}
	if !d.Egress.IsZero() {
		if v.Go, err = v.Go.Add(d.Egress); err != nil {
			v.unknown = fmt.Sprintf("the way of its checkpoint is priced in %s, and the nodes in %s", d.Egress.Currency, v.Go.Currency)
			return // not compared
		}
	}
	if v.Saving, err = v.Stay.Sub(v.Go); err != nil {
		v.unknown = err.Error()
		return
	}
	v.Known = true
	v.Disruption = grace + d.Copy + setUp + stretch(m.Lost, d.Pace)
	if v.Stay.Micros > 0 {
		v.Share = float64(v.Saving.Micros) / float64(v.Stay.Micros)
	}
	if m.Left > 0 && v.Disruption > 0 {
		v.Score = v.Share / (float64(v.Disruption) / float64(m.Left))
	}
}

// TooLittle says why money alone does not justify a move.
func (s MoveSnapshot) TooLittle(v Verdict) []string {
	switch {
	case !v.Known:
		return []string{v.unknown}
	case v.short:
		return []string{"its capacity ends before the run would be done"}
	case v.Saving.Micros <= 0:
		return []string{fmt.Sprintf("it would cost %s to the end, and %s where it is", v.Go.Short(), v.Stay.Short())}
	case v.Share < s.Policy.MinSaving:
		return []string{fmt.Sprintf("it would save %s of what is left, and a move takes %s", percent(v.Share), percent(s.Policy.MinSaving))}
	case v.Score < s.Policy.MinScore:
		return []string{fmt.Sprintf("it would save %s and disrupt the run for %s: score %.1f, and a move takes %.1f", v.Saving.Short(), span(v.Disruption), v.Score, s.Policy.MinScore)}
	}
	return nil
}

// Explain says what a move would bring, for people; why is what asks for it, or "".
func (v Verdict) Explain(why string) []string { return v.reasons(why) }

func (v Verdict) reasons(why string) []string {
	var reasons []string
	if why != "" {
		reasons = append(reasons, why)
	}
	if v.Unpriced {
		return append(reasons, v.unknown)
	}
	if !v.Known {
		return append(append(reasons, fmt.Sprintf("an hour costs %s there; %s", v.Hourly.Short(), v.unknown)), v.words...)
	}
	saves := fmt.Sprintf("to the end it costs %s there and %s here", v.Go.Short(), v.Stay.Short())
	if v.Saving.Micros > 0 {
		saves += fmt.Sprintf(": %s less", percent(v.Share))
	}
	disrupts := fmt.Sprintf("disrupted for %s", span(v.Disruption))
	if v.lost > 0 {
		disrupts += fmt.Sprintf(", %s of it work since the checkpoint", span(v.lost))
	}
	reasons = append(reasons, saves, disrupts)
	if v.Saving.Micros > 0 {
		reasons = append(reasons, fmt.Sprintf("score %.1f", v.Score))
	}
	if !v.Egress.IsZero() {
		reasons = append(reasons, "the checkpoint's way costs "+v.Egress.Short())
	}
	return append(reasons, v.words...)
}

func clockTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

func percent(share float64) string { return fmt.Sprintf("%.0f%%", 100*share) }

func poolIn(pools []fleet.Pool, id string) (fleet.Pool, bool) {
	for _, pool := range pools {
		if pool.ID() == id {
			return pool, true
		}
	}
	return fleet.Pool{}, false
}

// stretch is a duration at another pace, bounded to a century.
func stretch(d time.Duration, pace float64) time.Duration {
	stretched := d.Seconds() * pace
	if stretched > longest {
		stretched = longest
	}
	return seconds(stretched)
}
