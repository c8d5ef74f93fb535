package ranks

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// LogPath is the file of a rank's log in its keeper's folder.
func LogPath(dir string, rank int) string {
	return filepath.Join(dir, "ranks", strconv.Itoa(rank)+".log")
}

// OpenLog reads the log of a rank in its keeper's folder, from an offset in what
// the rank wrote; nothing is there before the rank wrote anything.
func OpenLog(dir string, rank int, offset int64) (engine.Log, error) {
	if offset < 0 {
		return nil, fault.Newf(fault.Invalid, "log offset %d is negative", offset)
	}
	for {
		log, err := openLog(LogPath(dir, rank), offset)
		if !errors.Is(err, fs.ErrNotExist) {
			return log, fault.Wrap(fault.Internal, err, "opening the log of a rank")
		}
		// The writer made room while we looked: look again.
	}
}

// logReader reads the kept parts of a log in order.
type logReader struct {
	parts []logPart
	next  int64
}

// logPart is a file of the log, or a line that stands for what was cut.
type logPart struct {
	from   io.Reader
	file   *os.File // nil for a line
	offset int64    // where it begins in the stream
}

func (r *logReader) Next() int64 { return r.next }

func (r *logReader) Read(into []byte) (int, error) {
	for len(r.parts) > 0 {
		part := r.parts[0]
		n, err := part.from.Read(into)
		if part.file != nil {
			r.next += int64(n)
		}
		if n > 0 || (err != nil && !errors.Is(err, io.EOF)) {
			return n, err
		}
		if len(into) == 0 {
			return 0, nil
		}
		r.parts = r.parts[1:]
		if part.file != nil {
			_ = part.file.Close()
		}
		if len(r.parts) > 0 {
			r.next = max(r.next, r.parts[0].offset)
		}
	}
	return 0, io.EOF
}

func (r *logReader) Close() error {
	var errs []error
	for _, part := range r.parts {
		if part.file != nil {
			errs = append(errs, part.file.Close())
		}
	}
	r.parts = nil
	return errors.Join(errs...)
}

// openLog opens all that is kept from the offset on, so that nothing of it can
// be cut while it is read. It fails with fs.ErrNotExist where a part went away
// between being listed and being opened.
func openLog(path string, offset int64) (*logReader, error) {
	segments, err := listSegments(path)
	if err != nil {
		return nil, err
	}
	r := &logReader{next: offset}
	head, size, err := openPart(path, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil // nothing written yet
	}
	if err != nil {
		return nil, err
	}
	end := size // of the stream up to here
	if err := r.add(head, size, offset); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	for _, s := range segments {
		part, size, err := openPart(s.path, s.offset)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		if s.offset > end && s.offset > offset {
			r.parts = append(r.parts, logPart{from: bytes.NewReader(s.gap(end, offset)), offset: max(end, offset)})
		}
		end = s.offset + size
		if err := r.add(part, size, offset); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	return r, nil
}

// add appends a part of the given size, or closes it where it ends before the offset.
func (r *logReader) add(part logPart, size, offset int64) error {
	if offset >= part.offset+size {
		return part.file.Close()
	}
	if offset > part.offset {
		if _, err := part.file.Seek(offset-part.offset, io.SeekStart); err != nil {
			return errors.Join(err, part.file.Close())
		}
	}
	r.parts = append(r.parts, part)
	return nil
}

func openPart(path string, offset int64) (logPart, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return logPart{}, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return logPart{}, 0, errors.Join(err, file.Close())
	}
	return logPart{from: file, file: file, offset: offset}, info.Size(), nil
}

// keptSegment is a segment of the newest half.
type keptSegment struct {
	path               string
	offset, line, head int64
}

// gap tells a reader at the offset of what was cut between end and the segment.
func (s keptSegment) gap(end, offset int64) []byte {
	if offset <= end {
		return fmt.Appendf(nil, "[yard] %d lines cut here: the log passed its bound\n", s.line-s.head)
	}
	return fmt.Appendf(nil, "[yard] %d bytes cut here: the log passed its bound\n", s.offset-offset)
}

func listSegments(path string) ([]keptSegment, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var segments []keptSegment
	for _, entry := range entries {
		name, found := strings.CutPrefix(entry.Name(), filepath.Base(path)+".")
		if !found {
			continue
		}
		if offset, line, head, ok := parseSegment(name); ok {
			segments = append(segments, keptSegment{filepath.Join(filepath.Dir(path), entry.Name()), offset, line, head})
		}
	}
	slices.SortFunc(segments, func(a, b keptSegment) int { return cmp.Compare(a.offset, b.offset) })
	return segments, nil
}
