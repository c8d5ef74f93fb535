package budget

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/units"
)

const valid = `kind: Budget
name: research
amount: $1000
period: month
projects: [lab]
thresholds:
  - {at: 80%, do: warn}
  - {at: 1, do: hold}
  - {at: 120%, do: drain}
`

func one(t *testing.T) *Budget {
	t.Helper()
	budgets, err := Parse("b.yaml", []byte(valid))
	if err != nil || len(budgets) != 1 {
		t.Fatal(budgets, err)
	}
	return budgets[0]
}

func TestThresholds(t *testing.T) {
	b := one(t)
	now := time.Date(2026, 2, 11, 0, 0, 0, 0, time.UTC)
	from, to := b.Period.Span(now)
	for _, c := range []struct {
		spent string
		does  Action
		next  string
	}{
		{"0", "", "80%"}, {"799.999999", "", "80%"}, {"800", Warn, "100%"}, {"1000", Hold, "120%"}, {"1199.99", Hold, "120%"}, {"1200", Drain, ""},
	} {
		spent, err := units.ParseAmount(c.spent, units.USD)
		if err != nil {
			t.Fatal(err)
		}
		s := Standing{Budget: b, Now: now, From: from, To: to, Spent: spent, Day: units.Amount{Micros: 2_000_000, Currency: units.USD}}
		next := ""
		if s.Next() != nil {
			next = s.Next().At.String()
		}
		if s.Does() != c.does || next != c.next {
			t.Errorf("%s spent: does %q, next at %q; want %q, %q", c.spent, s.Does(), next, c.does, c.next)
		}
		// 18 days of February are left, at 2 a day.
		if sum, ok := s.Forecast(); !ok || sum.Micros != spent.Micros+36_000_000 {
			t.Errorf("%s spent: forecast %s", c.spent, sum)
		}
	}
	s := Standing{Budget: b, Spent: b.Amount.Amount}
	if want := "budget research: $1,000 of $1,000 spent this month; holds new runs at 100%"; s.String() != want {
		t.Errorf("%s, want %s", s, want)
	}
}

func TestSpans(t *testing.T) {
	now := time.Date(2026, 5, 31, 23, 30, 0, 0, time.FixedZone("", -3600)) // 1 June in UTC, a Monday
	for period, want := range map[Period]string{
		Day: "2026-06-01 2026-06-02", Week: "2026-06-01 2026-06-08", Month: "2026-06-01 2026-07-01",
		Quarter: "2026-04-01 2026-07-01", Year: "2026-01-01 2027-01-01", Total: "0001-01-01 0001-01-01",
	} {
		from, to := period.Span(now)
		if got := from.Format(time.DateOnly) + " " + to.Format(time.DateOnly); got != want {
			t.Errorf("%s: %s, want %s", period, got, want)
		}
	}
	if from, _ := Week.Span(time.Date(2026, 6, 7, 12, 0, 0, 0, time.UTC)); from.Day() != 1 {
		t.Errorf("Sunday is of the week of %s", from)
	}
}

func TestCovers(t *testing.T) {
	b := Budget{Projects: []string{"lab"}, Chipmakers: []string{"nvidia", "amd"}}
	for use, want := range map[Use]bool{
		{Project: "lab", Chipmaker: "amd", Provider: "aws"}:    true,
		{Project: "lab", Chipmaker: "google"}:                  false,
		{Project: "sales", Chipmaker: "amd", Model: "any"}:     false,
		{Project: "lab", Chipmaker: "nvidia", Model: "llama2"}: true,
	} {
		if b.Covers(use) != want {
			t.Errorf("%+v: covered %v", use, !want)
		}
	}
}

func TestABudgetIsWrittenAsItIsRead(t *testing.T) {
	data, err := json.Marshal(one(t)) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again.yaml", data)
	if err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	if second, err := json.Marshal(again[0]); err != nil || string(second) != string(data) {
		t.Errorf("%s became %s, %v", data, second, err)
	}
}

func TestFaults(t *testing.T) {
	for change, want := range map[string]string{
		"kind: Budget|kind: Bugdet":                                      `b.yaml:1:7: kind: found "Bugdet"`,
		"name: research|name: Big One":                                   "b.yaml:2:7: name: ",
		"$1000|1000":                                                     "b.yaml:3:9: amount: ",
		"period: month|period: mnth":                                     "did you mean month",
		"do: hold|do: warn}\n  - {at: 1, do: drain":                      "thresholds ascend",
		"at: 80%|at: 0%":                                                 "a share above 0%",
		"{at: 80%, do: warn}|{at: 80%, do: drain}":                       "a higher threshold does as much or more",
		"do: drain}|do: drain, x: 1}":                                    "unknown field",
		"projects: [lab]|projects: [lab]\nmodel: [m]":                    "did you mean models",
		valid[strings.Index(valid, "thresholds"):] + "|thresholds: []\n": "thresholds: ",
	} {
		from, to, _ := strings.Cut(change, "|")
		if _, err := Parse("b.yaml", []byte(strings.Replace(valid, from, to, 1))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", change, err, want)
		}
	}
	if _, err := Parse("b.yaml", []byte(valid+"---\n"+valid)); err == nil || !strings.Contains(err.Error(), "earlier budget") {
		t.Errorf("twice the same name: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte("kind: Budget\nthresholds: [{at: 1e9%}, {}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		budgets, err := Parse("b.yaml", data)
		if err != nil {
			return
		}
		for _, b := range budgets {
			_ = Standing{Budget: b, Spent: b.Amount.Amount}.String()
		}
	})
}
