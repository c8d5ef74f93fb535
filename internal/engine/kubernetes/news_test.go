package kubernetes

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// Of a gang of several nodes the first is read each time, and of the others one
// after the other, each from where it was read last.
func TestNewsOfAllNodes(t *testing.T) {
	c := newsCache{last: map[string]*news{}}
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	began := now
	read := map[int][]time.Time{}
	for range 7 {
		due := c.due("four", 4, now)
		if len(due) != 2 {
			t.Fatalf("at %v due are %v; want the first node and another", now.Sub(began), due)
		}
		if again := c.due("four", 4, now.Add(time.Hour)); again != nil {
			t.Fatalf("while it is read, due are %v", again)
		}
		for node, since := range due {
			if had := read[node]; len(had) > 0 && !since.Equal(had[len(had)-1]) || len(had) == 0 && !since.IsZero() {
				t.Errorf("node %d is read from %v; it was read at %v", node, since, had)
			}
			read[node] = append(read[node], now)
		}
		c.put("four", heard{})
		if soon := c.due("four", 4, now.Add(newsEvery-time.Millisecond)); soon != nil {
			t.Fatalf("before its time, due are %v", soon)
		}
		now = now.Add(newsEvery)
	}
	if got := []int{len(read[0]), len(read[1]), len(read[2]), len(read[3])}; !slices.Equal(got, []int{7, 3, 2, 2}) {
		t.Errorf("nodes were read %v times; want the others in turn", got)
	}
}

// However many gangs there are, a site costs no more reads a second.
func TestNewsAreRationed(t *testing.T) {
	c := newsCache{last: map[string]*news{}}
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	reads := 0
	const seconds, gangs = 60, 300
	for range 10 * seconds {
		now = now.Add(100 * time.Millisecond)
		for gang := range gangs {
			name := fmt.Sprint(gang)
			if due := c.due(name, 1+gang%3, now); due != nil {
				reads += len(due)
				c.put(name, heard{})
			}
		}
	}
	// Each gang is read at once when it is new, and then by the rate.
	if most := seconds*newsRate + 2*gangs; reads > most || reads < most/3 {
		t.Errorf("%d reads in %d s; want up to %d", reads, seconds, most)
	}
	for gang := range gangs {
		c.drop(fmt.Sprint(gang))
	}
	if c.reads != 0 || len(c.last) != 0 {
		t.Errorf("after all are gone: %d reads, %d gangs", c.reads, len(c.last))
	}
}

func TestNewsCollectPaces(t *testing.T) {
	c := newsCache{last: map[string]*news{}}
	now := time.Now()
	if c.due("a", 2, now) == nil {
		t.Fatal("nothing is due at first")
	}
	point := ranks.PacePoint{Rank: 5, Step: 3, Seconds: 2, Compute: 1}
	c.put("a", heard{points: []fleet.Progress{{Step: 2}, {Step: 3}}, paces: []ranks.PacePoint{point, point}})
	progress, paces := c.latest("a")
	if progress.Step != 3 || len(paces) != 1 || paces[0].Rank != 5 || len(paces[0].Compute) != 1 {
		t.Errorf("%+v, %+v; want the last report, and the point once", progress, paces)
	}
	s := sight{marks: marks{shape: shape{PerNode: 4}}, parts: []part{{node: "n1"}, {node: "n2"}}}
	if placed := s.placed(paces); placed[0].Node != "n2" || paces[0].Node != "" {
		t.Errorf("placed %+v, before %+v; want rank 5 on n2, and what is kept as it was", placed, paces)
	}
	if progress, paces := c.latest("b"); progress.Step != 0 || paces != nil {
		t.Errorf("of a gang that is not known: %+v, %+v", progress, paces)
	}
}
