package checkpoint

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// DefaultKeep is how many checkpoints are kept where nothing says otherwise.
const DefaultKeep = 3

// Prune removes all but the newest complete checkpoints, and what earlier
// attempts wrote that no reader sees. It is for the attempt that began last alone:
// ErrSuperseded for an earlier one, fault.Conflict for one that has not begun.
func (s *Store) Prune(ctx context.Context, epoch, keep int) error {
	if keep < 1 {
		keep = DefaultKeep
	}
	last, err := s.lastFence(ctx)
	if err != nil {
		return err
	}
	switch {
	case last.Epoch > epoch:
		return fault.Wrap(fault.Conflict, ErrSuperseded, fmt.Sprintf("attempt %d", epoch))
	case last.Epoch < epoch:
		return fault.Newf(fault.Conflict, "attempt %d has not begun", epoch)
	}
	all, err := s.survey(ctx)
	if err != nil {
		return err
	}
	kept := map[ref]bool{}
	oldest := int64(-1) // step of the oldest that is kept, once there are enough
	for _, f := range all {
		if len(kept) < keep && f.complete() && last.accepts(f.ref) {
			if kept[f.ref] = true; len(kept) == keep {
				oldest = f.step
			}
		}
	}
	for _, f := range all {
		// What is not complete may still become so, unless it is too old to be kept.
		waiting := f.Epoch == epoch && !f.complete() && f.step > oldest
		if !kept[f.ref] && !waiting {
			if err := s.discard(ctx, f.ref); err != nil {
				return err
			}
		}
	}
	return s.sweep(ctx, epoch, kept)
}

// discard removes a checkpoint, its manifests first.
func (s *Store) discard(ctx context.Context, r ref) error {
	if err := s.removeAll(ctx, r.manifests()); err != nil {
		return err
	}
	return s.removeAll(ctx, r.data())
}

// sweep removes files of earlier attempts that belong to no kept checkpoint:
// uploads that were cut short, and what a survivor wrote.
func (s *Store) sweep(ctx context.Context, epoch int, kept map[ref]bool) error {
	epochs, err := s.names(ctx, dataPrefix)
	if err != nil {
		return err
	}
	for _, name := range epochs {
		of, err := strconv.Atoi(name)
		if err != nil || of >= epoch {
			continue
		}
		entries, err := s.names(ctx, dataPrefix+name+"/")
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if r := (ref{Name: entry, Epoch: of}); !kept[r] {
				if err := s.removeAll(ctx, r.data()); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// removeEmpty removes the folders that a file store leaves behind, that of the
// epoch too where nothing is left in it.
func (s *Store) removeEmpty(prefix string) {
	if s.folder == "" {
		return
	}
	folder := filepath.Join(s.folder, filepath.FromSlash(prefix))
	_ = os.RemoveAll(folder)
	_ = os.Remove(filepath.Dir(folder))
}
