package sqlite

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/store/storetest"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// keep writes testdata/vN.db for the version that this program writes. Run it
// once, before the release that brings the version; never again after.
var keep = flag.Bool("keep", false, "write the kept database of this version")

// sample is what every kept database holds. A later version's new fields are
// zero in it.
type sample struct {
	Run       fleet.Run
	Attempts  []fleet.Attempt
	Decisions []fleet.Decision
	Entries   []ledger.Entry
	Sites     []fleet.Site
	Quotas    map[string]int
	Token     string
}

func sampled() sample {
	at := time.Date(2026, 11, 21, 10, 20, 30, 123456789, time.UTC)
	rate := units.MustRate("98.320000000001", units.USD)
	a := fleet.Attempt{
		Run: "gpt-7f3a", Number: 1, Epoch: 1, Pool: "aws/p5", Site: "aws", Nodes: 2, Ranks: 16,
		State: fleet.AttemptFailed, Created: at, Started: at.Add(time.Minute), Ended: at.Add(3 * time.Hour), Exit: 137,
		Reason: "rank 3 was killed", Metered: at.Add(3 * time.Hour), Provider: "aws", Chipmaker: "nvidia", Chip: "h100",
		Chips: 16, Rate: rate,
		Progress: fleet.Progress{At: at.Add(time.Hour), Step: 7, Steps: 9, Loss: 1.25, Tokens: 1 << 40, CheckpointStep: 5},
	}
	second := a
	second.Number, second.Epoch, second.State, second.Ended = 2, 2, fleet.AttemptRunning, time.Time{}
	second.Started, second.Imputed = at.Add(4*time.Hour), true
	entries := ledger.UsageEntries(a, "lab", a.Started, a.Ended, a.Ended)
	for i := range entries {
		entries[i].ID = int64(i + 1)
	}
	reversal := ledger.Reverse(entries[0], at, "booked twice by the provider")
	reversal.ID = int64(len(entries) + 1)
	return sample{
		Run: fleet.Run{
			ID: "gpt-7f3a", Name: "gpt", Kind: "Training", Project: "lab", Priority: 3, Spec: []byte("kind: Training\n"),
			SpecFile: "train.yaml", Dir: "/home/ada/gpt", State: fleet.Running, Submitted: at, NotBefore: at.Add(time.Hour),
			Failures: 1, Reason: "attempt 2 runs", Submission: "5b2c",
		},
		Attempts:  []fleet.Attempt{a, second},
		Decisions: []fleet.Decision{{Run: "gpt-7f3a", At: at, Verb: "place", Subject: "aws/p5", Reasons: []string{"cheapest"}}},
		Entries:   append(entries, reversal),
		Sites:     []fleet.Site{{Name: "aws", Engine: "kubernetes"}},
		Quotas:    map[string]int{"lab": 64},
		Token:     "s3cret",
	}
}

func (s sample) put(tx store.Tx) error {
	if err := tx.PutRun(s.Run); err != nil {
		return err
	}
	for _, a := range s.Attempts {
		if err := tx.PutAttempt(a); err != nil {
			return err
		}
	}
	for _, e := range s.Entries {
		if _, err := tx.AppendEntry(e); err != nil {
			return err
		}
	}
	if err := tx.AppendDecision(s.Decisions[0]); err != nil {
		return err
	}
	if err := tx.PutSite(s.Sites[0]); err != nil {
		return err
	}
	if err := tx.PutQuota("lab", s.Quotas["lab"]); err != nil {
		return err
	}
	return tx.PutSetting("token", s.Token)
}

// wantSample checks that the store holds the sample.
func wantSample(t *testing.T, s *Store) {
	t.Helper()
	var got sample
	err := s.View(t.Context(), func(tx store.Tx) (err error) {
		read := func(next func() error) {
			if err == nil {
				err = next()
			}
		}
		read(func() error { got.Run, err = tx.Run("gpt-7f3a"); return err })
		read(func() error { got.Attempts, err = tx.Attempts("gpt-7f3a"); return err })
		read(func() error { got.Decisions, err = tx.Decisions("gpt-7f3a"); return err })
		read(func() error {
			return tx.Entries(store.EntryFilter{}, func(e ledger.Entry) error { got.Entries = append(got.Entries, e); return nil })
		})
		read(func() error { got.Sites, err = tx.Sites(); return err })
		read(func() error { got.Quotas, err = tx.Quotas(); return err })
		read(func() error { got.Token, err = tx.Setting("token"); return err })
		return err
	})
	if diff := cmp.Diff(sampled(), got, storetest.Exact()); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// filledAt makes a database with the sample, and closes it.
func filledAt(t *testing.T, path string) {
	t.Helper()
	s := opened(t, path)
	if err := s.Update(t.Context(), sampled().put); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if exists(path + "-wal") {
		t.Fatal("a closed store is not one file")
	}
}

func kept(version int64) string { return filepath.Join("testdata", fmt.Sprintf("v%d.db", version)) }

// TestKeptDatabases opens a database of each version that was ever released.
func TestKeptDatabases(t *testing.T) {
	known, err := knownVersion()
	if err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "state.db")
	filledAt(t, fresh)
	if *keep {
		source := opened(t, fresh)
		if err := source.Backup(t.Context(), kept(known)); err != nil {
			t.Fatal(err)
		}
	}
	for version := int64(1); version <= known; version++ {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			if found, err := Check(t.Context(), kept(version)); err != nil || found != version {
				t.Fatalf("%s has version %d: %v; go test -keep writes it", kept(version), found, err)
			}
			path := filepath.Join(t.TempDir(), "state.db")
			if err := copyFile(kept(version), path); err != nil {
				t.Fatal(err)
			}
			wantSample(t, opened(t, path))
			if diff := cmp.Diff(schema(t, fresh), schema(t, path)); diff != "" {
				t.Errorf("migrated from v%d, the schema is not that of a new database: has a released migration changed?\n%s",
					version, diff)
			}
		})
	}
}

