package ranks

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// Whatever is written, the files stay within the cap, and a reader that goes on
// from Next sees the stream in order, each gap told of where it is.
func TestLogKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		log := NewLog(filepath.Join(dir, "0.log"), leastLogCap)
		defer log.close()
		var stream []byte
		var lines, next int64
		for range rapid.IntRange(1, 60).Draw(rt, "writes") {
			batch := bytes.Repeat([]byte(fmt.Sprintf("line %d\n", lines)), rapid.IntRange(1, 400).Draw(rt, "lines"))
			batch = batch[:min(len(batch), log.batchCap)]
			batch = batch[:bytes.LastIndexByte(batch, '\n')+1]
			n := int64(bytes.Count(batch, []byte{'\n'}))
			log.write(batch, n)
			stream, lines = append(stream, batch...), lines+n
			if rapid.Bool().Draw(rt, "follow") {
				next = checkRead(rt, log.path, stream, next)
			}
		}
		checkRead(rt, log.path, stream, next)
		checkRead(rt, log.path, stream, 0)
		if size := folderSize(rt, dir); size > leastLogCap {
			rt.Fatalf("%d bytes kept; want at most %d", size, leastLogCap)
		}
		if kept := int64(bytes.Count(readAll(rt, log.path, 0), []byte("line "))); kept+log.lost.Load() != lines {
			rt.Fatalf("%d lines kept, %d counted as lost; want them to make %d", kept, log.lost.Load(), lines)
		}
	})
}

// checkRead reads from the offset, compares with the stream, and returns where
// to go on: the stream's end.
func checkRead(t *rapid.T, path string, stream []byte, offset int64) int64 {
	log, err := openLog(path, offset)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	at := offset
	for piece := make([]byte, 1000); ; {
		n, err := log.Read(piece)
		if bytes.HasPrefix(piece[:n], []byte("[yard] ")) {
			at = -1 // a gap: Next tells where it ends, once past it
		} else if n > 0 {
			if at < 0 {
				at = log.Next() - int64(n)
			}
			if !bytes.Equal(piece[:n], stream[at:at+int64(n)]) {
				t.Fatalf("at %d: %q; want %q", at, piece[:n], stream[at:at+int64(n)])
			}
			at += int64(n)
			if at != log.Next() {
				t.Fatalf("next %d; want %d", log.Next(), at)
			}
		}
		if err == io.EOF {
			break
		}
	}
	if log.Next() != int64(len(stream)) {
		t.Fatalf("read to %d; want the end, %d", log.Next(), len(stream))
	}
	return log.Next()
}

func readAll(t *rapid.T, path string, offset int64) []byte {
	log, err := openLog(path, offset)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	data, err := io.ReadAll(log)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func folderSize(t *rapid.T, dir string) int64 {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

// A disk that is full for a while costs lines; the log says how many.
func TestLogRecoversFromAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	path := filepath.Join(t.TempDir(), "0.log")
	log := NewLog(path, 0)
	log.write([]byte("before\n"), 1)
	log.closeFile()
	if err := os.Rename(path, path+".aside"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	log.write([]byte("lost\nlost\n"), 2)
	log.write([]byte("lost\n"), 1)
	log.closeFile()
	if err := os.Rename(path+".aside", path); err != nil {
		t.Fatal(err)
	}
	log.write([]byte("after\n"), 1)
	log.close()
	data, err := os.ReadFile(path)
	if want := "before\n[yard] 3 lines lost: no space left on device\nafter\n"; err != nil || string(data) != want {
		t.Errorf("log %q, %v; want %q", data, err, want)
	}
	if log.lost.Load() != 3 {
		t.Errorf("%d counted as lost; want 3", log.lost.Load())
	}
}

func TestPump(t *testing.T) {
	long := strings.Repeat("x", leastLogCap)
	for _, tt := range []struct {
		name, in, want string
		lost           int64
		step           int64
	}{
		{name: "nothing"},
		{name: "lines", in: "a\nb\n\nc\n", want: "a\nb\n\nc\n"},
		{name: "no end", in: "a\nb", want: "a\nb\n"},
		{name: "too long", in: "a\n" + long + "\nb\n", lost: 1,
			want: "a\n" + long[:4096] + " [yard] 61440 bytes of this line cut\nb\n"},
		{name: "too long without an end", in: long, lost: 1,
			want: long[:4096] + " [yard] 61440 bytes of this line cut\n"},
		{name: "progress", in: "a\n@yard {\"step\": 3}\nb\n@yard {\"step\": 4}", want: "a\nb\n", step: 4},
		{name: "malformed progress", in: "@yard step 3\n@yard 3\n@yard null\n@yard {\"step\": \"x\"}\n",
			want: "@yard step 3\n@yard 3\n@yard null\n@yard {\"step\": \"x\"}\n"},
		{name: "progress within a line", in: "see @yard {\"step\": 3}\n", want: "see @yard {\"step\": 3}\n"},
	} {
		for how, reader := range map[string]io.Reader{
			"at once":  strings.NewReader(tt.in),
			"by bytes": iotest.OneByteReader(strings.NewReader(tt.in)),
			"by half":  iotest.HalfReader(strings.NewReader(tt.in)),
		} {
			log := NewLog(filepath.Join(t.TempDir(), "0.log"), leastLogCap)
			book := NewBook()
			pump(reader, log, func(line []byte) bool { return book.Offer(0, line) })
			log.close()
			data, err := os.ReadFile(log.path)
			if err != nil && tt.want != "" {
				t.Fatal(err)
			}
			if string(data) != tt.want || log.lost.Load() != tt.lost || book.Last().Step != tt.step {
				t.Errorf("%s %s: log %.5000q, %d lost, step %d; want %.5000q, %d, %d", tt.name, how,
					data, log.lost.Load(), book.Last().Step, tt.want, tt.lost, tt.step)
			}
		}
	}
}
