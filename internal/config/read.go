package config

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/dustin/go-humanize"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// ReadFile reads a file that people write, of at most spec.MaxSize; a larger
// one, and one without an end, is fault.Invalid. That a file is not there is
// fs.ErrNotExist.
func ReadFile(path string) ([]byte, error) { return ReadUpTo(path, spec.MaxSize) }

// ReadUpTo is ReadFile with a bound of its own.
func ReadUpTo(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the file cannot be read")
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the file cannot be read")
	}
	if int64(len(data)) > most {
		return nil, fault.Newf(fault.Invalid, "%s: it has more than the %s that are read", path, humanize.IBytes(uint64(most)))
	}
	return data, nil
}
