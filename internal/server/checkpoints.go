package server

import (
	"context"
	"slices"
	"strings"
	"time"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/checkpoint"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// storePatience bounds how long one store may take to be listed.
const storePatience = 20 * time.Second

// checkpoints lists what a run has kept, in every place where its attempts did.
func (s *server) checkpoints(ctx context.Context, in *RunPath) (*body[v1.CheckpointList], error) {
	attempts, err := s.attempts(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := v1.CheckpointList{Checkpoints: []v1.Checkpoint{}}
	var seen []string
	for _, a := range slices.Backward(attempts) {
		place := a.Store
		if place == "" && a.Site == site.Local {
			place = s.Checkpoints(in.ID)
		}
		if place == "" || slices.Contains(seen, place) {
			continue
		}
		seen = append(seen, place)
		list := stored
		if a.Store == "" {
			list = inDirectory
		}
		found, err := list(ctx, place)
		if err != nil {
			out.Unread = append(out.Unread, v1.Unread{Store: plain(place), Reason: err.Error()})
		}
		out.Checkpoints = append(out.Checkpoints, found...)
	}
	return answer(out), nil
}

// plain is a store without its options.
func plain(store string) string {
	where, _, _ := strings.Cut(store, "?")
	return where
}

func stored(ctx context.Context, url string) ([]v1.Checkpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	store, err := checkpoint.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }()
	list, err := store.List(ctx)
	if err != nil {
		return nil, err
	}
	var out []v1.Checkpoint
	for _, c := range list {
		out = append(out, v1.Checkpoint{
			Name: c.Name, Step: c.Step, Epoch: c.Epoch, State: string(c.State), Reason: c.Reason, Size: c.Size,
			Parts: c.Parts, Format: c.Format, Written: c.Written, Store: store.String(),
		})
	}
	return out, nil
}

func inDirectory(_ context.Context, dir string) ([]v1.Checkpoint, error) {
	entries, err := checkpoint.Entries(dir)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading the directory of checkpoints")
	}
	var out []v1.Checkpoint
	for _, e := range entries {
		size, written, err := checkpoint.Measure(dir, e)
		if err != nil {
			continue // its program has just removed it
		}
		out = append(out, v1.Checkpoint{Name: e.Name, Step: e.Step, State: "local", Size: size, Parts: 1, Written: written, Store: dir})
	}
	return out, nil
}
