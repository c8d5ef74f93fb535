package sqlite

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gofrs/flock"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/store"
)

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	path, copied, lock := filepath.Join(dir, "state.db"), filepath.Join(dir, "backup.db"), filepath.Join(dir, "lock")
	filledAt(t, path)
	s := opened(t, path)
	if err := s.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	known, err := knownVersion()
	if version, checked := Check(t.Context(), copied); checked != nil || err != nil || version != known {
		t.Errorf("the backup: version %d, %v, %v", version, checked, err)
	}
	whole := read(t, copied)
	if err := s.Backup(t.Context(), copied); !fault.Is(err, fault.Conflict) {
		t.Errorf("over an existing file: got %v, want a conflict", err)
	}
	if !bytes.Equal(whole, read(t, copied)) {
		t.Error("the existing file changed")
	}
	if err := s.Update(t.Context(), func(tx store.Tx) error { return tx.PutSetting("token", "regretted") }); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if err := Restore(t.Context(), copied, path, lock); err != nil {
		t.Fatal(err)
	}
	wantSample(t, opened(t, path))
	wantToken(t, path+".replaced", "regretted")
	if exists(path+".partial") || exists(copied+".partial") {
		t.Error("a partial copy is left")
	}
}

func wantToken(t *testing.T, path, want string) {
	t.Helper()
	if err := opened(t, path).View(t.Context(), func(tx store.Tx) error {
		got, err := tx.Setting("token")
		if got != want {
			t.Errorf("%s holds the token %q, want %q", path, got, want)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// TestBackupIsOneSnapshot backs up while transactions go on, each of which
// changes two things that must agree.
func TestBackupIsOneSnapshot(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, filepath.Join(dir, "state.db"))
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := s.Update(t.Context(), big(n, 20)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range 3 {
		copied := filepath.Join(dir, string(rune('a'+i)))
		if err := s.Backup(t.Context(), copied); err != nil {
			t.Fatal(err)
		}
		b := opened(t, copied)
		var n int
		if err := b.View(t.Context(), func(tx store.Tx) error {
			runs, err := tx.Runs(store.RunFilter{})
			n = len(runs)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := wantDone(b, n); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	group.Wait()
}

func TestRestoreRefuses(t *testing.T) {
	dir := t.TempDir()
	path, lock := filepath.Join(dir, "state.db"), filepath.Join(dir, "lock")
	filledAt(t, path)
	good := filepath.Join(t.TempDir(), "good.db")
	if err := copyFile(path, good); err != nil {
		t.Fatal(err)
	}
	damaged, cut := filepath.Join(t.TempDir(), "damaged.db"), filepath.Join(t.TempDir(), "cut.db")
	bad := read(t, good)
	for i := len(bad) / 2; i < len(bad)/2+5000; i++ {
		bad[i] ^= 0x5a
	}
	future := filepath.Join(t.TempDir(), "future.db")
	empty := filepath.Join(t.TempDir(), "empty.db")
	for target, data := range map[string][]byte{damaged: bad, cut: read(t, good)[:20000], future: read(t, good), empty: nil} {
		if err := os.WriteFile(target, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db := raw(t, future)
	execute(t, db, fromTheFuture)
	_ = db.Close()
	held := flock.New(lock)
	if ok, err := held.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	before := files(t, dir)
	refused := func(name, backup string, kind fault.Kind) {
		t.Helper()
		if err := Restore(t.Context(), backup, path, lock); !fault.Is(err, kind) {
			t.Errorf("%s: got %v (%s), want %s", name, err, fault.KindOf(err), kind)
		}
		for file, content := range files(t, dir) {
			if before[file] != content {
				t.Errorf("%s: %s changed", name, file)
			}
		}
	}
	refused("held", good, fault.Conflict)
	if err := held.Unlock(); err != nil {
		t.Fatal(err)
	}
	refused("damaged", damaged, fault.Invalid)
	refused("cut short", cut, fault.Invalid)
	refused("empty", empty, fault.Invalid)
	refused("newer", future, fault.Conflict)
	refused("missing", filepath.Join(dir, "nowhere.db"), fault.NotFound)
	if err := Restore(t.Context(), good, path, lock); err != nil {
		t.Errorf("good: %v", err)
	}
}

// TestRestoreOverWhatIsLeft restores over a state whose yard was killed, whose
// log must not be replayed into the restored one, and over rubble.
func TestRestoreOverWhatIsLeft(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.db")
	filledAt(t, good)
	living := filepath.Join(t.TempDir(), "state.db")
	filledAt(t, living)
	db := raw(t, living)
	execute(t, db, `PRAGMA journal_mode = WAL`, `UPDATE settings SET value = 'in the log'`)

	for _, c := range []struct {
		name     string
		database []byte
		log      []byte
	}{
		{"killed", read(t, living), read(t, living+"-wal")},
		{"rubble", []byte("rubble"), []byte("more rubble")},
		{"nothing", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "state.db")
			if c.database != nil {
				if err := os.WriteFile(path, c.database, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path+"-wal", c.log, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := Restore(t.Context(), good, path, filepath.Join(dir, "lock")); err != nil {
				t.Fatal(err)
			}
			wantSample(t, opened(t, path))
			if c.name == "killed" {
				wantToken(t, path+".replaced", "in the log")
			}
		})
	}
}
