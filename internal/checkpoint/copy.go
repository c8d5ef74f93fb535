package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Newest is the newest checkpoint that a restore may take; nil for none.
func (s *Store) Newest(ctx context.Context) (*Checkpoint, error) {
	all, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if c.State == Complete {
			return &c, nil
		}
	}
	return nil, nil
}

// Copy brings the newest checkpoint of this store to another, for a run that
// moves, and tells which; nil where there is nothing newer than the other has.
// It may be repeated: what is there already is not sent again. A checkpoint that
// turns out damaged is set aside, which is said to note, and the one before is
// taken. The attempt that began last here must be the last there too, or there
// was none; else ErrSuperseded.
func (s *Store) Copy(ctx context.Context, to *Store, note func(string)) (*Checkpoint, error) {
	epoch, err := s.lastEpoch(ctx)
	if err != nil || epoch == noEpoch {
		return nil, err
	}
	all, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	there, err := to.Newest(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if c.State != Complete {
			continue
		}
		if there != nil && there.Step >= c.Step {
			return nil, nil
		}
		err := s.copyOne(ctx, to, c, epoch)
		if !errors.Is(err, errDamaged) {
			return &c, err
		}
		s.markDamaged(ctx, c, err)
		note(fmt.Sprintf("checkpoint %s of attempt %d is not taken: it is damaged: %v", c.Name, c.Epoch, err))
	}
	return nil, nil
}

// copyOne copies a checkpoint, as one of the attempt that began last.
func (s *Store) copyOne(ctx context.Context, to *Store, c Checkpoint, epoch int) error {
	if err := to.Begin(ctx, epoch); err != nil {
		return err
	}
	for _, m := range c.manifests {
		if err := s.copyPart(ctx, to, m, ref{Name: c.Name, Epoch: epoch}); err != nil {
			return err
		}
	}
	return nil
}

// copyPart copies the files of one node, and then its manifest.
func (s *Store) copyPart(ctx context.Context, to *Store, m Manifest, as ref) error {
	from := ref{Name: m.Name, Epoch: m.Epoch}
	group, copying := errgroup.WithContext(ctx)
	group.SetLimit(filesAtOnce)
	for _, f := range m.Files {
		group.Go(func() error { return s.copyFile(copying, to, from.file(m.Node, f), as.file(m.Node, f), f) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	m.Epoch = as.Epoch
	if err := to.putNew(ctx, as.manifest(m.Node, m.Nodes), m); err != nil && !fault.Is(err, fault.Conflict) {
		return err
	}
	return nil
}

// copyFile sends a file on as it arrives; one that does not match its checksum
// does not get there.
func (s *Store) copyFile(ctx context.Context, to *Store, fromKey, toKey string, f File) error {
	if there, err := to.hasFile(ctx, toKey, f); err != nil || there {
		return err
	}
	from, err := s.bucket.NewReader(ctx, fromKey, nil)
	if err != nil {
		return s.fetchFault(ctx, err, stored{File: f, key: fromKey})
	}
	defer func() { _ = from.Close() }()
	err = to.send(ctx, from, toKey, f)
	if errors.Is(err, errChanged) {
		return damage(fromKey + " does not match its checksum")
	}
	return err
}

// Move copies the newest checkpoint between the stores of two URLs, and tells
// the size of what the second has of the first now: repeating it sends nothing
// again and tells the same. 0 where there is nothing to go on from, or the second
// has gone on further.
func Move(ctx context.Context, from, to string, note func(string)) (bytes int64, err error) {
	source, err := Open(ctx, from)
	if err != nil {
		return 0, err
	}
	defer func() { _ = source.Close() }()
	target, err := Open(ctx, to)
	if err != nil {
		return 0, err
	}
	defer func() { _ = target.Close() }()
	copied, err := source.Copy(ctx, target, note)
	if err != nil {
		return 0, err
	}
	if copied != nil {
		return copied.Size, nil
	}
	newest, err := source.Newest(ctx)
	if err != nil || newest == nil {
		return 0, err
	}
	there, err := target.Newest(ctx)
	if err != nil || there == nil || there.Name != newest.Name || there.Size != newest.Size {
		return 0, err
	}
	return there.Size, nil
}
