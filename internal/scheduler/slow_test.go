package scheduler

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/fleet"
)

var slowNow = time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)

// works is the pace of a rank that tells of its own work; the gang's step is 3 s.
func works(rank int, seconds ...float64) fleet.Pace {
	return fleet.Pace{Rank: rank, Node: "node-" + string(rune('a'+rank)), Compute: seconds, Seconds: times(3, len(seconds))}
}

func steps(rank int, seconds ...float64) fleet.Pace { return fleet.Pace{Rank: rank, Seconds: seconds} }

func times(x float64, n int) []float64 { return slices.Repeat([]float64{x}, n) }

func slowNumbers(ranks []fleet.SlowRank) []int {
	var numbers []int
	for _, r := range ranks {
		if r.IsSlow() {
			numbers = append(numbers, r.Rank)
		}
	}
	return numbers
}

func TestSlowRanks(t *testing.T) {
	was := func(rank int) []fleet.SlowRank {
		return []fleet.SlowRank{{Rank: rank, Seconds: 2, Others: 1, Since: slowNow.Add(-time.Hour), Spells: 1}}
	}
	for name, tt := range map[string]struct {
		paces  []fleet.Pace
		before []fleet.SlowRank
		want   []int
	}{
		"nobody tells anything": {},
		"one rank alone":        {paces: []fleet.Pace{works(0, times(1, 16)...)}},
		"all alike":             {paces: []fleet.Pace{works(0, times(1, 16)...), works(1, times(1.02, 16)...), works(2, times(0.99, 16)...)}},
		"one of three":          {paces: []fleet.Pace{works(0, times(1.1, 16)...), works(1, times(1.2, 16)...), works(2, times(2.4, 16)...)}, want: []int{2}},
		"one of two":            {paces: []fleet.Pace{works(0, times(2.4, 16)...), works(1, times(1.1, 16)...)}, want: []int{0}},
		"two of five":           {paces: []fleet.Pace{works(0, times(1, 8)...), works(1, times(1, 8)...), works(2, times(2, 8)...), works(3, times(1, 8)...), works(4, times(3, 8)...)}, want: []int{2, 4}},
		"most of them":          {paces: []fleet.Pace{works(0, times(1, 8)...), works(1, times(2, 8)...), works(2, times(2, 8)...)}},
		"too few points":        {paces: []fleet.Pace{works(0, times(1, 7)...), works(1, times(9, 7)...)}},
		"one of them too few":   {paces: []fleet.Pace{works(0, times(1, 8)...), works(1, times(9, 7)...)}},
		"a moment's hiccup": {paces: []fleet.Pace{
			works(0, times(1, 16)...), works(1, append(times(1, 12), 9, 9, 9, 9)...)}},
		"slow half of the time": {paces: []fleet.Pace{
			works(0, times(1, 16)...), works(1, append(times(1, 7), times(9, 9)...)...)}},
		"a wide field": {paces: []fleet.Pace{
			works(0, times(0.8, 8)...), works(1, times(1.0, 8)...), works(2, times(1.2, 8)...), works(3, times(1.5, 8)...)}},
		"steps, where none tells of its work": {paces: []fleet.Pace{steps(0, times(1, 8)...), steps(1, times(1, 8)...), steps(2, times(4, 8)...)}, want: []int{2}},
		"ranks that wait for each other, by their steps": {paces: []fleet.Pace{
			steps(0, times(2.4, 8)...), steps(1, times(2.401, 8)...), steps(2, times(2.399, 8)...)}},
		"work goes before steps": {paces: []fleet.Pace{
			{Rank: 0, Seconds: times(1, 8), Compute: times(1, 8)}, {Rank: 1, Seconds: times(5, 8), Compute: times(1, 8)}}},
		"slow, and near the bound": {paces: []fleet.Pace{works(0, times(1, 8)...), works(1, times(1.2, 8)...)}, before: was(1), want: []int{1}},
		"near the bound, not slow": {paces: []fleet.Pace{works(0, times(1, 8)...), works(1, times(1.2, 8)...)}},
		"it keeps up again":        {paces: []fleet.Pace{works(0, times(1, 8)...), works(1, times(1.1, 8)...)}, before: was(1)},
		"nothing new of it":        {paces: []fleet.Pace{works(0, times(1, 8)...), works(2, times(1, 8)...)}, before: was(1), want: []int{1}},
		"nothing new at all":       {before: was(1), want: []int{1}},
		"less than a millisecond":  {paces: []fleet.Pace{works(0, times(1e-9, 8)...), works(1, times(1e-9, 8)...), works(2, times(1e-6, 8)...)}},
		"work that takes no time":  {paces: []fleet.Pace{works(0, times(0, 8)...), works(1, times(0, 8)...), works(2, times(1, 8)...)}},
	} {
		after := SlowRanks(tt.paces, tt.before, slowNow)
		if got := slowNumbers(after); !slices.Equal(got, tt.want) {
			t.Errorf("%s: slow are %v; want %v", name, got, tt.want)
		}
	}
}

