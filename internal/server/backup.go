package server

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/danielgtaylor/huma/v2"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// backup makes a consistent copy beside the system's temporary files, where it
// never has a lasting name, and sends it.
func (s *server) backup(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	dir, err := os.MkdirTemp("", "yard-backup-")
	if err != nil {
		return nil, fault.Wrap(fault.Transient, err, "making room for the backup")
	}
	path := filepath.Join(dir, "backup")
	if err := s.Store.Backup(ctx, path); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fault.Wrap(fault.Transient, err, "opening the backup")
	}
	return &huma.StreamResponse{Body: func(stream huma.Context) {
		defer func() { _ = os.RemoveAll(dir) }()
		defer func() { _ = file.Close() }()
		stream.SetHeader("Content-Type", "application/vnd.sqlite3")
		_, _ = io.Copy(stream.BodyWriter(), file) // cut short, the client's check finds it
	}}, nil
}
