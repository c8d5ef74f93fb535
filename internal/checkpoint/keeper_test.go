package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// attempt is a keeper of a node in tests.
func attempt(url, dir string, epoch int) Task {
	return Task{URL: url, Dir: dir, Epoch: epoch, Nodes: 1}
}

func prepare(t *testing.T, task Task) *Keeper {
	t.Helper()
	k := NewKeeper(task)
	if err := k.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.Start()
	return k
}

func finish(t *testing.T, k *Keeper) {
	t.Helper()
	if err := k.Finish(context.Background()); err != nil {
		t.Error(err)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := Entries(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name)
	}
	return strings.Join(all, " ")
}

func newURL(t *testing.T) string { return "file://" + filepath.ToSlash(t.TempDir()) }

func said(k *Keeper, what string) bool {
	return slices.ContainsFunc(k.TakeNotes(), func(line string) bool { return strings.Contains(line, what) })
}

// A run goes on in another place from what was stored, keeping as many as asked.
func TestKeeperMovesARun(t *testing.T) {
	url, here, there := newURL(t), t.TempDir(), t.TempDir()
	task := attempt(url, here, 1)
	task.Keep = 2
	k := prepare(t, task)
	for step := 1; step <= 3; step++ {
		write(t, here, fmt.Sprintf("step-%d", step), map[string]string{"weights": fmt.Sprint(step)})
		if err := k.send(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if k.Stored() != 3 || !said(k, "step-3") {
		t.Errorf("stored %d", k.Stored())
	}
	finish(t, k)
	if got := states(t, open(t, url)); got != "step-3@1 complete, step-2@1 complete" {
		t.Errorf("stored: %s", got)
	}
	next := prepare(t, attempt(url, there, 2))
	if got := read(t, there)["step-3/weights"]; got != "3" || names(t, there) != "step-3" || !said(next, "step-3 of attempt 1 is the newest") {
		t.Errorf("brought %q, %s", got, names(t, there))
	}
	write(t, there, "step-7", map[string]string{"weights": "7"})
	finish(t, next) // sends the last
	if got := states(t, open(t, url)); !strings.HasPrefix(got, "step-7@2 complete, step-3@1 complete") {
		t.Errorf("stored: %s", got)
	}
}

// The directory of the attempt before goes on where its last upload was cut off;
// one that is behind another attempt does not.
func TestKeeperKnowsWhoseDirectoryItIs(t *testing.T) {
	url, here, there := newURL(t), t.TempDir(), t.TempDir()
	write(t, here, "step-1", map[string]string{"weights": "before there was a store"})
	k := prepare(t, attempt(url, here, 1))
	if names(t, here) != "step-1" || !said(k, "is newer than any") {
		t.Errorf("a directory that a store is given to: %q", names(t, here))
	}
	finish(t, k)
	write(t, here, "step-2", map[string]string{"weights": "not sent: the keeper was killed"})

	k = prepare(t, attempt(url, here, 2))
	if names(t, here) != "step-2 step-1" {
		t.Errorf("after a crash: %q", names(t, here))
	}
	finish(t, k)

	k = prepare(t, attempt(url, there, 3))
	write(t, there, "step-5", map[string]string{"weights": "elsewhere"})
	finish(t, k)
	write(t, here, "step-9", map[string]string{"weights": "by a survivor"})

	k = prepare(t, attempt(url, here, 4))
	if names(t, here) != "step-5" || read(t, here)["step-5/weights"] != "elsewhere" || !said(k, "step-9 in the directory is of a superseded attempt") {
		t.Errorf("after an attempt elsewhere: %q", names(t, here))
	}
	if read(t, here)[".superseded/step-9/weights"] == "" {
		t.Error("what was set aside is gone")
	}
	finish(t, k)
}

func TestKeeperIsSuperseded(t *testing.T) {
	url := newURL(t)
	old := prepare(t, attempt(url, t.TempDir(), 1))
	write(t, old.task.Dir, "step-1", map[string]string{"weights": "1"})
	next := prepare(t, attempt(url, t.TempDir(), 2))
	if err := old.send(t.Context()); !errors.Is(err, ErrSuperseded) || !old.Superseded() || !said(old, "superseded") {
		t.Errorf("%v, superseded %v", err, old.Superseded())
	}
	if err := NewKeeper(attempt(url, t.TempDir(), 1)).Prepare(t.Context()); !fault.Is(err, fault.Conflict) {
		t.Errorf("%v; want that it may not begin", err)
	}
	finish(t, next)
	if err := old.Finish(t.Context()); !errors.Is(err, ErrSuperseded) {
		t.Errorf("%v; want that it is superseded", err)
	}
	if got := states(t, open(t, url)); got != "" {
		t.Errorf("stored: %s", got)
	}
}

// Three nodes write shards in directories of their own; the next attempt has all
// of them on each node. Node 0 begins, whoever comes first.
func TestKeepersOfShards(t *testing.T) {
	url := newURL(t)
	gang := func(epoch int, work func(node int, k *Keeper)) {
		var wg sync.WaitGroup
		for _, node := range []int{2, 1, 0} {
			task := attempt(url, t.TempDir(), epoch)
			task.Node, task.Nodes, task.Sharded = node, 3, true
			wg.Go(func() {
				k := NewKeeper(task)
				if err := k.Prepare(context.Background()); err != nil {
					t.Error(err)
					return
				}
				k.Start()
				work(node, k)
				finish(t, k)
			})
		}
		wg.Wait()
	}
	gang(1, func(node int, k *Keeper) {
		for _, step := range []string{"step-1", "step-2"} {
			write(t, k.task.Dir, step, map[string]string{fmt.Sprintf("shard-%d", node): step})
		}
	})
	gang(2, func(_ int, k *Keeper) {
		files := read(t, k.task.Dir)
		for node := range 3 {
			if files[fmt.Sprintf("step-2/shard-%d", node)] != "step-2" || names(t, k.task.Dir) != "step-2" {
				t.Errorf("brought %v", files)
			}
		}
	})
}

// Where all nodes see one directory, node 0 brings and sends, and the others wait.
func TestKeepersOfASharedDirectory(t *testing.T) {
	url, dir := newURL(t), t.TempDir()
	for epoch := 1; epoch <= 2; epoch++ {
		var wg sync.WaitGroup
		for _, node := range []int{1, 0} {
			task := attempt(url, dir, epoch)
			task.Node, task.Nodes, task.Shared = node, 2, true
			wg.Go(func() {
				k := NewKeeper(task)
				if err := k.Prepare(context.Background()); err != nil {
					t.Error(err)
					return
				}
				k.Start()
				if epoch == 2 && names(t, dir) != "step-1" {
					t.Errorf("node %d sees %q", node, names(t, dir))
				}
				if epoch == 1 && node == 0 {
					write(t, dir, "step-1", map[string]string{"weights": "1"})
				}
				finish(t, k)
			})
		}
		wg.Wait()
	}
	if got := states(t, open(t, url)); got != "step-1@1 complete" {
		t.Errorf("stored: %s", got)
	}
}

// A store that cannot be used says so, and no rank begins without it.
func TestKeeperNeedsItsStore(t *testing.T) {
	for _, url := range []string{"ftp://x/y", "file:///dev/null/x", "s3://", ":"} {
		k := NewKeeper(attempt(url, t.TempDir(), 1))
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // no second try
		if err := k.Prepare(ctx); err == nil {
			t.Errorf("%s can be used", url)
		}
	}
}

// A move that is repeated, as after a crash before it was booked, sends nothing
// again and tells the same size.
func TestMoveMayBeRepeated(t *testing.T) {
	from, to := newURL(t), newURL(t)
	quiet := func(string) {}
	if bytes, err := Move(t.Context(), from, to, quiet); bytes != 0 || err != nil {
		t.Errorf("nothing to move: %d bytes, %v", bytes, err)
	}
	k := prepare(t, attempt(from, t.TempDir(), 1))
	write(t, k.task.Dir, "step-4", map[string]string{"weights": "four"})
	finish(t, k)
	for range 3 {
		if bytes, err := Move(t.Context(), from, to, quiet); bytes != 4 || err != nil {
			t.Errorf("%d bytes, %v; want the 4 of step-4", bytes, err)
		}
	}
	k = prepare(t, attempt(to, t.TempDir(), 2))
	write(t, k.task.Dir, "step-5", map[string]string{"weights": "five!"})
	finish(t, k)
	if bytes, err := Move(t.Context(), from, to, quiet); bytes != 0 || err != nil {
		t.Errorf("%d bytes, %v; want that the second has gone on", bytes, err)
	}
}

// TestManifestsThatLie holds hostile manifests to be set aside, whatever they
// claim, and the checkpoint before them to be taken.
func TestManifestsThatLie(t *testing.T) {
	for name, lie := range map[string]func(t *testing.T, dir string){
		"more parts than can be": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "manifests", epochKey(1), "step-2", "0-of-999999999999.json")
			if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(filepath.Dir(path), "0-of-1.json")); err != nil {
				t.Fatal(err)
			}
		},
		"more bytes than there are": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "manifests", epochKey(1), "step-2", "0-of-1.json")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.ReplaceAll(string(data), `"size":3`, `"size":4611686018427387904`)
			if changed == string(data) {
				t.Fatalf("no size of 3 in %s", data)
			}
			if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, "file://"+filepath.ToSlash(dir))
			begin(t, s, 1)
			upload(t, s, 1, "step-1", "one")
			upload(t, s, 1, "step-2", "two")
			lie(t, dir)
			begin(t, s, 2)
			wantRestored(t, s, "step-1", "one")
		})
	}
}
