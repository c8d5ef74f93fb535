package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/switchyard-ai/switchyard/internal/engine/whole"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

const (
	scanEvery = time.Second // between looks for finished checkpoints
	// fenceEvery is between looks at the fence where nothing is sent: each is a
	// listing, which a store charges for.
	fenceEvery = 20 * time.Second
	waitEvery  = time.Second / 2 // between looks for what another node does
	// A store that cannot be reached when an attempt begins is asked again so
	// many times, that far apart: a rank's start may cost minutes, not hours.
	prepareTries = 10
	prepareEvery = 6 * time.Second

	markerFile   = ".yard-checkpoints.json" // in the directory: who wrote it last
	supersededIn = ".superseded"            // folder of entries that are not taken
)

// Task is the keeping of the checkpoints of an attempt on one node.
type Task struct {
	URL    string // store of the run
	Dir    string // of the node, or of all nodes
	Epoch  int
	Keep   int // newest checkpoints kept; 0 is DefaultKeep
	Format string
	Reads  []string // formats that can be taken; empty is any

	Node, Nodes int
	Sharded     bool // every node writes its part; else node 0 writes all
	Shared      bool // all nodes see the same Dir
}

// Keeper brings the newest checkpoint before an attempt's ranks start, and sends
// finished ones as they appear.
type Keeper struct {
	task    Task
	store   *Store
	floor   int64     // step that everything sent is above
	checked time.Time // when the fence was looked at last

	mu         sync.Mutex
	notes      []string
	stored     int64 // newest step sent
	superseded bool
	said       string // last failure that was noted
	done       map[string]bool

	stop    context.CancelFunc
	working sync.WaitGroup
}

// NewKeeper returns a keeper.
func NewKeeper(task Task) *Keeper {
	return &Keeper{task: task, floor: -1, stored: -1, done: map[string]bool{}}
}

// TakeNotes returns what people should know since it was last called, a line each.
func (k *Keeper) TakeNotes() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	notes := k.notes
	k.notes = nil
	return notes
}

func (k *Keeper) note(line string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.notes = append(k.notes, line)
}

// lead is the node that does what is done once for a gang.
func (k *Keeper) lead() bool { return k.task.Node == 0 }

// Prepare fences the store and brings the newest checkpoint into the directory.
// A store that cannot be reached is asked again for a minute.
func (k *Keeper) Prepare(ctx context.Context) error {
	var err error
	for range prepareTries {
		if err = k.prepare(ctx); err == nil || !fault.Is(err, fault.Transient) || ctx.Err() != nil {
			return err
		}
		k.note("the checkpoint store cannot be reached: " + err.Error())
		select {
		case <-ctx.Done():
			return err
		case <-time.After(prepareEvery):
		}
	}
	return err
}

func (k *Keeper) prepare(ctx context.Context) error {
	if err := os.MkdirAll(k.task.Dir, 0o700); err != nil {
		return fault.Wrap(fault.Transient, err, "making the checkpoint directory")
	}
	if k.store == nil {
		store, err := Open(ctx, k.task.URL)
		if err != nil {
			return err
		}
		k.store = store
	}
	if !k.lead() {
		if err := k.awaitLead(ctx); err != nil || k.task.Shared {
			return err
		}
		_, err := k.restore(ctx, false)
		return err
	}
	continued, err := k.begin(ctx)
	if err != nil {
		return err
	}
	taken, err := k.restore(ctx, continued)
	if err != nil {
		return err
	}
	if taken != nil {
		k.note(fmt.Sprintf("checkpoint %s of attempt %d is the newest in %s", taken.Name, taken.Epoch, k.store))
	}
	return k.mark()
}

// marker tells which attempt a directory was last prepared for.
type marker struct {
	Store string `json:"store"`
	Epoch int    `json:"epoch"`
}

