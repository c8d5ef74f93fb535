package focus

import (
	"encoding/csv"
	"fmt"
	"io"
)

const (
	longestRow   = 1 << 20  // bytes of a row; tags and resource names are far below
	longestTable = 16 << 20 // bytes of a table that is read at once
)

// bounded ends a file with an error where a row passes the limit: a file that
// is one row, or a device, would fill the memory.
type bounded struct {
	from  io.Reader
	limit int
	read  int // since the last row began, and what was read ahead then
}

// Read passes on what is read up to the limit.
func (b *bounded) Read(p []byte) (int, error) {
	if b.read >= b.limit {
		return 0, fmt.Errorf("what is read at once is longer than %d MiB; is this a CSV file, and every quote closed", b.limit>>20)
	}
	n, err := b.from.Read(p)
	b.read += n
	return n, err
}

// rows reads rows of bounded length.
type rows struct {
	*csv.Reader
	source *bounded
}

func newRows(r io.Reader) *rows {
	source := &bounded{from: r, limit: longestRow}
	return &rows{csv.NewReader(source), source}
}

// Read returns the next row.
func (r *rows) Read() ([]string, error) {
	r.source.read = 0
	return r.Reader.Read()
}
