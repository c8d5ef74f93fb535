package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/store"
)

func runs(t *testing.T, s store.Store) {
	done := queued("done", 1)
	done.State = fleet.Succeeded
	other := queued("other", 4)
	other.Project = "shop"
	update(t, s, func(tx store.Tx) error {
		return errors.Join(tx.PutRun(queued("b", 2)), tx.PutRun(queued("a", 2)), tx.PutRun(done), tx.PutRun(other),
			tx.PutRun(queued("new", 5)))
	})
	replaced := queued("b", 2)
	replaced.State, replaced.Reason, replaced.Target = fleet.Running, "placed", "eks/p5"
	replaced.Trial = &fleet.Trial{Of: "a", Pool: "trn/trn2", From: 7, Loss: 2.5, Tolerance: 0.1, Steps: 20}
	update(t, s, func(tx store.Tx) error { return tx.PutRun(replaced) })
	view(t, s, func(tx store.Tx) error {
		b, err := tx.Run("b")
		wantEqual(t, b, replaced)
		for _, c := range []struct {
			filter store.RunFilter
			want   []string
		}{
			{store.RunFilter{}, []string{"new", "other", "a", "b", "done"}},
			{store.RunFilter{Live: true}, []string{"new", "other", "a", "b"}},
			{store.RunFilter{Project: "lab"}, []string{"new", "a", "b", "done"}},
			{store.RunFilter{Live: true, Project: "lab"}, []string{"new", "a", "b"}},
			{store.RunFilter{Live: true, Project: "lab", Limit: 2}, []string{"new", "a"}},
			{store.RunFilter{Limit: 1}, []string{"new"}},
		} {
			found, listErr := tx.Runs(c.filter)
			err = errors.Join(err, listErr)
			var ids []string
			for _, r := range found {
				ids = append(ids, r.ID)
			}
			wantEqual(t, ids, c.want)
		}
		return err
	})
}

func submissions(t *testing.T, s store.Store) {
	first, second, nameless := queued("first", 0), queued("second", 1), queued("nameless", 2)
	second.Submission, nameless.Submission = first.Submission, ""
	twin := nameless
	twin.ID = "twin"
	update(t, s, func(tx store.Tx) error {
		// A run without a key is no repetition of another without one.
		return errors.Join(tx.PutRun(first), tx.PutRun(nameless), tx.PutRun(twin))
	})
	wantKind(t, s.Update(t.Context(), func(tx store.Tx) error { return tx.PutRun(second) }), fault.Conflict)
	view(t, s, func(tx store.Tx) error {
		found, err := tx.RunBySubmission(first.Submission)
		wantEqual(t, found, first)
		_, missing := tx.RunBySubmission("")
		wantKind(t, missing, fault.NotFound)
		_, missing = tx.Run("second")
		wantKind(t, missing, fault.NotFound)
		return err
	})
}

func attempts(t *testing.T, s store.Store) {
	over := recorded("a", 1, 0)
	over.State, over.BadNode, over.Store = fleet.AttemptFailed, "gpu-17", "s3://b/runs/a"
	second, third, early := recorded("a", 2, 3), recorded("a", 10, 9), recorded("b", 1, 1)
	early.State = fleet.AttemptRunning
	early.Slow = []fleet.SlowRank{
		{Rank: 3, Node: "gpu-17", Measure: fleet.MeasureCompute, Seconds: 2.4, Others: 1.1, Since: start(), Spells: 1},
		{Rank: 5, Measure: fleet.MeasureStep, Seconds: 0.3, Others: 0.1, Since: start(), Until: start().Add(time.Minute), Spells: 2},
	}
	update(t, s, func(tx store.Tx) error {
		return errors.Join(tx.PutRun(queued("a", 0)), tx.PutRun(queued("b", 0)),
			tx.PutAttempt(third), tx.PutAttempt(second), tx.PutAttempt(recorded("a", 1, 0)), tx.PutAttempt(early))
	})
	update(t, s, func(tx store.Tx) error { return tx.PutAttempt(over) })
	view(t, s, func(tx store.Tx) error {
		ofA, err1 := tx.Attempts("a")
		live, err2 := tx.LiveAttempts()
		wantEqual(t, ofA, []fleet.Attempt{over, second, third})
		wantEqual(t, live, []fleet.Attempt{early, second, third})
		return errors.Join(err1, err2)
	})
}

