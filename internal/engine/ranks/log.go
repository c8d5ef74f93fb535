package ranks

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	defaultLogCap = 64 << 20
	leastLogCap   = 64 << 10
	longestLine   = 64 << 10 // a longer line is cut, and counted
	tailSegments  = 4
)

// Log keeps what one rank wrote, bounded: the first half of the cap in
// ranks/N.log, the newest half in segments ranks/N.log.OFFSET-LINE-HEAD, of
// which the oldest makes room for a new one. OFFSET and LINE are where the
// segment begins in the stream as it was written, HEAD is the number of lines in
// the first half: so the names alone tell a reader what is missing.
//
// A write that fails (a full disk) loses its lines, which are counted, and a
// line in the log says so once writing works again.
type Log struct {
	path     string
	headCap  int64
	segment  int64 // bytes of one segment
	lineCap  int   // bytes of one line
	batchCap int   // bytes of one write

	mu        sync.Mutex
	file      *os.File // nil until the first line, and after a failed open
	size      int64    // of file
	offset    int64    // of the end of the stream
	lines     int64    // in the stream
	headLines int64
	tail      []tailSegment
	dropped   int64 // lines lost since the last successful write
	cause     error // of that

	lost atomic.Int64 // lines cut or lost, ever
}

type tailSegment struct {
	path  string
	lines int64
}

// NewLog returns the log of a rank at the path, bounded by so many bytes; 0 is the default.
func NewLog(path string, limit int64) *Log {
	if limit <= 0 {
		limit = defaultLogCap
	}
	limit = max(limit, leastLogCap)
	segment := limit / 2 / tailSegments
	line := min(longestLine, int(segment/2))
	return &Log{path: path, headCap: limit / 2, segment: segment, lineCap: line, batchCap: line}
}

// write appends whole lines.
func (l *Log) write(batch []byte, lines int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped > 0 {
		note := fmt.Appendf(nil, "[yard] %d lines lost: %v\n", l.dropped, l.cause)
		if l.append(note, 1) != nil {
			l.drop(lines, l.cause)
			return
		}
		l.dropped = 0
	}
	if err := l.append(batch, lines); err != nil {
		l.drop(lines, err)
	}
}

func (l *Log) lose(lines int64) { l.lost.Add(lines) }

func (l *Log) lostLines() int64 { return l.lost.Load() }

func (l *Log) bounds() (line, batch int) { return l.lineCap, l.batchCap }

func (l *Log) drop(lines int64, cause error) {
	l.dropped += lines
	l.cause = cause
	l.lost.Add(lines)
}

func (l *Log) append(data []byte, lines int64) error {
	if err := l.room(int64(len(data))); err != nil {
		return err
	}
	if _, err := l.file.Write(data); err != nil {
		_ = l.file.Truncate(l.size) // no half lines; fails only on what is not a file
		return cause(err)
	}
	l.size += int64(len(data))
	l.offset += int64(len(data))
	l.lines += lines
	if len(l.tail) > 0 {
		l.tail[len(l.tail)-1].lines += lines
	} else {
		l.headLines += lines
	}
	return nil
}

// room sees to an open file that has room for n more bytes.
func (l *Log) room(n int64) error {
	limit, path := l.headCap, l.path
	if len(l.tail) > 0 {
		limit, path = l.segment, l.tail[len(l.tail)-1].path
	}
	if l.size+n > limit {
		l.closeFile()
		l.size = 0
		l.dropOldest()
		path = fmt.Sprintf("%s.%d-%d-%d", l.path, l.offset, l.lines, l.headLines)
		l.tail = append(l.tail, tailSegment{path: path})
	}
	if l.file != nil {
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return cause(err)
	}
	l.file = file
	return nil
}

func (l *Log) dropOldest() {
	if len(l.tail) < tailSegments {
		return
	}
	_ = os.Remove(l.tail[0].path)
	l.lost.Add(l.tail[0].lines)
	l.tail = l.tail[1:]
}

func (l *Log) closeFile() {
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}

func (l *Log) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped > 0 {
		_ = l.append(fmt.Appendf(nil, "[yard] %d lines lost: %v\n", l.dropped, l.cause), 1)
	}
	l.closeFile()
}

// cause is an error without the path, which is of no use in a log.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// parseSegment reads a segment's name: where it begins, and the lines before it
// and in the first half.
func parseSegment(name string) (offset, line, head int64, ok bool) {
	parts := strings.Split(name, "-")
	if len(parts) != 3 {
		return 0, 0, 0, false
	}
	var numbers [3]int64
	for i, part := range parts {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return 0, 0, 0, false
		}
		numbers[i] = n
	}
	return numbers[0], numbers[1], numbers[2], true
}
