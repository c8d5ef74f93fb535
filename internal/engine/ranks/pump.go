package ranks

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// output takes what one rank writes.
type output interface {
	write(batch []byte, lines int64) // whole lines
	lose(lines int64)                // counts lines that it was not given, or not whole
	bounds() (line, batch int)       // bytes of one line, and of one write
	close()
	lostLines() int64
}

// pump moves what a rank writes into its log, line by line and as many lines at
// once as there are, but for lines that report takes; nil takes none.
func pump(from io.Reader, log output, report func(line []byte) bool) {
	lineCap, batchCap := log.bounds()
	reader := bufio.NewReaderSize(from, lineCap)
	var batch []byte
	var lines int64
	flush := func() {
		if lines > 0 {
			log.write(batch, lines)
			batch, lines = batch[:0], 0
		}
	}
	for {
		line, err := reader.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			flush()
			batch, err = cutLine(reader, append(batch, line...))
			lines++
			log.lose(1)
			flush()
		case len(line) > 0 && (report == nil || !report(line)):
			if len(batch)+len(line)+1 > batchCap {
				flush()
			}
			batch = append(batch, line...)
			if err != nil { // the last line, without an end
				batch = append(batch, '\n')
			}
			lines++
		}
		if err != nil {
			flush()
			return
		}
		if waiting, _ := reader.Peek(reader.Buffered()); bytes.IndexByte(waiting, '\n') < 0 {
			flush()
		}
	}
}

// cutLine skips the rest of a line that is too long, and ends what was read of it.
func cutLine(reader *bufio.Reader, line []byte) ([]byte, error) {
	skipped := 0
	for {
		rest, err := reader.ReadSlice('\n')
		skipped += len(bytes.TrimSuffix(rest, []byte{'\n'}))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Appendf(line, " [yard] %d bytes of this line cut\n", skipped), err
		}
	}
}
