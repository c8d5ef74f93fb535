package plan

import (
	"math"
	"path"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
)

// History takes the rate of a demand from what the ledger says was used: the
// work that its chips did, at the throughput that the demand gives them.
type History struct {
	Project string         `json:"project,omitempty"` // whose runs; all where absent
	Runs    string         `json:"runs,omitempty"`    // whose names match; * and ? stand for letters
	Over    *contract.Span `json:"over,omitempty"`    // before the day of the decision; 90d where absent
	Trend   bool           `json:"trend,omitempty"`   // growth is what the use of that time shows
}

// Used is what a demand used, in slices of time.
type Used struct {
	Slices []Slice `json:"slices"`
}

// Slice is chip-hours used in [From, To), by chip.
type Slice struct {
	From      time.Time          `json:"from"`
	To        time.Time          `json:"to"`
	ChipHours map[string]float64 `json:"chip_hours"`
}

// Window is the time before a day that the history is about.
func (h History) Window(asOf time.Time) (from, to time.Time) {
	over := contract.Span{Days: 90}
	if h.Over != nil {
		over = *h.Over
	}
	return contract.Span{Months: -over.Months, Days: -over.Days}.After(asOf), asOf
}

// Empty returns the slices of the window, of about thirty days, without use.
func (h History) Empty(asOf time.Time) Used {
	from, to := h.Window(asOf)
	const sliceHours = 30 * 24
	n := max(int(math.Round(to.Sub(from).Hours()/sliceHours)), 1)
	var used Used
	for i := range n {
		cut := to.Sub(from) / time.Duration(n)
		begin := from.Add(cut * time.Duration(i))
		used.Slices = append(used.Slices, Slice{From: begin, To: begin.Add(cut), ChipHours: map[string]float64{}})
	}
	used.Slices[n-1].To = to
	return used
}

// Admits reports whether use of a project by a run is the demand's.
func (h History) Admits(project, run string) bool {
	if h.Project != "" && h.Project != project {
		return false
	}
	ok, err := path.Match(h.Runs, run)
	return h.Runs == "" || err == nil && ok
}

// Add counts chips in use over [from, to); chips are negative where use is
// taken back.
func (u Used) Add(chip string, chips float64, from, to time.Time) {
	for i := range u.Slices {
		s := &u.Slices[i]
		if hours := overlap(s.From, s.To, from, to); hours > 0 {
			s.ChipHours[chip] += chips * hours
		}
	}
}

func overlap(a, b, from, to time.Time) float64 {
	if from.Before(a) {
		from = a
	}
	if to.After(b) {
		to = b
	}
	return max(to.Sub(from).Hours(), 0)
}