func poolUses(t *testing.T, s store.Store) {
	lost, live, before, waits := recorded("a", 1, 0), recorded("a", 2, 3), recorded("a", 3, 4), recorded("a", 4, 5)
	lost.State, lost.Started, lost.Ended, lost.Pool = fleet.AttemptLost, start(), start().Add(90*time.Minute), "eks/spot"
	live.State, live.Started, live.Pool = fleet.AttemptRunning, start().Add(time.Hour), "eks/spot"
	before.State, before.Started, before.Ended, before.Pool = fleet.AttemptLost, start().Add(-time.Hour), start(), "eks/spot"
	update(t, s, func(tx store.Tx) error {
		return errors.Join(tx.PutRun(queued("a", 0)), tx.PutAttempt(lost), tx.PutAttempt(live), tx.PutAttempt(before), tx.PutAttempt(waits))
	})
	view(t, s, func(tx store.Tx) error {
		found, err := tx.PoolUses(start(), start().Add(2*time.Hour))
		wantEqual(t, found, []store.PoolUse{{Pool: "eks/spot", Hours: 2.5, Lost: 1}})
		return err
	})
}

func decisions(t *testing.T, s store.Store) {
	// The clock may jump back; the order is that of what was decided.
	told := []fleet.Decision{
		{Run: "a", At: start().Add(time.Hour), Verb: "wait", Reasons: []string{"local is full", "quota"}},
		{Run: "a", At: start(), Verb: "place", Subject: "a-1", Reasons: []string{"cheapest"}},
	}
	update(t, s, func(tx store.Tx) error {
		return errors.Join(tx.PutRun(queued("a", 0)), tx.PutRun(queued("b", 0)), tx.AppendDecision(told[0]),
			tx.AppendDecision(fleet.Decision{Run: "b", Verb: "stop"}), tx.AppendDecision(told[1]))
	})
	view(t, s, func(tx store.Tx) error {
		found, err := tx.Decisions("a")
		wantEqual(t, found, told)
		since, err2 := tx.DecisionsSince("place", start())
		wantEqual(t, since, told[1:])
		none, err3 := tx.DecisionsSince("wait", start().Add(2*time.Hour))
		wantEqual(t, len(none), 0)
		return errors.Join(err, err2, err3)
	})
}

func entriesOnce(t *testing.T, s store.Store) {
	first, second := entry("a", 0), entry("a", 1)
	again := first
	again.Note = "twice"
	for i, want := range []bool{true, false} {
		update(t, s, func(tx store.Tx) error {
			booked, err := tx.AppendEntry(map[bool]ledger.Entry{true: first, false: again}[want])
			if booked != want {
				t.Errorf("append %d reports %v, want %v", i+1, booked, want)
			}
			return err
		})
	}
	update(t, s, func(tx store.Tx) error {
		_, err := tx.AppendEntry(second)
		return err
	})
	wantKind(t, s.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.AppendEntry(ledger.Entry{Category: ledger.Usage})
		return err
	}), fault.Conflict) // no key
	view(t, s, func(tx store.Tx) error {
		found := entries(t, tx, store.EntryFilter{})
		if len(found) != 2 || found[0].ID >= found[1].ID {
			t.Fatalf("found %+v, want two entries with ascending IDs", found)
		}
		first.ID, second.ID = found[0].ID, found[1].ID
		wantEqual(t, found, []ledger.Entry{first, second})
		return nil
	})
}

