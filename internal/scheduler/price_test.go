package scheduler

import (
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// under is a price of a pool under a contract.
func under(list, marginal string) Price {
	return Price{
		List: units.MustRate(list, units.USD), Marginal: units.MustRate(marginal, units.USD), Reason: "uses what plan leaves unused", Contracts: []string{"plan"},
	}
}

func TestWordsOfPrices(t *testing.T) {
	for _, c := range []struct {
		price Price
		want  string
	}{
		{under("50", "0"), "a node-hour there costs nothing now in place of $50.00: uses what plan leaves unused"},
		{under("50", "30.6"), "a node-hour there costs $30.60 in place of $50.00: uses what plan leaves unused"},
		{under("50", "-4"), "a node-hour there takes $4.00 off the bill in place of $50.00: uses what plan leaves unused"},
		{under("50", "50"), ""},
		{Price{List: units.MustRate("50", units.USD), Marginal: units.MustRate("0", units.USD)}, ""},
	} {
		if got := c.price.Words("there"); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// cheaper is a snapshot of runs of ten hours on a/p, of which going to b/p
// saves half.
func cheaper(runs ...string) MoveSnapshot {
	s := MoveSnapshot{Policy: DefaultMovePolicy()}
	s.Now, s.Holder = noon, map[string]string{}
	for _, site := range []string{"a", "b"} {
		s.Pools = append(s.Pools, fleet.Pool{Site: site, Name: "p", ChipsPerNode: 1, Nodes: 4, MaxNodes: 4, Rate: units.MustRate("10", units.USD)})
	}
	s.Pools[1].Rate = units.MustRate("5", units.USD)
	for _, id := range runs {
		s.Runs = append(s.Runs, Movable{
			Run: fleet.Run{ID: id}, Left: 10 * time.Hour, LeftKnown: true,
			Attempt: fleet.Attempt{Run: id, Pool: "a/p", Site: "a", Nodes: 1, Rate: units.MustRate("10", units.USD), Started: noon.Add(-time.Hour)},
			Places:  []Destination{{Pool: "b/p", Need: Need{Nodes: 1}, Pace: 1}},
		})
	}
	return s
}

// Prices under contracts follow what runs where: such moves for money are made
// one at a time, those by list price are not bounded by that.
func TestMovesUnderContractsGoOneAtATime(t *testing.T) {
	if moves, _ := Moves(cheaper("x", "y", "z")); len(moves) != 3 {
		t.Fatalf("%d of three runs move by list price", len(moves))
	}
	contracted := func() MoveSnapshot {
		s := cheaper("x", "y", "z")
		for i := range s.Runs {
			s.Runs[i].Places[0].Price = under("5", "0")
		}
		return s
	}
	moves, _ := Moves(contracted())
	if len(moves) != 1 || !moves[0].Contracted || moves[0].Go.Micros >= 1_000_000 {
		t.Fatalf("%+v", moves)
	}
	if why := strings.Join(moves[0].Reasons, "; "); !strings.Contains(why, "a node-hour there costs nothing now in place of $5.00") {
		t.Error(why)
	}
	s := contracted()
	s.Coming = []Coming{{Run: "w", Pool: "b/p", Nodes: 1}}
	if moves, _ := Moves(s); len(moves) != 0 {
		t.Errorf("%+v while another is on its way", moves)
	}
	s = contracted()
	s.Runs[0].Price = under("10", "0") // nothing is saved by leaving what costs nothing
	s.Runs = s.Runs[:1]
	if moves, _ := Moves(s); len(moves) != 0 {
		t.Errorf("%+v from where it costs nothing", moves)
	}
}

// What cannot be compared is not moved for money, and says why.
func TestWhatIsNotComparedSaysWhy(t *testing.T) {
	for _, c := range []struct {
		change func(*MoveSnapshot)
		want   string
	}{
		{func(s *MoveSnapshot) { s.Pools[1].Unpriced = true }, "no price is known there (a rate in the site's file sets one)"},
		{func(s *MoveSnapshot) { s.Pools[0].Unpriced = true }, "no price is known of where it runs"},
		{func(s *MoveSnapshot) { s.Pools[1].Rate = units.MustRate("5", "EUR") }, "prices there are in EUR, and here in USD"},
		{func(s *MoveSnapshot) { s.Runs[0].Places[0].Pace = 0 }, "how fast it goes there is not known"},
		{func(s *MoveSnapshot) { s.Runs[0].LeftKnown = false }, "how much work is left is not known"},
	} {
		s := cheaper("x")
		c.change(&s)
		if moves, _ := Moves(s); len(moves) != 0 {
			t.Errorf("%s: %+v", c.want, moves)
		}
		v := s.Weigh(s.Runs[0], s.Runs[0].Places[0])
		if got := s.TooLittle(v); len(got) != 1 || got[0] != c.want || !strings.Contains(strings.Join(v.Explain(""), "; "), c.want) {
			t.Errorf("%q %q, want %q", got, v.Explain(""), c.want)
		}
	}
	// Who must leave goes where a price is known first.
	s := cheaper("x")
	s.Pools = append(s.Pools, fleet.Pool{Site: "c", Name: "p", ChipsPerNode: 1, Nodes: 4, Unpriced: true, Rate: units.MustRate("0", units.USD)})
	s.Pools[0].Draining = true
	s.Runs[0].LeftKnown = false
	s.Runs[0].Places = append(s.Runs[0].Places, Destination{Pool: "c/p", Need: Need{Nodes: 1}, Pace: 1})
	if moves, _ := Moves(s); len(moves) != 1 || moves[0].To != "b/p" {
		t.Errorf("%+v", moves)
	}
}
