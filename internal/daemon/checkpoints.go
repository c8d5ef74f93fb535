package daemon

import (
	"context"
	"log/slog"

	"github.com/switchyard-ai/switchyard/internal/checkpoint"
)

// copier brings the newest checkpoint of one store to another.
func copier(log *slog.Logger) func(ctx context.Context, from, to string) (int64, error) {
	return func(ctx context.Context, from, to string) (int64, error) {
		source, err := checkpoint.Open(ctx, from)
		if err != nil {
			return 0, err
		}
		defer func() { _ = source.Close() }() // it was read
		target, err := checkpoint.Open(ctx, to)
		if err != nil {
			return 0, err
		}
		copied, err := source.Copy(ctx, target, func(note string) { log.Warn(note, "from", from, "to", to) })
		if err == nil && copied == nil {
			copied, err = target.Newest(ctx) // an earlier copy brought it
		}
		if closeErr := target.Close(); err == nil {
			err = closeErr
		}
		if err != nil || copied == nil {
			return 0, err
		}
		return copied.Size, nil
	}
}
