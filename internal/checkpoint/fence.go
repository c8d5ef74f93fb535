package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// fence is what an attempt takes over when it begins.
type fence struct {
	Epoch    int       `json:"epoch"`
	Previous int       `json:"previous"` // epoch of the fence before; -1 for none
	At       time.Time `json:"at"`       // by the clock of the node
	Accepted []ref     `json:"accepted"`
}

// ErrSuperseded tells that a later attempt of the run has begun: what this one
// writes is ignored, and it had better end.
var ErrSuperseded = errors.New("superseded: a later attempt of this run has begun")

// noEpoch is before every attempt.
const noEpoch = -1

// accepts reports whether readers that stand behind the fence see the checkpoint.
func (f fence) accepts(r ref) bool {
	if r.Epoch == f.Epoch {
		return true
	}
	for _, a := range f.Accepted {
		if a == r {
			return true
		}
	}
	return false
}

// Begin fences the store for an attempt: from here on, what earlier epochs write
// is ignored by every reader. It may be repeated, by every node of the attempt.
// ErrSuperseded (fault.Conflict) where a later epoch has begun.
func (s *Store) Begin(ctx context.Context, epoch int) error {
	if epoch < 0 {
		return fault.Newf(fault.Invalid, "epoch %d: want 0 or more", epoch)
	}
	last, err := s.lastFence(ctx)
	if err != nil {
		return err
	}
	if last.Epoch < epoch {
		if err := s.putFence(ctx, epoch, last); err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return s.stillCurrent(ctx, epoch)
}

func (s *Store) putFence(ctx context.Context, epoch int, last fence) error {
	all, err := s.survey(ctx)
	if err != nil {
		return err
	}
	next := fence{Epoch: epoch, Previous: last.Epoch, At: time.Now().UTC(), Accepted: []ref{}}
	for _, found := range all {
		if found.complete() && last.accepts(found.ref) {
			next.Accepted = append(next.Accepted, found.ref)
		}
	}
	return s.putNew(ctx, fenceKey(epoch), next)
}

// Epoch is the epoch of the attempt that began last; false before any did.
func (s *Store) Epoch(ctx context.Context) (int, bool, error) {
	epoch, err := s.lastEpoch(ctx)
	return epoch, epoch != noEpoch, err
}

// stillCurrent fails with ErrSuperseded where a later epoch than this has begun.
func (s *Store) stillCurrent(ctx context.Context, epoch int) error {
	last, err := s.lastEpoch(ctx)
	if err == nil && last > epoch {
		err = fault.Wrap(fault.Conflict, ErrSuperseded, fmt.Sprintf("attempt %d", epoch))
	}
	return err
}

func (s *Store) lastEpoch(ctx context.Context) (int, error) {
	last := noEpoch
	err := s.list(ctx, fencePrefix, "", func(o *blob.ListObject) error {
		name := strings.TrimSuffix(strings.TrimPrefix(o.Key, fencePrefix), ".json")
		if epoch, err := strconv.Atoi(name); err == nil && epoch > last {
			last = epoch
		}
		return nil
	})
	return last, err
}

func (s *Store) lastFence(ctx context.Context) (fence, error) {
	epoch, err := s.lastEpoch(ctx)
	if err != nil || epoch == noEpoch {
		return fence{Epoch: noEpoch, Previous: noEpoch}, err
	}
	data, err := s.get(ctx, fenceKey(epoch))
	if err != nil {
		return fence{}, err
	}
	var last fence
	if err := json.Unmarshal(data, &last); err != nil || last.Epoch != epoch {
		return fence{}, s.brokenFence(ctx, epoch)
	}
	return last, nil
}

// brokenFence says how to mend a fence that was cut short or changed. What it
// took over is known from nowhere else, and to guess could bring back what a
// survivor wrote: a person has to decide.
func (s *Store) brokenFence(ctx context.Context, epoch int) error {
	all, err := s.survey(ctx)
	if err != nil {
		return err
	}
	repair := fmt.Sprintf("or remove it: attempt %d left no checkpoint, so none is lost", epoch)
	for _, f := range all {
		if f.Epoch == epoch && f.complete() {
			repair = fmt.Sprintf(`or write {"epoch": %d} into it: attempts go on from step %d, and checkpoints from before attempt %d are given up`, epoch, f.step, epoch)
			break
		}
	}
	return fault.Newf(fault.Invalid, "%s of %s was cut short or changed by hand. Put it back as it was (the store may keep versions), %s",
		fenceKey(epoch), s, repair)
}
