package ranks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// Whatever part of a stream is kept, a reader sees each rank's lines in order,
// its gaps told of, and goes on from Next as if it had read all at once.
func TestStreamKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var stream bytes.Buffer
		s := NewStream(&stream)
		outs, wrote := []*streamed{s.output(0), s.output(1), s.output(12)}, make([]string, 3)
		for i := range rapid.IntRange(0, 60).Draw(rt, "writes") {
			which := rapid.IntRange(0, 2).Draw(rt, "which")
			lines := rapid.IntRange(1, 3000).Draw(rt, "lines")
			batch := strings.Repeat(fmt.Sprintf("@log %d of %d\n", i, which), lines)
			outs[which].write([]byte(batch), int64(lines))
			wrote[which] += batch
			s.Progress(fleet.Progress{Step: int64(i)})
		}
		kept := stream.Bytes()[rapid.IntRange(0, stream.Len()).Draw(rt, "rotated"):]
		for i, rank := range []int{0, 1, 12} {
			offset := rapid.IntRange(0, len(wrote[i])).Draw(rt, "offset")
			log := Demux(io.NopCloser(bytes.NewReader(kept)), rank, int64(offset))
			data, err := io.ReadAll(log)
			if err != nil {
				rt.Fatal(err)
			}
			if bytes.HasPrefix(data, []byte("[yard] ")) {
				data = data[bytes.IndexByte(data, '\n')+1:]
			} else if len(data) > 0 && int(log.Next())-offset != len(data) {
				rt.Fatalf("rank %d: %d bytes read from %d to %d", rank, len(data), offset, log.Next())
			}
			if want := wrote[i][int(log.Next())-len(data) : log.Next()]; string(data) != want {
				rt.Fatalf("rank %d: other bytes than were written before %d", rank, log.Next())
			}
			if len(kept) == stream.Len() && int(log.Next()) != len(wrote[i]) {
				rt.Fatalf("rank %d: read to %d of %d", rank, log.Next(), len(wrote[i]))
			}
		}
	})
}

// failing is a writer that fails a while.
type failing struct {
	bytes.Buffer
	full bool
}

func (f *failing) Write(data []byte) (int, error) {
	if f.full {
		return 0, errors.New("full")
	}
	return f.Buffer.Write(data)
}

func TestStreamTellsOfWhatItLost(t *testing.T) {
	var to failing
	out := NewStream(&to).output(0)
	out.write([]byte("a\n"), 1)
	to.full = true
	out.write([]byte("b\nc\n"), 2)
	to.full = false
	out.write([]byte("d\n"), 1)
	data, err := io.ReadAll(Demux(io.NopCloser(&to), 0, 0))
	if want := "a\n[yard] 4 bytes cut here: the log passed its bound\nd\n"; err != nil || string(data) != want {
		t.Errorf("%q, %v; want %q", data, err, want)
	}
	if out.lostLines() != 2 {
		t.Errorf("%d lines lost; want 2", out.lostLines())
	}
}

func FuzzDemux(f *testing.F) {
	for _, seed := range []string{"@log 0 0\n0 a\n", "@log 0 -1\n0 b\n", "@log 0 5\n@log 0 2\n0 x\n", "@yard {\"step\":1}\n", "0 lost", "@log\n@log 1\n"} {
		f.Add([]byte(seed), int64(0))
	}
	f.Fuzz(func(t *testing.T, stream []byte, offset int64) {
		if offset < 0 || offset > 1<<40 {
			return
		}
		log := Demux(io.NopCloser(bytes.NewReader(stream)), 0, offset)
		if _, err := io.ReadAll(log); err != nil && !errors.Is(err, io.EOF) {
			t.Log(err) // a line that no stream has
		}
		if log.Next() < offset {
			t.Errorf("next %d before %d", log.Next(), offset)
		}
		if _, err := StreamHistory(bytes.NewReader(stream)); err != nil {
			t.Error(err)
		}
	})
}
