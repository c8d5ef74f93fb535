package ckpt

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
)

// Checkpoint is a manifest with its numbers.
type Checkpoint struct {
	Manifest
	Arrays [][]float32
}

// Save writes c under the epoch of Begin and removes what is older than the last few. When it fails nothing that was
// there before is lost. It fails with ErrSuperseded if a later attempt has begun.
func (s *Store) Save(c *Checkpoint) error {
	if err := s.superseded(); err != nil {
		return err
	}
	m := c.Manifest
	m.Format, m.Epoch = format, s.epoch
	n := name{step: m.Step, epoch: m.Epoch}
	temp, final := filepath.Join(s.dir, temporary+n.dir()), filepath.Join(s.dir, n.dir())
	if err := s.write(temp, m, c.Arrays); err != nil {
		return errors.Join(fmt.Errorf("checkpoint of step %d: %w", m.Step, err), os.RemoveAll(temp))
	}
	if err := replace(temp, final); err != nil {
		return fmt.Errorf("checkpoint of step %d: %w", m.Step, err)
	}
	return errors.Join(syncDir(s.dir), s.prune())
}

// replace puts temp in final's place. A checkpoint of the same step and epoch is there only if it was unreadable, or is
// the same; it is moved aside first, because a directory cannot be renamed over another.
func replace(temp, final string) error {
	old := filepath.Join(filepath.Dir(final), temporary+"old-"+filepath.Base(final))
	if err := os.Rename(final, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(temp, final); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

func (s *Store) write(dir string, m Manifest, arrays [][]float32) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	hash := sha256.New()
	err := s.writeFile(filepath.Join(dir, stateFile), func(w io.Writer) error {
		n, err := writeArrays(io.MultiWriter(w, hash), arrays)
		m.Bytes = n
		return err
	})
	if err != nil {
		return err
	}
	m.SHA256 = hex.EncodeToString(hash.Sum(nil))
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := s.writeFile(filepath.Join(dir, manifestFile), func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
		return err
	}
	return syncDir(dir)
}

// writeFile creates a file, and returns when its content is on disk.
func (s *Store) writeFile(name string, fill func(io.Writer) error) error {
	f, err := s.create(name)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeArrays writes each array as its length in eight bytes and its elements in four each, low byte first.
func writeArrays(to io.Writer, arrays [][]float32) (int64, error) {
	w := bufio.NewWriterSize(to, 1<<18)
	var n int64
	var word [8]byte
	for _, x := range arrays {
		binary.LittleEndian.PutUint64(word[:], uint64(len(x)))
		if _, err := w.Write(word[:]); err != nil {
			return n, err
		}
		for _, v := range x {
			binary.LittleEndian.PutUint32(word[:4], math.Float32bits(v))
			if _, err := w.Write(word[:4]); err != nil {
				return n, err
			}
		}
		n += 8 + 4*int64(len(x))
	}
	return n, w.Flush()
}

// read reads and verifies a checkpoint.
func (s *Store) read(n name) (*Checkpoint, error) {
	dir := filepath.Join(s.dir, n.dir())
	data, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{}
	if err := json.Unmarshal(data, &c.Manifest); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestFile, err)
	}
	if c.Format != format {
		return nil, fmt.Errorf("%s: format %d; this program reads %d", manifestFile, c.Format, format)
	}
	if c.Step != n.step || c.Epoch != n.epoch {
		return nil, fmt.Errorf("%s is of step %d, epoch %d", manifestFile, c.Step, c.Epoch)
	}
	state, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(state)
	if int64(len(state)) != c.Bytes || hex.EncodeToString(sum[:]) != c.SHA256 {
		return nil, fmt.Errorf("%s: %d bytes with another checksum than the manifest's of %d bytes", stateFile, len(state), c.Bytes)
	}
	c.Arrays, err = readArrays(state)
	return c, err
}

func readArrays(state []byte) ([][]float32, error) {
	var arrays [][]float32
	for len(state) > 0 {
		if len(state) < 8 || binary.LittleEndian.Uint64(state) > uint64(len(state)-8)/4 {
			return nil, fmt.Errorf("%s ends within an array", stateFile)
		}
		x := make([]float32, binary.LittleEndian.Uint64(state))
		state = state[8:]
		for i := range x {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(state[4*i:]))
		}
		state = state[4*len(x):]
		arrays = append(arrays, x)
	}
	return arrays, nil
}