func entriesFiltered(t *testing.T, s store.Store) {
	const hours = 1300 // more than an adapter is likely to read at once
	update(t, s, func(tx store.Tx) error {
		var err error
		for h := range hours {
			e := entry("a", h)
			if h%2 == 1 {
				e = entry("b", h)
				e.Project = "shop"
			}
			_, appendErr := tx.AppendEntry(e)
			err = errors.Join(err, appendErr)
		}
		return err
	})
	timeless := entry("c", 0)
	timeless.From, timeless.To, timeless.Project = time.Time{}, time.Time{}, "timeless"
	update(t, s, func(tx store.Tx) error {
		_, err := tx.AppendEntry(timeless)
		return err
	})
	at := func(h int) time.Time { return start().Add(time.Duration(h) * time.Hour) }
	view(t, s, func(tx store.Tx) error {
		for _, c := range []struct {
			name   string
			filter store.EntryFilter
			count  int
			first  string
		}{
			{"all", store.EntryFilter{}, hours + 1, "a-1@0"},
			{"without a span", store.EntryFilter{Project: "timeless"}, 1, "c-1@0"},
			{"without a span, of a span", store.EntryFilter{Project: "timeless", From: at(0)}, 0, ""},
			{"run", store.EntryFilter{Run: "b"}, hours / 2, "b-1@1"},
			{"project", store.EntryFilter{Project: "lab"}, hours / 2, "a-1@0"},
			{"run of another project", store.EntryFilter{Run: "b", Project: "lab"}, 0, ""},
			{"from, inclusive", store.EntryFilter{From: at(1298)}, 2, "a-1@1298"},
			{"to, exclusive", store.EntryFilter{To: at(2)}, 2, "a-1@0"},
			{"after an ID", store.EntryFilter{Run: "b", After: 4}, hours/2 - 2, "b-1@5"},
			{"span", store.EntryFilter{From: at(2), To: at(6)}, 4, "a-1@2"},
			{"run and span", store.EntryFilter{Run: "b", Project: "shop", From: at(2), To: at(6)}, 2, "b-1@3"},
		} {
			found := entries(t, tx, c.filter)
			if len(found) != c.count || c.count > 0 && found[0].Key != c.first {
				t.Errorf("%s: found %d entries, want %d from %s", c.name, len(found), c.count, c.first)
			}
			for i := 1; i < len(found); i++ {
				if found[i-1].ID >= found[i].ID {
					t.Fatalf("%s: ID %d follows %d", c.name, found[i].ID, found[i-1].ID)
				}
			}
		}
		enough, seen := errors.New("enough"), 0
		err := tx.Entries(store.EntryFilter{}, func(ledger.Entry) error { seen++; return enough })
		if !errors.Is(err, enough) || seen != 1 {
			t.Errorf("stopped with %v after %d entries, want the reader's own error after 1", err, seen)
		}
		return nil
	})
}

func entriesNested(t *testing.T, s store.Store) {
	update(t, s, func(tx store.Tx) error {
		_, err1 := tx.AppendEntry(entry("a", 0))
		_, err2 := tx.AppendEntry(entry("a", 1))
		return errors.Join(err1, err2)
	})
	update(t, s, func(tx store.Tx) error {
		seen := 0
		err := tx.Entries(store.EntryFilter{}, func(e ledger.Entry) error {
			seen++
			inner := entries(t, tx, store.EntryFilter{Run: "a", From: e.From, To: e.To})
			wantEqual(t, inner, []ledger.Entry{e})
			_, err := tx.AppendEntry(entry("b", seen))
			return err
		})
		wantEqual(t, seen, 2) // not what fn appended
		return err
	})
	view(t, s, func(tx store.Tx) error {
		wantEqual(t, len(entries(t, tx, store.EntryFilter{})), 4)
		return nil
	})
}