// TestASlowRankIsDescribed: the words that people read, from a spell's beginning
// to its end and to the next.
func TestASlowRankIsDescribed(t *testing.T) {
	gang := func(seconds float64) []fleet.Pace {
		return []fleet.Pace{works(0, times(1.1, 8)...), works(1, times(seconds, 8)...), works(2, times(1.08, 8)...), works(3, times(1.2, 8)...)}
	}
	first := SlowRanks(gang(2.4), nil, slowNow)
	want := "rank 1 on node-b is slow: 2.40 s of its own work a step, the others 1.10 s (median)"
	if len(first) != 1 || first[0].Text() != want || !first[0].Since.Equal(slowNow) || first[0].Spells != 1 {
		t.Fatalf("%+v; want %s", first, want)
	}
	over := SlowRanks(gang(1.1), first, slowNow.Add(time.Minute))
	if len(over) != 1 || !over[0].Until.Equal(slowNow.Add(time.Minute)) || over[0].Seconds != 1.1 {
		t.Errorf("%+v; want it over after a minute", over)
	}
	if still := SlowRanks(gang(1.1), over, slowNow.Add(time.Hour)); !reflect.DeepEqual(still, over) {
		t.Errorf("%+v; want no change from %+v", still, over)
	}
	again := SlowRanks(gang(3), over, slowNow.Add(2*time.Minute))
	if len(again) != 1 || again[0].Spells != 2 || !again[0].IsSlow() || !again[0].Since.Equal(slowNow.Add(2*time.Minute)) {
		t.Errorf("%+v; want a second spell", again)
	}
	if first[0].Spells != 1 || !first[0].IsSlow() {
		t.Errorf("what was said before became %+v", first)
	}
}

func drawPaces(t *rapid.T) []fleet.Pace {
	n := rapid.IntRange(0, 12).Draw(t, "ranks")
	paces := make([]fleet.Pace, n)
	figure := rapid.Float64Range(0.01, 10)
	for i := range paces {
		base := figure.Draw(t, "base")
		points := make([]float64, rapid.IntRange(0, fleet.PacePoints).Draw(t, "points"))
		for j := range points {
			points[j] = base * rapid.Float64Range(0.7, 1.4).Draw(t, "noise")
		}
		paces[i] = fleet.Pace{Rank: i, Seconds: points}
		if rapid.Bool().Draw(t, "says") {
			paces[i].Compute = points
		}
	}
	return paces
}

func TestSlowRanksProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		paces := drawPaces(t)
		before := SlowRanks(drawPaces(t), nil, slowNow.Add(-time.Hour))
		after := SlowRanks(paces, before, slowNow)
		shuffled := slices.Clone(paces)
		rand.New(rand.NewPCG(uint64(rapid.Int().Draw(t, "shuffle")), 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if other := SlowRanks(shuffled, before, slowNow); !reflect.DeepEqual(other, after) {
			t.Errorf("in another order %+v, not %+v", other, after)
		}
		found := SlowRanks(paces, nil, slowNow)
		fresh := slowNumbers(found)
		if again := slowNumbers(SlowRanks(paces, found, slowNow.Add(time.Minute))); !containsAll(again, fresh) {
			t.Errorf("%v are slow, and with the same paces %v", fresh, again)
		}
		if 2*len(fresh) > len(paces) {
			t.Errorf("%v of %d ranks are slow: more than half", fresh, len(paces))
		}
		for _, rank := range fresh { // slower still is slow
			worse := slices.Clone(paces)
			worse[rank].Seconds, worse[rank].Compute = scaled(worse[rank].Seconds, 2), scaled(worse[rank].Compute, 2)
			if !slices.Contains(slowNumbers(SlowRanks(worse, nil, slowNow)), rank) {
				t.Errorf("rank %d is slow, but not at half its speed", rank)
			}
		}
		all := slices.Clone(paces) // a unit of time makes no difference; a power of two is exact
		for i := range all {
			all[i].Seconds, all[i].Compute = scaled(all[i].Seconds, 1024), scaled(all[i].Compute, 1024)
		}
		if got := slowNumbers(SlowRanks(all, nil, slowNow)); !slices.Equal(got, fresh) {
			t.Errorf("in another unit %v, not %v", got, fresh)
		}
	})
}

func scaled(figures []float64, by float64) []float64 {
	out := make([]float64, len(figures))
	for i, x := range figures {
		out[i] = x * by
	}
	return out
}

func containsAll(have, want []int) bool {
	return !slices.ContainsFunc(want, func(n int) bool { return !slices.Contains(have, n) })
}
