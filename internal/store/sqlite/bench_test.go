package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// BenchmarkUpdate commits one run and one ledger entry at a time, then appends
// to a file with an fsync each as often, and reports the ratio of the times:
// the disk sets both, and only the ratio says something of the store.
func BenchmarkUpdate(b *testing.B) {
	s := opened(b, filepath.Join(b.TempDir(), "state.db"))
	n := 0
	for b.Loop() {
		if err := s.Update(bg(), booking(n)); err != nil {
			b.Fatal(err)
		}
		n++
	}
	spent := b.Elapsed()
	began := time.Now()
	appendSynced(b, n)
	raw := time.Since(began)
	b.ReportMetric(float64(n)/spent.Seconds(), "tx/s")
	b.ReportMetric(spent.Seconds()/raw.Seconds(), "x-fsync")
}

func booking(n int) func(store.Tx) error {
	at := time.Unix(1_700_000_000, 0).Add(time.Duration(n) * time.Second)
	run := fleet.Run{
		ID: fmt.Sprintf("gpt-%d", n%1000), Name: "gpt", Kind: "Training", Project: "lab", State: fleet.Running,
		Spec: make([]byte, 1000), Submitted: at, Submission: fmt.Sprintf("s-%d", n%1000),
	}
	entry := ledger.Entry{
		Key: fmt.Sprintf("gpt-1@%d", n), Category: ledger.Usage, Run: run.ID, Attempt: 1, Project: "lab",
		Pool: "local/cpu", Provider: "local", From: at, To: at.Add(time.Second), Nodes: 1,
		Rate: units.MustRate("35.7608", units.USD), Cost: units.Amount{Micros: 9933, Currency: units.USD}, Booked: at,
	}
	return func(tx store.Tx) error {
		if err := tx.PutRun(run); err != nil {
			return err
		}
		_, err := tx.AppendEntry(entry)
		return err
	}
}

// BenchmarkFsync is the floor: a page appended to a file, with an fsync.
func BenchmarkFsync(b *testing.B) { appendSynced(b, b.N) }

func appendSynced(b *testing.B, n int) {
	file, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	page := make([]byte, 4096)
	for range n {
		if _, err := file.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkEntries reads a ledger of a hundred thousand entries.
func BenchmarkEntries(b *testing.B) {
	s := opened(b, filepath.Join(b.TempDir(), "state.db"))
	const count = 100_000
	err := s.Update(bg(), func(tx store.Tx) error {
		for n := range count {
			if err := booking(n)(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		seen := 0
		err := s.View(bg(), func(tx store.Tx) error {
			return tx.Entries(store.EntryFilter{}, func(ledger.Entry) error { seen++; return nil })
		})
		if err != nil || seen != count {
			b.Fatal(seen, err)
		}
	}
	b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
