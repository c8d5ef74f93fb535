package ranks

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// reports are what a rank says at moments, in seconds from the first.
type reports []struct {
	at      float64
	step    int64
	compute float64 // below 0: it does not tell
}

func points(said reports) []PacePoint {
	var watch stopwatch
	var ended []PacePoint
	began := time.Now()
	for _, r := range said {
		report := paceReport{Step: &r.step}
		if r.compute >= 0 {
			report.Compute = &r.compute
		}
		if point, ok := watch.hear(3, report, began.Add(time.Duration(r.at*float64(time.Second)))); ok {
			ended = append(ended, point)
		}
	}
	return ended
}

func TestPointsOfAPace(t *testing.T) {
	for name, tt := range map[string]struct {
		said reports
		want []PacePoint
	}{
		"the first tells nothing": {said: reports{{0, 7, 0.5}}},
		"a step a second": {
			reports{{0, 1, 0.5}, {1, 2, 0.25}, {2, 3, 0.75}, {3, 4, 1}}, []PacePoint{{3, 2, 1, 0.25}, {3, 3, 1, 0.75}}},
		"short steps are put together": {
			reports{{0, 1, 9}, {0.5, 2, 0.1}, {1, 3, 0.3}, {1.5, 4, 9}}, []PacePoint{{3, 3, 0.5, 0.2}}},
		"the mean is by steps": {
			reports{{0, 1, 9}, {0.5, 4, 0.1}, {2, 5, 0.5}, {3, 6, 9}}, []PacePoint{{3, 5, 0.5, 0.2}}},
		"a step that is told of twice": {
			reports{{0, 1, 0.5}, {2, 1, 0.5}, {4, 2, 0.5}, {5, 3, 9}}, []PacePoint{{3, 2, 4, 0.5}}},
		"nothing of its own work": {reports{{0, 1, -1}, {2, 3, -1}, {3, 4, -1}}, []PacePoint{{3, 3, 1, 0}}},
		"a launcher of two, whose slowest counts": {
			reports{{0, 1, 9}, {0, 1, 9}, {1, 2, 0.1}, {1, 2, 0.3}, {2, 3, 0.5}, {2, 3, 0.2}, {3, 4, 0}},
			[]PacePoint{{3, 2, 1, 0.3}, {3, 3, 1, 0.5}}},
		"a process that is late": {
			reports{{0, 10, 0.5}, {1, 5, 0.5}, {3, 11, 0.25}, {4, 12, 9}}, []PacePoint{{3, 11, 3, 0.25}}},
		"four digits": {reports{{0, 0, 1}, {1, 3, 1.0 / 3}, {2, 4, 1}}, []PacePoint{{3, 3, 0.3333, 0.3333}}},
	} {
		if got := points(tt.said); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v; want %+v", name, got, tt.want)
		}
	}
}

func TestPacesKeepTheLastPoints(t *testing.T) {
	var p Paces
	for step := range int64(40) {
		p.Add(PacePoint{Rank: 1, Step: step, Seconds: float64(step), Compute: float64(step) / 2})
		p.Add(PacePoint{Rank: 0, Step: step, Seconds: 1})
		p.Add(PacePoint{Rank: 0, Step: step, Seconds: 9}) // read twice
	}
	list := p.List()
	if len(list) != 2 || list[0].Rank != 0 || list[1].Rank != 1 {
		t.Fatalf("%+v; want two ranks in order", list)
	}
	first, second := list[0], list[1]
	if first.Step != 39 || len(first.Seconds) != fleet.PacePoints || first.Seconds[15] != 1 || first.Compute != nil {
		t.Errorf("%+v; want the first of each step, and no own work", first)
	}
	if second.Seconds[0] != 24 || second.Seconds[15] != 39 || len(second.Compute) != fleet.PacePoints || second.Compute[15] != 19.5 {
		t.Errorf("%+v; want the newest points", second)
	}
}

// TestReportsOfAllRanks: rank 0 alone speaks for the gang, and what any of them
// reports stays out of its log.
func TestReportsOfAllRanks(t *testing.T) {
	dir, book := t.TempDir(), NewBook()
	var told []PacePoint
	book.KeepPaces(func(p PacePoint) { told = append(told, p) })
	said := func(step int) []byte {
		return fmt.Appendf(nil, "@yard {\"step\": %d, \"loss\": %d, \"compute_seconds\": 0.5}", step, step)
	}
	for rank := range 2 {
		if !book.Offer(rank, said(rank+1)) {
			t.Errorf("rank %d: its report was not taken", rank)
		}
		book.watches[rank].open = time.Now().Add(-time.Hour)
		book.Offer(rank, said(rank+2))
		book.Offer(rank, said(rank+3))
	}
	if last := book.Last(); last.Step != 3 || last.Loss != 3 {
		t.Errorf("progress %+v; want that of rank 0", last)
	}
	book.Flush(dir, 0)
	list, err := ReadPaces(dir)
	if err != nil || len(list) != 2 || list[1].Rank != 1 || list[1].Step != 3 || len(list[1].Compute) != 1 || list[1].Compute[0] != 0.5 || list[1].Seconds[0] < 3600 {
		t.Errorf("paces %+v, %v; want a point of both ranks", list, err)
	}
	if len(told) != 2 || told[1].Rank != 1 {
		t.Errorf("told %+v; want both points", told)
	}
	for _, line := range []string{`{"step": 3, "compute_seconds": -1}`, `{"step": 3, "compute_seconds": 1e300}`, `{"step": 3, "compute_seconds": "fast"}`} {
		if book.Offer(1, []byte(progressMark+line)) {
			t.Errorf("%s was taken for a report", line)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, paceFile), []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := ReadPaces(dir); err != nil || list != nil {
		t.Errorf("damaged paces: %+v, %v; want none", list, err)
	}
}

func TestPacesInAStream(t *testing.T) {
	var out bytes.Buffer
	s := NewStream(&out)
	first := PacePoint{Rank: 12, Step: 3, Seconds: 1.5, Compute: 0.25}
	second := PacePoint{Rank: 13, Step: 4, Seconds: 2e-05}
	s.Pace(first)
	s.output(12).write([]byte("text\n@pace 1 2 3\n"), 2)
	s.Progress(fleet.Progress{Step: 4, At: time.Now()})
	s.Pace(second)
	out.WriteString("@pace 1 2\n@pace x 2 3\n@pace 1 2 NaN\n@pace 1 -2 3\n@pace 1 2 3 -4\n@pace 14 5 1")
	points, paces, err := StreamNews(strings.NewReader(out.String()))
	if err != nil || len(points) != 1 || points[0].Step != 4 || !reflect.DeepEqual(paces, []PacePoint{first, second}) {
		t.Errorf("%+v, %+v, %v; want the report and both points", points, paces, err)
	}
}
