package checkpoint

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// smallAtOnce is how many small objects are read at the same time.
const smallAtOnce = 16

// State is what readers make of a checkpoint in a store.
type State string

// The states of a checkpoint.
const (
	Complete   State = "complete"   // a restore may take it
	Partial    State = "partial"    // parts of it are missing as yet, or for good
	Damaged    State = "damaged"    // a restore found that it does not match its checksums
	Superseded State = "superseded" // written after a later attempt had begun; ignored, and removed
)

// Checkpoint is a checkpoint in a store.
type Checkpoint struct {
	Name    string    `json:"name"`
	Step    int64     `json:"step"`
	Epoch   int       `json:"epoch"`
	State   State     `json:"state"`
	Reason  string    `json:"reason,omitempty"`
	Size    int64     `json:"size"` // bytes, of the parts that are there
	Format  string    `json:"format,omitempty"`
	Parts   int       `json:"parts"`
	Written time.Time `json:"written,omitzero"`

	manifests []Manifest // by node
}

// found is a checkpoint as the keys of a store tell of it.
type found struct {
	ref
	step    int64
	nodes   map[int]bool // whose manifests are there
	parts   int
	mixed   bool // manifests disagree on how many there are
	damaged bool
}

func (f *found) complete() bool {
	return !f.damaged && !f.mixed && f.parts > 0 && len(f.nodes) == f.parts
}

// survey finds all checkpoints of a store by their keys, newest first: the
// higher step, of equal ones the later attempt.
func (s *Store) survey(ctx context.Context) ([]*found, error) {
	byRef := map[ref]*found{}
	err := s.list(ctx, manifestPrefix, "", func(o *blob.ListObject) error {
		p, ok := parseManifestKey(o.Key)
		step, numbered := stepOf(p.Name)
		if !ok || !numbered {
			return nil
		}
		f := byRef[p.ref]
		if f == nil {
			f = &found{ref: p.ref, step: step, nodes: map[int]bool{}}
			byRef[p.ref] = f
		}
		if p.damaged {
			f.damaged = true
			return nil
		}
		f.mixed = f.mixed || (f.parts != 0 && f.parts != p.nodes)
		f.parts, f.nodes[p.node] = p.nodes, true
		return nil
	})
	var all []*found
	for _, f := range byRef {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *found) int {
		return cmp.Or(cmp.Compare(b.step, a.step), cmp.Compare(b.Epoch, a.Epoch), strings.Compare(b.Name, a.Name))
	})
	return all, err
}

// List tells of all checkpoints of a store, newest first.
func (s *Store) List(ctx context.Context) ([]Checkpoint, error) {
	last, err := s.lastFence(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.survey(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Checkpoint, len(all))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(smallAtOnce)
	for i, f := range all {
		group.Go(func() (err error) {
			list[i], err = s.describe(ctx, f, last)
			return err
		})
	}
	err = group.Wait()
	return slices.DeleteFunc(list, func(c Checkpoint) bool { return c.Name == "" }), err
}

// describe reads the manifests of a checkpoint; none where it has just been removed.
func (s *Store) describe(ctx context.Context, f *found, last fence) (Checkpoint, error) {
	c := Checkpoint{Name: f.Name, Step: f.step, Epoch: f.Epoch, Parts: f.parts, State: Complete}
	for _, node := range slices.Sorted(maps.Keys(f.nodes)) {
		if node >= f.parts {
			continue
		}
		m, err := s.manifest(ctx, f.ref, node, f.parts)
		switch {
		case fault.Is(err, fault.NotFound):
			return Checkpoint{}, nil
		case fault.Is(err, fault.Invalid):
			f.damaged, c.Reason = true, err.Error()
			continue
		case err != nil:
			return Checkpoint{}, err
		}
		c.manifests = append(c.manifests, m)
		c.Size += m.Size
		c.Format = m.Format
		if m.Written.After(c.Written) {
			c.Written = m.Written
		}
	}
	switch {
	case !last.accepts(f.ref):
		c.State, c.Reason = Superseded, fmt.Sprintf("attempt %d had begun", last.Epoch)
	case f.damaged:
		c.State = Damaged
	case !f.complete():
		c.State, c.Reason = Partial, fmt.Sprintf("%d of %d parts", len(f.nodes), f.parts)
	}
	return c, nil
}

func (s *Store) manifest(ctx context.Context, r ref, node, nodes int) (Manifest, error) {
	data, err := s.get(ctx, r.manifest(node, nodes))
	if err != nil {
		return Manifest{}, err
	}
	return parseManifest(data, part{ref: r, node: node, nodes: nodes})
}
