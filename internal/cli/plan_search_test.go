package cli

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/lp"
)

func TestTheSearchKeepsWhatIsNews(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := search{started: start}
	for i, gap := range []float64{math.Inf(1), 0.2, 0.2, 0.05, 0.07, 0.01} {
		s.note(lp.Progress{Gap: gap}, start.Add(time.Duration(i)*time.Second))
	}
	c := s.chart(7 * time.Second)
	if want := []string{"1.0 s", "3.0 s", "5.0 s"}; !reflect.DeepEqual(c.labels, want) || !reflect.DeepEqual(c.widths, []float64{2, 2, 2}) {
		t.Errorf("%v %v, want %v", c.labels, c.widths, want)
	}
	if page := c.html(); !strings.Contains(page, "5.00%") || strings.Contains(page, "7.00%") {
		t.Error(page)
	}
}
