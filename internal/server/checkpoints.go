package server

import (
	"context"
	"slices"
	"strings"
	"time"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/checkpoint"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
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
	for _, k := range keptAt(attempts, s.Checkpoints(in.ID)) {
		var found []v1.Checkpoint
		if k.list != nil {
			var err error
			if found, err = k.list(ctx, k.place); err != nil {
				out.Unread = append(out.Unread, v1.Unread{Store: plain(k.place), Reason: err.Error()})
				continue
			}
		}
		out.Checkpoints = append(out.Checkpoints, found...)
		if p := k.furthest.Progress; len(found) == 0 && p.CheckpointStep > 0 {
			out.Reported = append(out.Reported, v1.Reported{
				Attempt: k.furthest.Number, Pool: k.furthest.Pool, Step: p.CheckpointStep, At: p.At, Where: plain(k.place),
			})
		}
	}
	return answer(out), nil
}

// keeping is a place where attempts of a run kept checkpoints.
type keeping struct {
	site     string // "" for a store
	place    string // URL or directory; "" where the site alone knows
	list     func(context.Context, string) ([]v1.Checkpoint, error)
	furthest fleet.Attempt // that reported the newest checkpoint there
}

// keptAt are the places of a run's attempts, those of the latest first.
// directory is that of this machine.
func keptAt(attempts []fleet.Attempt, directory string) []keeping {
	var places []keeping
	for _, a := range slices.Backward(attempts) {
		k := keeping{place: a.Store, list: stored, furthest: a}
		switch {
		case a.Store != "":
		case a.Site == site.Local:
			k.place, k.list = directory, inDirectory
		default:
			k.site, k.list = a.Site, nil
		}
		i := slices.IndexFunc(places, func(p keeping) bool { return p.place == k.place && p.site == k.site })
		if i < 0 {
			places = append(places, k)
		} else if a.Progress.CheckpointStep > places[i].furthest.Progress.CheckpointStep {
			places[i].furthest = a
		}
	}
	return places
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