// raw opens a database past the store.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	return db
}

func execute(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func schema(t *testing.T, path string) []string {
	t.Helper()
	rows, err := raw(t, path).QueryContext(t.Context(), `SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}

// files reads a folder, but for the index of a write-ahead log, which holds
// nothing: SQLite makes it anew.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		bytes, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(e.Name(), "-shm") {
			found[e.Name()] = string(bytes)
		}
	}
	return found
}

const fromTheFuture = `INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, 1)`

func TestNewerVersionIsRefusedUnharmed(t *testing.T) {
	known, err := knownVersion()
	if err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(t.TempDir(), "state.db")
	filledAt(t, closed)
	db := raw(t, closed)
	execute(t, db, fromTheFuture)
	_ = db.Close()

	// A database whose newer yard was killed: the version is in the log alone.
	killed := filepath.Join(t.TempDir(), "state.db")
	living := filepath.Join(t.TempDir(), "state.db")
	filledAt(t, living)
	execute(t, raw(t, living), `PRAGMA journal_mode = WAL`, fromTheFuture)
	for _, part := range []string{"", "-wal"} {
		if err := copyFile(living+part, killed+part); err != nil {
			t.Fatal(err)
		}
	}
	for name, path := range map[string]string{"closed": closed, "killed": killed} {
		before := files(t, filepath.Dir(path))
		_, err := Open(t.Context(), path)
		if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "version 4711") ||
			!strings.Contains(err.Error(), fmt.Sprintf("up to %d", known)) {
			t.Errorf("%s: got %v, want a conflict that names both versions", name, err)
		}
		if _, err := Check(t.Context(), path); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: check says %v, want a conflict", name, err)
		}
		if !maps.Equal(before, files(t, filepath.Dir(path))) {
			t.Errorf("%s: the files changed", name)
		}
	}
}

func TestWhatIsNotOursIsRefusedUnharmed(t *testing.T) {
	foreign := filepath.Join(t.TempDir(), "state.db")
	db := raw(t, foreign)
	execute(t, db, `CREATE TABLE photos (id INTEGER)`)
	_ = db.Close()
	text := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"foreign": foreign, "text": text} {
		before := files(t, filepath.Dir(path))
		if _, err := Open(t.Context(), path); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v (%s), want it invalid", name, err, fault.KindOf(err))
		}
		if !maps.Equal(before, files(t, filepath.Dir(path))) {
			t.Errorf("%s: the files changed", name)
		}
	}
}

// withNext is the migrations and one more.
func withNext(t *testing.T, up string) fs.FS {
	t.Helper()
	steps := fstest.MapFS{"00999_next.sql": &fstest.MapFile{Data: []byte("-- +goose Up\n" + up)}}
	names, err := fs.Glob(migrations(), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(migrations(), name)
		if err != nil {
			t.Fatal(err)
		}
		steps[name] = &fstest.MapFile{Data: data}
	}
	return steps
}

func TestMigrationForward(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	filledAt(t, path)
	broken := withNext(t, "ALTER TABLE settings ADD COLUMN at INTEGER;\nINSERT INTO nowhere VALUES (1);\n")
	if _, err := open(t.Context(), path, broken); err == nil {
		t.Fatal("a broken migration went through")
	}
	before := opened(t, path) // whole, at the old version
	wantSample(t, before)
	_ = before.Close()

	good := withNext(t, "ALTER TABLE settings ADD COLUMN at INTEGER;\n")
	for range 2 { // the second time there is nothing to do
		s, err := open(context.Background(), path, good)
		if err != nil {
			t.Fatal(err)
		}
		wantSample(t, s)
		_ = s.Close()
	}
	if _, err := Open(t.Context(), path); !fault.Is(err, fault.Conflict) {
		t.Errorf("the older program: got %v, want a conflict", err)
	}
}

func TestKilledBeforeTheFirstMigration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := raw(t, path)
	execute(t, db, `PRAGMA journal_mode = WAL`)
	_ = db.Close()
	if err := opened(t, path).Update(t.Context(), sampled().put); err != nil {
		t.Error(err)
	}
}

func TestLedgerIsAppendOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	filledAt(t, path)
	s := opened(t, path)
	for _, text := range []string{
		`UPDATE entries SET cost_micros = 0`,
		`UPDATE entries SET note = 'harmless' WHERE id = 1`,
		`DELETE FROM entries WHERE id = 2`,
		`INSERT OR REPLACE INTO entries SELECT * FROM entries WHERE id = 1`,
	} {
		err := s.Update(t.Context(), func(port store.Tx) error {
			_, err := port.(*tx).exec(text)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: got %v, want a refusal", text, err)
		}
	}
	wantSample(t, s)
}

func TestReopenedKeepsAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a name with ? # % and ü", "state.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	filledAt(t, path)
	for range 2 {
		s := opened(t, path)
		wantSample(t, s)
		_ = s.Close()
	}
}
