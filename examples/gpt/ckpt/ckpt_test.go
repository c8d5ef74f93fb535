package ckpt

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// open is a store that remembers what it said.
func open(dir string) (*Store, *[]string) {
	said := &[]string{}
	return Open(dir, func(format string, args ...any) { *said = append(*said, fmt.Sprintf(format, args...)) }), said
}

func begin(t *testing.T, dir string, epoch int) (*Store, *Checkpoint) {
	t.Helper()
	s, _ := open(dir)
	c, err := s.Begin(epoch)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func at(step int) *Checkpoint {
	x := []float32{float32(step), 2, 3}
	return &Checkpoint{Manifest: Manifest{Step: step, Tokens: int64(step) * 100, Next: uint64(step) * 7, Run: json.RawMessage(`{"a":1}`)}, Arrays: [][]float32{x, {}, {-1}}}
}

func save(t *testing.T, s *Store, steps ...int) {
	t.Helper()
	for _, step := range steps {
		if err := s.Save(at(step)); err != nil {
			t.Fatal(err)
		}
	}
}

func latest(t *testing.T, dir string) (*Checkpoint, []string) {
	t.Helper()
	s, said := open(dir)
	c, err := s.Latest()
	if err != nil {
		t.Fatal(err)
	}
	return c, *said
}

func TestWhatIsSavedIsReadAndTheLastThreeAreKept(t *testing.T) {
	dir := t.TempDir()
	s, c := begin(t, dir, 1)
	if c != nil {
		t.Fatal("a checkpoint in an empty directory")
	}
	save(t, s, 10, 20, 30, 40, 50)
	c, said := latest(t, dir)
	if c.Step != 50 || c.Epoch != 1 || c.Tokens != 5000 || c.Next != 350 || c.Arrays[0][0] != 50 || c.Arrays[2][0] != -1 || len(said) != 0 {
		t.Fatalf("%+v, said %v", c, said)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(found) != 4 { // three and the fences
		t.Fatalf("%v, %v", found, err)
	}
}

func TestUnreadableCheckpointsFallBack(t *testing.T) {
	damages := map[string]func(dir string) error{
		"flipped bit": func(dir string) error { return flip(filepath.Join(dir, stateFile)) },
		"cut state":   func(dir string) error { return os.Truncate(filepath.Join(dir, stateFile), 9) },
		"no state":    func(dir string) error { return os.Remove(filepath.Join(dir, stateFile)) },
		"no manifest": func(dir string) error { return os.Remove(filepath.Join(dir, manifestFile)) },
		"nonsense":    func(dir string) error { return os.WriteFile(filepath.Join(dir, manifestFile), []byte("{"), 0o644) },
	}
	for what, damage := range damages {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			s, _ := begin(t, dir, 1)
			save(t, s, 10, 20)
			if err := damage(filepath.Join(dir, name{20, 1}.dir())); err != nil {
				t.Fatal(err)
			}
			c, said := latest(t, dir)
			if c == nil || c.Step != 10 {
				t.Fatalf("got %+v", c)
			}
			if text := strings.Join(said, "\n"); !strings.Contains(text, "step-00000020-epoch-1 is unreadable") || !strings.Contains(text, "falling back") {
				t.Fatalf("said %q", text)
			}
			save(t, s, 20) // over the damaged one
			if c, _ := latest(t, dir); c.Step != 20 {
				t.Fatalf("after saving again, got step %d", c.Step)
			}
		})
	}
}

func flip(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[len(data)/2] ^= 1
	return os.WriteFile(path, data, 0o644)
}

func TestASupersededEpochIsIgnored(t *testing.T) {
	dir := t.TempDir()
	old, _ := begin(t, dir, 1)
	save(t, old, 10, 20)
	stale := *old
	next, c := begin(t, dir, 2)
	if c.Step != 20 {
		t.Fatalf("the second attempt goes on from step %d", c.Step)
	}
	if err := stale.Save(at(30)); !errors.Is(err, ErrSuperseded) {
		t.Fatalf("the superseded attempt could save: %v", err)
	}
	// It may have passed its check just before the fence rose.
	if err := stale.write(filepath.Join(dir, name{30, 1}.dir()), Manifest{Format: format, Epoch: 1, Step: 30}, nil); err != nil {
		t.Fatal(err)
	}
	if c, _ := latest(t, dir); c.Step != 20 {
		t.Fatalf("a reader took step %d", c.Step)
	}
	if _, c := begin(t, dir, 3); c.Step != 20 {
		t.Fatalf("the third attempt goes on from step %d", c.Step)
	}
	if err := next.Save(at(25)); !errors.Is(err, ErrSuperseded) {
		t.Fatalf("the second attempt could save after the third began: %v", err)
	}
	late, _ := open(dir)
	if _, err := late.Begin(2); !errors.Is(err, ErrSuperseded) {
		t.Fatalf("an old attempt could begin: %v", err)
	}
	if s, _ := begin(t, dir, -1); s.epoch != 3 {
		t.Fatalf("without an epoch it takes %d", s.epoch)
	}
}

type fullDisk struct{ file }

func (f fullDisk) Write(p []byte) (int, error) {
	n, err := f.file.Write(p[:min(len(p), 10)])
	return n, errors.Join(err, syscall.ENOSPC)
}

func TestAFullDiskLosesNothing(t *testing.T) {
	dir := t.TempDir()
	s, _ := begin(t, dir, 1)
	save(t, s, 10)
	roomy := s.create
	s.create = func(name string) (file, error) {
		f, err := roomy(name)
		return fullDisk{f}, err
	}
	if err := s.Save(at(20)); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("saving on a full disk: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), temporary) }) {
		t.Fatal("half a checkpoint was left on the full disk")
	}
	if c, said := latest(t, dir); c.Step != 10 || len(said) != 0 {
		t.Fatalf("step %d, said %v", c.Step, said)
	}
	s.create = roomy
	save(t, s, 30)
	if c, _ := latest(t, dir); c.Step != 30 {
		t.Fatalf("with room again, step %d", c.Step)
	}
}

func FuzzReadArrays(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 63})
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, state []byte) {
		arrays, err := readArrays(state)
		n := 0
		for _, x := range arrays {
			n += 8 + 4*len(x)
		}
		if err == nil && n != len(state) {
			t.Fatalf("%d bytes became %d", len(state), n)
		}
	})
}
