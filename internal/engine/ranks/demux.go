package ranks

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// longestStreamed is the longest line of a stream: of a rank, with its number
// and what was said of its cut.
const longestStreamed = longestLine + 256

// Demux reads the log of one rank, from an offset in what the rank wrote, out of
// a Stream of which the beginning may be missing. Lines that came before the
// first mark of the rank cannot be placed and are told of as cut. Closing it
// closes the stream.
func Demux(stream io.ReadCloser, rank int, offset int64) engine.Log {
	return &demux{
		from: stream, lines: bufio.NewReaderSize(stream, longestStreamed), rank: strconv.Itoa(rank), next: offset, at: -1,
	}
}

type demux struct {
	from  io.Closer
	lines *bufio.Reader
	rank  string
	at    int64 // offset of the rank's next line; -1 before its first mark
	next  int64

	ready []byte // of a line, not yet read
	note  bool   // ready stands for what was cut
}

func (d *demux) Next() int64 { return d.next }

func (d *demux) Close() error { return d.from.Close() }

func (d *demux) Read(into []byte) (int, error) {
	for len(d.ready) == 0 {
		line, err := d.lines.ReadSlice('\n')
		if len(line) == 0 && err != nil {
			return 0, err
		}
		if err == nil { // a line without an end is being written
			d.take(line)
		}
	}
	n := copy(into, d.ready)
	d.ready = d.ready[n:]
	if !d.note {
		d.next += int64(n)
	}
	return n, nil
}

// take takes one line of the stream.
func (d *demux) take(line []byte) {
	if mark, found := bytes.CutPrefix(line, []byte(offsetMark)); found {
		d.mark(mark)
		return
	}
	text, found := bytes.CutPrefix(line, []byte(d.rank+" "))
	if !found || d.at < 0 {
		return
	}
	begin := d.at
	d.at += int64(len(text))
	if d.at > d.next {
		d.ready, d.note = text[max(d.next-begin, 0):], false
	}
}

// mark takes "RANK OFFSET", and tells of what is missing before it.
func (d *demux) mark(mark []byte) {
	fields := bytes.Fields(mark)
	if len(fields) != 2 || string(fields[0]) != d.rank {
		return
	}
	at, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil || at < d.at {
		return
	}
	if d.at = at; at > d.next {
		d.ready, d.note = fmt.Appendf(nil, "[yard] %d bytes cut here: the log passed its bound\n", at-d.next), true
		d.next = at
	}
}

// StreamHistory reads the reports of progress out of a stream: the thinned
// history, oldest first, which ends with the last.
func StreamHistory(stream io.Reader) ([]fleet.Progress, error) {
	points, _, err := StreamNews(stream)
	return points, err
}

// StreamNews is StreamHistory, with the points of the ranks' paces in their order.
func StreamNews(stream io.Reader) ([]fleet.Progress, []PacePoint, error) {
	book := NewBook()
	var paces []PacePoint
	lines := bufio.NewReaderSize(stream, longestStreamed)
	for {
		line, err := lines.ReadSlice('\n')
		var p fleet.Progress
		if object, found := bytes.CutPrefix(line, []byte(progressMark)); found && json.Unmarshal(object, &p) == nil && credible(p) {
			book.take(p)
		} else if point, ok := parsePace(line); ok && err == nil {
			paces = append(paces, point)
		}
		if err == io.EOF {
			return withLast(book.points, book.last), paces, nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return nil, nil, err
		}
	}
}