func (k *Keeper) mark() error {
	m := marker{Store: k.store.String(), Epoch: k.task.Epoch}
	err := whole.WriteJSON(filepath.Join(k.task.Dir, markerFile), m, whole.Durable)
	return fault.Wrap(fault.Transient, err, "marking the checkpoint directory")
}

// begin fences the store, and reports whether what the directory holds goes on
// from what the last attempt wrote: it wrote here, and none began elsewhere since.
func (k *Keeper) begin(ctx context.Context) (continued bool, err error) {
	last, err := k.store.lastFence(ctx)
	if err != nil {
		return false, err
	}
	before := last.Epoch
	if before == k.task.Epoch {
		before = last.Previous
	}
	var m marker
	marked, _ := whole.ReadJSON(filepath.Join(k.task.Dir, markerFile), &m)
	switch {
	case k.task.Nodes > 1 && !k.task.Shared:
	case marked:
		continued = m.Store == k.store.String() && (m.Epoch == before || m.Epoch == k.task.Epoch)
	default:
		continued = before == noEpoch
	}
	return continued, k.store.Begin(ctx, k.task.Epoch)
}

// awaitLead waits until node 0 has fenced the store and, where all nodes see the
// same directory, brought the checkpoint.
func (k *Keeper) awaitLead(ctx context.Context) error {
	tick := time.NewTicker(waitEvery)
	defer tick.Stop()
	for {
		ready, err := k.leadReady(ctx)
		if err != nil || ready {
			return err
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(fault.Transient, ctx.Err(), "waiting for node 0 to prepare the checkpoints")
		case <-tick.C:
		}
	}
}

func (k *Keeper) leadReady(ctx context.Context) (bool, error) {
	if k.task.Shared {
		var m marker
		found, err := whole.ReadJSON(filepath.Join(k.task.Dir, markerFile), &m)
		return found && err == nil && m.Store == k.store.String() && m.Epoch == k.task.Epoch, nil
	}
	last, err := k.store.lastEpoch(ctx)
	if err != nil || last < k.task.Epoch {
		return false, err
	}
	return true, k.store.stillCurrent(ctx, k.task.Epoch)
}

// restore brings the newest checkpoint of the store, unless the directory goes
// on from it. What is in the directory and not in the run's line is set aside.
func (k *Keeper) restore(ctx context.Context, continued bool) (*Checkpoint, error) {
	local, err := Entries(k.task.Dir)
	if err != nil {
		return nil, fault.Wrap(fault.Transient, err, "reading the checkpoint directory")
	}
	newest, err := k.store.Newest(ctx)
	if err != nil {
		return nil, err
	}
	if newest != nil {
		k.floor, k.stored = newest.Step, newest.Step
	}
	if continued && len(local) > 0 && local[0].Step > k.floor {
		k.note(fmt.Sprintf("checkpoint %s in the directory is newer than any in %s", local[0].Name, k.store))
		return nil, nil
	}
	taken, err := k.store.Restore(ctx, k.task.Dir, k.task.Reads, k.note)
	if err != nil {
		return nil, err
	}
	if taken != nil {
		k.floor, k.stored = taken.Step, taken.Step
	}
	return taken, k.setAside(local, taken, continued)
}

// setAside moves away what a rank would take for newer than what was brought,
// and, where the directory is not the run's line, everything else.
func (k *Keeper) setAside(local []Entry, taken *Checkpoint, continued bool) error {
	aside := filepath.Join(k.task.Dir, supersededIn)
	emptied := false
	for _, e := range local {
		if (taken != nil && e.Name == taken.Name) || (continued && (taken == nil || e.Step < taken.Step)) {
			continue
		}
		if !emptied {
			if err := errors.Join(os.RemoveAll(aside), os.MkdirAll(aside, 0o700)); err != nil {
				return fault.Wrap(fault.Transient, err, "setting a superseded checkpoint aside")
			}
			emptied = true
		}
		if err := os.Rename(filepath.Join(k.task.Dir, e.Name), filepath.Join(aside, e.Name)); err != nil {
			return fault.Wrap(fault.Transient, err, "setting a superseded checkpoint aside")
		}
		k.note(fmt.Sprintf("checkpoint %s in the directory is of a superseded attempt: it is in %s now", e.Name, supersededIn))
	}
	return nil
}

