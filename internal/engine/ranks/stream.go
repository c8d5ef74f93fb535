package ranks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// What a Stream says besides the lines of ranks, which begin with a number.
const (
	offsetMark = "@log " // "@log RANK OFFSET": what follows of the rank begins there in what it wrote
	// markEvery is how many bytes of a rank pass between two marks: where the
	// engine keeps only the end of the stream, less than that is not placed.
	markEvery = 64 << 10
)

// Stream writes what all ranks of a node write to one writer, for engines that
// keep a program's standard output and nothing else: each line behind the number
// of its rank and a space, reports of progress as "@yard " lines with the time at
// which they were heard, and the paces of ranks as "@pace " lines.
type Stream struct {
	mu sync.Mutex
	to io.Writer
}

// NewStream returns a stream that writes to the writer.
func NewStream(to io.Writer) *Stream { return &Stream{to: to} }

// Progress passes a report on.
func (s *Stream) Progress(p fleet.Progress) {
	if object, err := json.Marshal(p); err == nil {
		_ = s.put(append(append([]byte(progressMark), object...), '\n'))
	}
}

// Pace passes a point of a rank's pace on.
func (s *Stream) Pace(p PacePoint) { _ = s.put(p.line()) }

func (s *Stream) put(lines []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.to.Write(lines)
	return err
}

// streamed is the output of one rank in a stream.
type streamed struct {
	stream *Stream
	rank   int

	mu     sync.Mutex
	offset int64 // in what the rank wrote
	marked int64 // offset of the last mark; -1 before the first
	lost   atomic.Int64
}

func (s *Stream) output(rank int) *streamed { return &streamed{stream: s, rank: rank, marked: -1} }

func (o *streamed) write(batch []byte, lines int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []byte
	if o.marked < 0 || o.offset-o.marked >= markEvery {
		out = fmt.Appendf(out, "%s%d %d\n", offsetMark, o.rank, o.offset)
		o.marked = o.offset
	}
	for line := range bytes.Lines(batch) {
		out = append(fmt.Appendf(out, "%d ", o.rank), line...)
	}
	o.offset += int64(len(batch))
	if o.stream.put(out) != nil {
		o.lost.Add(lines)
		o.marked = -1 // the next that gets through says where it is
	}
}

func (o *streamed) lose(lines int64) { o.lost.Add(lines) }

func (o *streamed) lostLines() int64 { return o.lost.Load() }

func (o *streamed) bounds() (line, batch int) { return longestLine, longestLine }

func (o *streamed) close() {}
