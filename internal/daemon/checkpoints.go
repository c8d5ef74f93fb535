package daemon

import (
	"context"
	"log/slog"

	"github.com/switchyard-ai/switchyard/internal/checkpoint"
)

// copier brings the newest checkpoint of one store to another, and returns its
// size, also where an earlier copy brought it.
func copier(log *slog.Logger) func(ctx context.Context, from, to string) (int64, error) {
	return func(ctx context.Context, from, to string) (int64, error) {
		return checkpoint.Move(ctx, from, to, func(note string) { log.Warn(note, "from", from, "to", to) })
	}
}