// sends reports whether this node sends checkpoints.
func (k *Keeper) sends() bool { return k.lead() || (k.task.Sharded && !k.task.Shared) }

// Start sends finished checkpoints from now on, until Finish.
func (k *Keeper) Start() {
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	if !k.sends() {
		return
	}
	k.working.Go(func() {
		tick := time.NewTicker(scanEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = k.send(ctx) // said, and tried again
			}
		}
	})
}

// Finish sends what is left, as far as the context lets it.
func (k *Keeper) Finish(ctx context.Context) error {
	k.stop()
	k.working.Wait()
	var err error
	if k.sends() {
		if err = k.send(ctx); err != nil {
			k.note("the last checkpoint is not in the store: " + err.Error())
		}
	}
	return errors.Join(err, k.store.Close())
}

// Stored is the step of the newest checkpoint of this node in the store; -1 for none.
func (k *Keeper) Stored() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stored
}

// Superseded reports whether a later attempt of the run has begun.
func (k *Keeper) Superseded() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.superseded
}

// send sends the finished checkpoints that the store does not have.
func (k *Keeper) send(ctx context.Context) error {
	entries, err := Entries(k.task.Dir)
	if err != nil {
		return k.complain(fault.Wrap(fault.Transient, err, "reading the checkpoint directory"))
	}
	if k.task.Sharded && k.task.Nodes > 1 {
		// Nodes that leave out different ones would complete none.
		slices.Reverse(entries)
	}
	for _, e := range entries {
		if err := k.sendOne(ctx, e); err != nil {
			return err
		}
	}
	return k.checkFence(ctx)
}

func (k *Keeper) sendOne(ctx context.Context, e Entry) error {
	if e.Step <= k.floor || k.done[e.Name] || e.Step < k.Stored() || k.Superseded() {
		return nil
	}
	began := time.Now()
	sent, err := k.store.Upload(ctx, k.task.Dir, e, k.writer())
	if fault.Is(err, fault.NotFound) {
		return nil // the program keeps fewer, and has removed it
	}
	if err != nil {
		return k.complain(err)
	}
	k.done[e.Name] = true
	k.mu.Lock()
	k.stored, k.said = e.Step, ""
	k.mu.Unlock()
	k.note(fmt.Sprintf("checkpoint %s is in %s (%s sent in %s)", e.Name, k.store, humanize.IBytes(uint64(sent)), time.Since(began).Round(time.Millisecond)))
	if k.lead() {
		return k.complain(k.store.Prune(ctx, k.task.Epoch, k.task.Keep))
	}
	return nil
}

func (k *Keeper) writer() Writer {
	w := Writer{Epoch: k.task.Epoch, Nodes: 1, Format: k.task.Format}
	if k.task.Sharded && !k.task.Shared {
		w.Node, w.Nodes = k.task.Node, k.task.Nodes
	}
	return w
}

// checkFence finds out whether the attempt is superseded, also where it has
// nothing to send.
func (k *Keeper) checkFence(ctx context.Context) error {
	if time.Since(k.checked) < fenceEvery {
		return nil
	}
	k.checked = time.Now()
	return k.complain(k.store.stillCurrent(ctx, k.task.Epoch))
}

// complain says a failure once, and notes that the attempt is superseded.
func (k *Keeper) complain(err error) error {
	if err == nil {
		return nil
	}
	k.mu.Lock()
	k.superseded = k.superseded || errors.Is(err, ErrSuperseded)
	again := k.said == err.Error()
	k.said = err.Error()
	k.mu.Unlock()
	if !again && !errors.Is(err, context.Canceled) {
		k.note("checkpoints: " + err.Error())
	}
	return err
}
