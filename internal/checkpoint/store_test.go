package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gocloud.dev/blob"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lab/bloblab"
)

// TestStores is the suite that every kind of store passes, on real servers.
func TestStores(t *testing.T) {
	for _, place := range bloblab.Places(t) {
		t.Run(place.Name, func(t *testing.T) {
			for name, test := range map[string]func(*testing.T, bloblab.Place, string){
				"round trip": testRoundTrip, "resume": testResume, "fence": testFence, "survivor": testSurvivor,
				"damage": testDamage, "broken fence": testBrokenFence, "all damaged": testAllDamaged, "formats": testFormats, "shards": testShards,
				"keep": testKeep, "copy": testCopy, "begin at once": testBeginAtOnce, "every crash": testEveryCrash,
				"changes while sent": testChangesWhileSent, "foreign objects": testForeignObjects,
			} {
				t.Run(name, func(t *testing.T) {
					test(t, place, place.URL(strings.ReplaceAll(name, " ", "-")))
				})
			}
		})
	}
}

func open(t *testing.T, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func begin(t *testing.T, s *Store, epoch int) {
	t.Helper()
	if err := s.Begin(t.Context(), epoch); err != nil {
		t.Fatal(err)
	}
}

// write makes an entry of the directory; of one file where there is but "".
func write(t *testing.T, dir, name string, files map[string]string) Entry {
	t.Helper()
	for path, content := range files {
		path = filepath.Join(dir, name, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	step, _ := stepOf(name)
	return Entry{Name: name, Step: step}
}

// read is what is in a directory, by path.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		below, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(below)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func upload(t *testing.T, s *Store, epoch int, name, content string) {
	t.Helper()
	dir := t.TempDir()
	e := write(t, dir, name, map[string]string{"weights": content})
	if _, err := s.Upload(t.Context(), dir, e, Writer{Epoch: epoch, Nodes: 1}); err != nil {
		t.Fatal(err)
	}
}

// restore restores the newest, and tells what was said.
func restore(t *testing.T, s *Store, reads ...string) (*Checkpoint, map[string]string, []string) {
	t.Helper()
	dir := t.TempDir()
	var said []string
	c, err := s.Restore(t.Context(), dir, reads, func(text string) { said = append(said, text) })
	if err != nil {
		t.Fatal(err)
	}
	return c, read(t, dir), said
}

func wantRestored(t *testing.T, s *Store, name, content string) {
	t.Helper()
	c, files, said := restore(t, s)
	if c == nil || c.Name != name || len(files) != 1 || files[name+"/weights"] != content {
		t.Errorf("restored %+v with %v (%q); want %s with %q", c, files, said, name, content)
	}
}

func states(t *testing.T, s *Store) string {
	t.Helper()
	list, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range list {
		out = append(out, fmt.Sprintf("%s@%d %s", c.Name, c.Epoch, c.State))
	}
	return strings.Join(out, ", ")
}

func keys(t *testing.T, s *Store, prefix string) []string {
	t.Helper()
	var all []string
	err := s.list(t.Context(), prefix, "", func(o *blob.ListObject) error {
		all = append(all, o.Key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func testRoundTrip(t *testing.T, _ bloblab.Place, url string) {
	s := open(t, url)
	begin(t, s, 1)
	dir := t.TempDir()
	large := strings.Repeat("0123456789abcdef", (20<<20)/16+1) // more than two blocks
	want := map[string]string{
		"model.bin": large, "a/b/c.json": "{}", "empty": "", "name with % and é.txt": "x", "a.b/__0_0.distcp": "shard",
	}
	e := write(t, dir, "step-00120", want)
	write(t, dir, "step-00100.ckpt", map[string]string{"": "one file"})
	write(t, dir, "tmp-step-00130", map[string]string{"x": "unfinished"})
	write(t, dir, "notes", map[string]string{"": "no step"})
	entries, err := Entries(dir)
	if err != nil || len(entries) != 2 || entries[0] != e || entries[1].Step != 100 {
		t.Fatalf("entries %v, %v", entries, err)
	}
	for _, each := range entries {
		if _, err := s.Upload(t.Context(), dir, each, Writer{Epoch: 1, Nodes: 1, Format: "gpt"}); err != nil {
			t.Fatal(err)
		}
	}
	c, files, said := restore(t, s)
	if c == nil || c.Step != 120 || c.Format != "gpt" || c.State != Complete || len(said) > 0 || len(files) != len(want) {
		t.Fatalf("restored %+v, %d files, %q", c, len(files), said)
	}
	var size int64
	for path, content := range want {
		size += int64(len(content))
		if files["step-00120/"+path] != content {
			t.Errorf("%s: %.40q; want %.40q", path, files["step-00120/"+path], content)
		}
	}
	if c.Size != size || c.Written.IsZero() {
		t.Errorf("%+v; want %d bytes", c, size)
	}
	if err := s.discard(t.Context(), ref{Name: "step-00120", Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	if _, files, _ := restore(t, s); files["step-00100.ckpt"] != "one file" {
		t.Errorf("restored %v", files)
	}
}

// What was sent before an upload was cut short is not sent again.
func testResume(t *testing.T, _ bloblab.Place, url string) {
	s := open(t, url)
	begin(t, s, 1)
	dir := t.TempDir()
	e := write(t, dir, "step-1", map[string]string{"a": "aaaa", "b": "bbbb", "c": "cc"})
	s.before = func(_, key string) error {
		if !strings.HasSuffix(key, "/c") {
			return nil
		}
		for there := ""; !strings.Contains(there, "/a ") || !strings.Contains(there, "/b "); {
			there = strings.Join(keys(t, s, dataPrefix), " ") + " "
		}
		return errors.New("cut")
	}
	if _, err := s.Upload(t.Context(), dir, e, Writer{Epoch: 1, Nodes: 1}); err == nil {
		t.Fatal("the upload was not cut")
	}
	s.before = nil
	if got := states(t, s); got != "" {
		t.Errorf("half a checkpoint counts: %s", got)
	}
	sent, err := s.Upload(t.Context(), dir, e, Writer{Epoch: 1, Nodes: 1})
	if err != nil || sent != 2 {
		t.Errorf("%d bytes sent, %v; want the 2 that were missing", sent, err)
	}
	if sent, err := s.Upload(t.Context(), dir, e, Writer{Epoch: 1, Nodes: 1}); err != nil || sent != 0 {
		t.Errorf("%d bytes sent of what is complete, %v", sent, err)
	}
}

// After an attempt has begun, what an earlier one writes is seen by nobody.
func testFence(t *testing.T, _ bloblab.Place, url string) {
	s := open(t, url)
	begin(t, s, 1)
	upload(t, s, 1, "step-10", "by 1")
	begin(t, s, 2)
	dir := t.TempDir()
	e := write(t, dir, "step-20", map[string]string{"weights": "by the survivor"})
	if _, err := s.Upload(t.Context(), dir, e, Writer{Epoch: 1, Nodes: 1}); !errors.Is(err, ErrSuperseded) {
		t.Errorf("an earlier attempt may upload: %v", err)
	}
	if err := s.Begin(t.Context(), 1); !errors.Is(err, ErrSuperseded) || !fault.Is(err, fault.Conflict) {
		t.Errorf("an earlier attempt may begin: %v", err)
	}
	wantRestored(t, s, "step-10", "by 1")
	begin(t, s, 2) // another node of it, or the same once more
	upload(t, s, 2, "step-20", "by 2")
	wantRestored(t, s, "step-20", "by 2")
	begin(t, s, 5)
	if got := states(t, s); got != "step-20@2 complete, step-10@1 complete" {
		t.Errorf("after attempt 5 began: %s", got)
	}
}

// A survivor that was about to write its manifest when the fence went up gets it
// written: it is ignored, also where it is the newer, and removed.
func testSurvivor(t *testing.T, _ bloblab.Place, url string) {
	old, s := open(t, url), open(t, url)
	begin(t, old, 1)
	upload(t, old, 1, "step-10", "by 1")
	old.before = func(_, key string) error {
		if strings.HasPrefix(key, manifestPrefix) {
			begin(t, s, 2)
			upload(t, s, 2, "step-12", "by 2")
		}
		return nil
	}
	upload(t, old, 1, "step-20", "by the survivor")
	if got := states(t, s); got != "step-20@1 superseded, step-12@2 complete, step-10@1 complete" {
		t.Errorf("states: %s", got)
	}
	wantRestored(t, s, "step-12", "by 2")
	old.before = nil
	if err := old.Prune(t.Context(), 1, 1); !errors.Is(err, ErrSuperseded) {
		t.Errorf("the survivor may prune: %v", err)
	}
	if err := s.Prune(t.Context(), 2, 5); err != nil {
		t.Fatal(err)
	}
	if got := states(t, s); got != "step-12@2 complete, step-10@1 complete" {
		t.Errorf("after the clean-up: %s", got)
	}
	for _, key := range keys(t, s, dataPrefix) {
		if strings.Contains(key, "step-20") {
			t.Errorf("left behind: %s", key)
		}
	}
	// And once more after the clean-up, by a survivor that has looked at no fence.
	if err := old.bucket.WriteAll(t.Context(), ref{"step-30", 1}.data()+"0/weights", []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Prune(t.Context(), 2, 5); err != nil {
		t.Fatal(err)
	}
	if left := keys(t, s, ref{"step-30", 1}.data()); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A truncated, changed or lost file: the checkpoint before is taken, and it is said.
func testDamage(t *testing.T, _ bloblab.Place, url string) {
	for i, tt := range []struct {
		damage func(s *Store, key string) error
		said   string
	}{
		{func(s *Store, key string) error { return s.bucket.WriteAll(t.Context(), key, []byte("wei"), nil) }, "has 3 bytes, not 7"},
		{func(s *Store, key string) error { return s.bucket.WriteAll(t.Context(), key, []byte("weightS"), nil) }, "does not match its checksum"},
		{func(s *Store, key string) error { return s.bucket.Delete(t.Context(), key) }, "is missing"},
		{func(s *Store, _ string) error {
			key := ref{"step-20", 1}.manifest(0, 1)
			return errors.Join(s.bucket.Delete(t.Context(), key), s.bucket.WriteAll(t.Context(), key, []byte("{"), nil))
		}, "it is no manifest"},
	} {
		first, rest, _ := strings.Cut(url, "?")
		s := open(t, fmt.Sprintf("%s/%d?%s", first, i, rest))
		begin(t, s, 1)
		upload(t, s, 1, "step-10", "before")
		upload(t, s, 1, "step-20", "weights")
		if err := tt.damage(s, ref{"step-20", 1}.data()+"0/weights"); err != nil {
			t.Fatal(err)
		}
		c, files, said := restore(t, s)
		if c == nil || c.Step != 10 || files["step-10/weights"] != "before" || len(files) != 1 {
			t.Errorf("%s: restored %+v, %v", tt.said, c, files)
		}
		if len(said) != 1 || !strings.Contains(said[0], tt.said) || !strings.Contains(said[0], "step-20") {
			t.Errorf("said %q; want that step-20 %s", said, tt.said)
		}
		if got := states(t, s); got != "step-20@1 damaged, step-10@1 complete" {
			t.Errorf("states: %s", got)
		}
		begin(t, s, 2) // takes over only what is good
		upload(t, s, 2, "step-20", "again")
		wantRestored(t, s, "step-20", "again")
	}
}

// testBrokenFence: a fence that was cut by hand ends attempts with a repair that
// works, whichever of the two it is.
func testBrokenFence(t *testing.T, _ bloblab.Place, url string) {
	first, rest, _ := strings.Cut(url, "?")
	for name, tt := range map[string]struct {
		wrote  bool // the attempt whose fence is cut
		repair string
		mend   func(s *Store) error
		want   string
	}{
		"it wrote": {
			true, `or write {"epoch": 2} into it: attempts go on from step 20, and checkpoints from before attempt 2 are given up`,
			func(s *Store) error {
				return errors.Join(s.bucket.Delete(t.Context(), fenceKey(2)), s.bucket.WriteAll(t.Context(), fenceKey(2), []byte(`{"epoch": 2}`), nil))
			}, "step-20",
		},
		"it wrote nothing": {
			false, "or remove it: attempt 2 left no checkpoint, so none is lost",
			func(s *Store) error { return s.bucket.Delete(t.Context(), fenceKey(2)) }, "step-10",
		},
	} {
		s := open(t, fmt.Sprintf("%s/%d?%s", first, len(name), rest))
		begin(t, s, 1)
		upload(t, s, 1, "step-10", "of 1")
		begin(t, s, 2)
		if tt.wrote {
			upload(t, s, 2, "step-20", "of 2")
		}
		replace := func(data string) error { // some stores replace nothing by themselves
			return errors.Join(s.bucket.Delete(t.Context(), fenceKey(2)), s.bucket.WriteAll(t.Context(), fenceKey(2), []byte(data), nil))
		}
		if err := replace(`{"ep`); err != nil {
			t.Fatal(err)
		}
		err := s.Begin(t.Context(), 3)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "fences/00000002.json of ") || !strings.HasSuffix(err.Error(), tt.repair) {
			t.Errorf("%s: begin over a fence that was cut: %v; want it to end with %q", name, err, tt.repair)
		}
		if err := tt.mend(s); err != nil {
			t.Fatal(err)
		}
		begin(t, s, 3)
		c, _, _ := restore(t, s)
		if c == nil || c.Name != tt.want {
			t.Errorf("%s: after the repair it goes on from %+v; want %s", name, c, tt.want)
		}
	}
}

// A run that has lost every checkpoint does not begin anew in silence.
func testAllDamaged(t *testing.T, _ bloblab.Place, url string) {
	s := open(t, url)
	begin(t, s, 1)
	if c, _, _ := restore(t, s); c != nil {
		t.Errorf("an empty store gives %+v", c)
	}
	upload(t, s, 1, "step-10", "x")
	if err := s.bucket.Delete(t.Context(), ref{"step-10", 1}.data()+"0/weights"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Restore(t.Context(), t.TempDir(), nil, func(string) {})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("%v; want that nothing can be taken, and why", err)
	}
}

func testFormats(t *testing.T, _ bloblab.Place, url string) {
	s := open(t, url)
	begin(t, s, 1)
	for step, format := range map[string]string{"step-1": "dcp", "step-2": "neuron"} {
		dir := t.TempDir()
		e := write(t, dir, step, map[string]string{"weights": format})
		if _, err := s.Upload(t.Context(), dir, e, Writer{Epoch: 1, Nodes: 1, Format: format}); err != nil {
			t.Fatal(err)
		}
	}
	if c, _, said := restore(t, s, "dcp", "safetensors"); c == nil || c.Step != 1 || len(said) != 1 ||
		!strings.Contains(said[0], "its format is neuron; the variant reads dcp, safetensors") {
		t.Errorf("restored %+v, said %q", c, said)
	}
	if _, err := s.Restore(t.Context(), t.TempDir(), []string{"safetensors"}, func(string) {}); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v; want that none can be taken", err)
	}
}

// A sharded checkpoint counts once every node's part is there, and a restore
// brings them all together.
func testShards(t *testing.T, _ bloblab.Place, url string) {
	s := open(t, url)
	begin(t, s, 1)
	upload(t, s, 1, "step-1", "whole")
	for node := range 3 {
		dir := t.TempDir()
		e := write(t, dir, "step-2", map[string]string{fmt.Sprintf("shard-%d", node): fmt.Sprint(node), "config": "same"})
		if node == 2 {
			if got := states(t, s); got != "step-2@1 partial, step-1@1 complete" {
				t.Errorf("two of three parts: %s", got)
			}
			wantRestored(t, s, "step-1", "whole")
		}
		if _, err := s.Upload(t.Context(), dir, e, Writer{Epoch: 1, Node: node, Nodes: 3}); err != nil {
			t.Fatal(err)
		}
	}
	c, files, _ := restore(t, s)
	if c == nil || c.Parts != 3 || len(files) != 4 || files["step-2/shard-1"] != "1" || files["step-2/config"] != "same" {
		t.Errorf("restored %+v, %v", c, files)
	}
	for node := range 2 {
		dir := t.TempDir()
		e := write(t, dir, "step-3", map[string]string{"config": fmt.Sprint(node)})
		if _, err := s.Upload(t.Context(), dir, e, Writer{Epoch: 1, Node: node, Nodes: 2}); err != nil {
			t.Fatal(err)
		}
	}
	if c, _, said := restore(t, s); c == nil || c.Step != 2 || len(said) != 1 || !strings.Contains(said[0], "two nodes wrote different files config") {
		t.Errorf("restored %+v, said %q", c, said)
	}
}

func testKeep(t *testing.T, _ bloblab.Place, url string) {
	s := open(t, url)
	begin(t, s, 1)
	for step := 1; step <= 3; step++ {
		upload(t, s, 1, fmt.Sprintf("step-%d", step), "x")
	}
	begin(t, s, 2)
	dir := t.TempDir()
	for _, name := range []string{"step-2.5-1", "step-9"} { // parts of which one is never to come, and one may
		e := write(t, dir, name, map[string]string{"shard": "x"})
		if _, err := s.Upload(t.Context(), dir, e, Writer{Epoch: 2, Nodes: 2}); err != nil {
			t.Fatal(err)
		}
	}
	upload(t, s, 2, "step-4", "x")
	upload(t, s, 2, "step-10", "x")
	if err := s.Prune(t.Context(), 2, 3); err != nil {
		t.Fatal(err)
	}
	if got := states(t, s); got != "step-10@2 complete, step-9@2 partial, step-4@2 complete, step-3@1 complete" {
		t.Errorf("kept: %s", got)
	}
	for _, key := range keys(t, s, dataPrefix) {
		if !strings.Contains(key, "/step-10/") && !strings.Contains(key, "/step-9/") && !strings.Contains(key, "/step-4/") && !strings.Contains(key, "/step-3/") {
			t.Errorf("left behind: %s", key)
		}
	}
	wantRestored(t, s, "step-10", "x")
	if err := s.Prune(t.Context(), 3, 3); !fault.Is(err, fault.Conflict) {
		t.Errorf("an attempt that has not begun may prune: %v", err)
	}
}

// A run that moves takes its newest good checkpoint along, once.
func testCopy(t *testing.T, place bloblab.Place, url string) {
	from := open(t, "file://"+filepath.ToSlash(t.TempDir()))
	to := open(t, url)
	if c, err := from.Copy(t.Context(), to, func(string) {}); c != nil || err != nil {
		t.Errorf("an empty store gives %+v, %v", c, err)
	}
	begin(t, from, 1)
	upload(t, from, 1, "step-1", "one")
	begin(t, from, 2)
	upload(t, from, 2, "step-2", "two")
	upload(t, from, 2, "step-3", "three")
	if err := from.bucket.WriteAll(t.Context(), ref{"step-3", 2}.data()+"0/weights", []byte("threE"), nil); err != nil {
		t.Fatal(err)
	}
	var said []string
	c, err := from.Copy(t.Context(), to, func(text string) { said = append(said, text) })
	if err != nil || c == nil || c.Step != 2 || len(said) != 1 {
		t.Fatalf("copied %+v, %v, said %q; want step-2, as step-3 is damaged", c, err, said)
	}
	if c, err := from.Copy(t.Context(), to, func(string) {}); err != nil || c != nil {
		t.Errorf("copied again: %+v, %v", c, err)
	}
	begin(t, to, 3)
	wantRestored(t, to, "step-2", "two")
	if got := states(t, to); got != "step-2@2 complete" {
		t.Errorf("states: %s", got)
	}
	upload(t, to, 3, "step-5", "five")
	upload(t, from, 2, "step-6", "of a survivor") // the store it came from has no fence of attempt 3
	if _, err := from.Copy(t.Context(), to, func(string) {}); !errors.Is(err, ErrSuperseded) {
		t.Errorf("a superseded attempt may copy: %v", err)
	}
	wantRestored(t, to, "step-5", "five")
	_ = place
}

// Of attempts that begin at the same time the last one counts, and all agree.
func testBeginAtOnce(t *testing.T, _ bloblab.Place, url string) {
	s := open(t, url)
	begin(t, s, 1)
	upload(t, s, 1, "step-1", "x")
	var wg sync.WaitGroup
	failures := make([]error, 8)
	for i := range failures {
		wg.Go(func() { failures[i] = s.Begin(context.Background(), 2+i/4) })
	}
	wg.Wait()
	for i, err := range failures {
		if i >= 4 && err != nil || i < 4 && err != nil && !errors.Is(err, ErrSuperseded) {
			t.Errorf("attempt %d: %v", 2+i/4, err)
		}
	}
	if epoch, begun, err := s.Epoch(t.Context()); epoch != 3 || !begun || err != nil {
		t.Errorf("epoch %d, %v, %v; want 3", epoch, begun, err)
	}
	wantRestored(t, s, "step-1", "x")
}

// An attempt dies before each of its changes to the store; the next always finds
// a whole checkpoint, the old or the new, and nothing is left of the rest.
func testEveryCrash(t *testing.T, _ bloblab.Place, url string) {
	first, rest, _ := strings.Cut(url, "?")
	died := errors.New("died")
	for crash := 1; ; crash++ {
		s := open(t, fmt.Sprintf("%s/%d?%s", first, crash, rest))
		begin(t, s, 1)
		upload(t, s, 1, "step-1", "one")
		upload(t, s, 1, "step-2", "two")
		var mu sync.Mutex
		acts := 0
		s.before = func(string, string) error {
			mu.Lock()
			defer mu.Unlock()
			if acts++; acts >= crash {
				return died
			}
			return nil
		}
		dir := t.TempDir()
		e := write(t, dir, "step-3", map[string]string{"weights": "three", "more/a": "a", "more/b": "b"})
		err := s.Begin(t.Context(), 2)
		if err == nil {
			_, err = s.Upload(t.Context(), dir, e, Writer{Epoch: 2, Nodes: 1})
		}
		if err == nil {
			err = s.Prune(t.Context(), 2, 1)
		}
		s.before = nil
		begin(t, s, 3)
		c, files, said := restore(t, s)
		whole := c != nil && c.Step == 2 && files["step-2/weights"] == "two" ||
			c != nil && c.Step == 3 && len(files) == 3 && files["step-3/weights"] == "three" && files["step-3/more/b"] == "b"
		if !whole || len(said) > 0 {
			t.Errorf("died at %d: restored %+v with %v, said %q", crash, c, files, said)
		}
		if err := s.Prune(t.Context(), 3, 1); err != nil {
			t.Fatal(err)
		}
		for _, key := range append(keys(t, s, dataPrefix), keys(t, s, manifestPrefix)...) {
			if c != nil && !strings.Contains(key, "/"+c.Name+"/") {
				t.Errorf("died at %d: left behind: %s", crash, key)
			}
		}
		if err == nil {
			if crash < 8 {
				t.Errorf("only %d changes were made", crash)
			}
			return
		}
	}
}

func testChangesWhileSent(t *testing.T, _ bloblab.Place, url string) {
	s := open(t, url)
	begin(t, s, 1)
	dir := t.TempDir()
	e := write(t, dir, "step-1", map[string]string{"a": "aaaa"})
	s.before = func(string, string) error {
		write(t, dir, "step-1", map[string]string{"a": "AAAA"})
		return nil
	}
	if _, err := s.Upload(t.Context(), dir, e, Writer{Epoch: 1, Nodes: 1}); !fault.Is(err, fault.Conflict) {
		t.Errorf("%v; want that it changed", err)
	}
	s.before = func(string, string) error {
		write(t, dir, "step-1", map[string]string{"b": "late"})
		return nil
	}
	if _, err := s.Upload(t.Context(), dir, e, Writer{Epoch: 1, Nodes: 1}); !fault.Is(err, fault.Conflict) {
		t.Errorf("%v; want that it changed", err)
	}
	s.before = nil
	if left := keys(t, s, manifestPrefix); len(left) > 0 {
		t.Errorf("manifests %v", left)
	}
	if _, err := s.Upload(t.Context(), dir, e, Writer{Epoch: 1, Nodes: 1}); err != nil {
		t.Error(err)
	}
	if _, err := s.Upload(t.Context(), dir, Entry{Name: "step-2", Step: 2}, Writer{Epoch: 1, Nodes: 1}); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v; want that it is gone", err)
	}
}

// What others put there is neither read nor followed out of the directory.
func testForeignObjects(t *testing.T, _ bloblab.Place, url string) {
	s := open(t, url)
	begin(t, s, 1)
	upload(t, s, 1, "step-1", "good")
	evil := Manifest{Name: "step-9", Step: 9, Epoch: 1, Nodes: 1, Files: []File{{Path: "../../evil", SHA256: strings.Repeat("0", 64)}}}
	data, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	for key, content := range map[string][]byte{
		ref{"step-9", 1}.manifest(0, 1): data, "manifests/readme": []byte("x"), "fences/x.json": []byte("{}"),
		"manifests/00000001/step-8/7-of-3.json": data, "manifests/00000001/step-7/0-of-1.json": bytes.Repeat([]byte("["), 100),
	} {
		if err := s.bucket.WriteAll(t.Context(), key, content, nil); err != nil {
			t.Fatal(err)
		}
	}
	c, files, said := restore(t, s)
	if c == nil || c.Name != "step-1" || len(files) != 1 || len(said) != 2 || !slices.ContainsFunc(said, func(text string) bool {
		return strings.Contains(text, "not within the checkpoint")
	}) {
		t.Errorf("restored %+v, %v, said %q", c, files, said)
	}
}