func reversedOnce(t *testing.T, s store.Store) {
	reversal := func(key string, of int64) ledger.Entry {
		e := entry("a", 0)
		e.Key, e.Reverses, e.Cost = key, of, e.Cost.Neg()
		return e
	}
	add := func(e ledger.Entry) error {
		return s.Update(t.Context(), func(tx store.Tx) error {
			_, err := tx.AppendEntry(e)
			return err
		})
	}
	if err := errors.Join(add(entry("a", 0)), add(reversal("first", 1))); err != nil {
		t.Fatal(err)
	}
	wantKind(t, add(reversal("second", 1)), fault.Conflict)
	wantKind(t, add(reversal("of nothing", 77)), fault.NotFound)
}

func sites(t *testing.T, s store.Store) {
	east := fleet.Site{
		Name: "east", Engine: "kubernetes", Spec: []byte("kind: Site\n\x00ü"), SpecFile: "/etc/yard/east.yaml",
		Added: start().Add(123 * time.Nanosecond),
	}
	west := fleet.Site{Name: "west", Engine: "slurm", Spec: []byte{}, Draining: true}
	update(t, s, func(tx store.Tx) error {
		return errors.Join(tx.PutSite(west), tx.PutSite(fleet.Site{Name: "east", Engine: "slurm", Draining: true}), tx.PutSite(east))
	})
	view(t, s, func(tx store.Tx) error {
		found, err := tx.Sites()
		if len(found) == 2 && len(found[1].Spec) == 0 {
			found[1].Spec = []byte{} // an empty file and none are the same
		}
		wantEqual(t, found, []fleet.Site{east, west})
		return err
	})
	east.Draining = true
	update(t, s, func(tx store.Tx) error { return errors.Join(tx.PutSite(east), tx.DeleteSite("west")) })
	view(t, s, func(tx store.Tx) error {
		found, err := tx.Sites()
		wantEqual(t, found, []fleet.Site{east})
		return err
	})
	wantKind(t, s.Update(t.Context(), func(tx store.Tx) error { return tx.DeleteSite("west") }), fault.NotFound)
}

func small(t *testing.T, s store.Store) {
	update(t, s, func(tx store.Tx) error {
		return errors.Join(
			tx.PutSite(fleet.Site{Name: "local", Engine: "local"}), tx.PutSite(fleet.Site{Name: "big", Engine: "slurm"}),
			tx.PutSite(fleet.Site{Name: "gone", Engine: "slurm"}), tx.PutSite(fleet.Site{Name: "big", Engine: "kubernetes"}),
			tx.DeleteSite("gone"),
			tx.PutQuota("lab", 8), tx.PutQuota("lab", 16), tx.PutQuota("frozen", 0), tx.PutQuota("free", 5),
			tx.PutQuota("free", -1), tx.PutQuota("never", -1),
			tx.PutSetting("token", "first"), tx.PutSetting("token", "second"),
			tx.PutBlob("day", []byte{1, 0, 255}), tx.PutBlob("day", []byte{2, 0}), tx.PutBlob("empty", []byte{}),
			tx.PutBlob("gone", []byte("x")), tx.PutBlob("gone", nil), tx.PutBlob("never", nil))
	})
	view(t, s, func(tx store.Tx) error {
		sites, err1 := tx.Sites()
		quotas, err2 := tx.Quotas()
		token, err3 := tx.Setting("token")
		wantEqual(t, sites, []fleet.Site{{Name: "big", Engine: "kubernetes"}, {Name: "local", Engine: "local"}})
		wantEqual(t, quotas, map[string]int{"lab": 16, "frozen": 0})
		wantEqual(t, token, "second")
		day, err4 := tx.Blob("day")
		gone, err5 := tx.Blob("gone")
		wantEqual(t, day, []byte{2, 0})
		wantEqual(t, gone, []byte(nil))
		return errors.Join(err1, err2, err3, err4, err5)
	})
}
