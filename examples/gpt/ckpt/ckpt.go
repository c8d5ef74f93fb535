// Package ckpt owns checkpoints on disk: written whole or not at all, verified when read, the last few kept. Each carries
// the epoch of the attempt that wrote it; an attempt fences off what earlier attempts may still write after it began, so
// that a rank that was believed dead cannot slip its state under a living run. It refuses to know what the numbers mean.
package ckpt

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Manifest describes a checkpoint. It is the file manifest.json in the checkpoint's directory.
type Manifest struct {
	Format int             `json:"format"` // 1
	Epoch  int             `json:"epoch"`  // of the attempt that wrote it
	Step   int             `json:"step"`   // optimizer steps done
	Tokens int64           `json:"tokens"` // bytes learned so far
	Next   uint64          `json:"next"`   // position in the data: index of the next window
	Run    json.RawMessage `json:"run"`    // settings that a resumed run must share
	Bytes  int64           `json:"bytes"`  // size of state.bin
	SHA256 string          `json:"sha256"` // of state.bin
}

const (
	format       = 1
	manifestFile = "manifest.json"
	stateFile    = "state.bin"
	fenceFile    = "fences.json"
	temporary    = "tmp-"
	keep         = 3
)

// ErrSuperseded is the answer to an attempt of an epoch that a later one has taken over from.
var ErrSuperseded = errors.New("superseded by a later attempt")

// fence says that the attempt of Epoch went on from Step: whatever earlier epochs wrote beyond Step does not count.
type fence struct {
	Epoch int `json:"epoch"`
	Step  int `json:"step"`
}

// Store is a directory of checkpoints, as seen by the attempt of one epoch.
type Store struct {
	dir    string
	epoch  int
	say    func(format string, args ...any)
	create func(name string) (file, error)
}

type file interface {
	io.WriteCloser
	Sync() error
}

// Open is the store in dir for reading; say is told of checkpoints that cannot be read. Begin makes it writable.
func Open(dir string, say func(format string, args ...any)) *Store {
	return &Store{dir: dir, say: say, create: func(name string) (file, error) { return os.Create(name) }}
}

// Begin takes the store over for the attempt of the epoch, and returns the checkpoint to go on from, or nil. An epoch of
// -1 stands for the latest that the store has seen. It is an error if a later attempt has begun.
func (s *Store) Begin(epoch int) (*Checkpoint, error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("checkpoints: %w", err)
	}
	fences, err := s.fences()
	if err != nil {
		return nil, err
	}
	latest := 0
	for _, f := range fences {
		latest = max(latest, f.Epoch)
	}
	if epoch < 0 {
		epoch = latest
	}
	if epoch < latest {
		return nil, fmt.Errorf("attempt %d: %w (%d)", epoch, ErrSuperseded, latest)
	}
	s.epoch = epoch
	c, err := s.Latest()
	if err != nil || epoch == latest {
		return c, err
	}
	step := 0
	if c != nil {
		step = c.Step
	}
	return c, s.writeFences(append(fences, fence{Epoch: epoch, Step: step}))
}

// Latest is the newest checkpoint that can be read, or nil.
func (s *Store) Latest() (*Checkpoint, error) {
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	failed := ""
	for _, n := range names {
		c, err := s.read(n)
		if err == nil {
			if failed != "" {
				s.say("falling back from %s to the checkpoint of step %d", failed, c.Step)
			}
			return c, nil
		}
		failed = n.dir()
		s.say("checkpoint %s is unreadable: %v", failed, err)
	}
	if failed != "" {
		s.say("no checkpoint in %s is readable: starting anew", s.dir)
	}
	return nil, nil
}

// name is what a checkpoint's directory is called by.
type name struct{ step, epoch int }

func (n name) dir() string { return fmt.Sprintf("step-%08d-epoch-%d", n.step, n.epoch) }

// names lists the checkpoints that count, newest first.
func (s *Store) names() ([]name, error) {
	fences, err := s.fences()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoints: %w", err)
	}
	var names []name
	for _, e := range entries {
		var n name
		if _, err := fmt.Sscanf(e.Name(), "step-%d-epoch-%d", &n.step, &n.epoch); err == nil && e.Name() == n.dir() && counts(n, fences) {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(a, b name) int {
		return cmp.Or(cmp.Compare(b.step, a.step), cmp.Compare(b.epoch, a.epoch))
	})
	return names, nil
}

func counts(n name, fences []fence) bool {
	for _, f := range fences {
		if n.epoch < f.Epoch && n.step > f.Step {
			return false
		}
	}
	return true
}

func (s *Store) fences() ([]fence, error) {
	data, err := os.ReadFile(filepath.Join(s.dir, fenceFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var fences []fence
	if err == nil {
		err = json.Unmarshal(data, &fences)
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoints: %s: %w", fenceFile, err)
	}
	return fences, nil
}

func (s *Store) writeFences(fences []fence) error {
	data, err := json.Marshal(fences)
	if err != nil {
		return err
	}
	temp := filepath.Join(s.dir, temporary+fenceFile)
	if err := s.writeFile(temp, func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	if err := os.Rename(temp, filepath.Join(s.dir, fenceFile)); err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	return syncDir(s.dir)
}

// superseded tells whether a later attempt has begun since Begin.
func (s *Store) superseded() error {
	fences, err := s.fences()
	if err != nil {
		return err
	}
	for _, f := range fences {
		if f.Epoch > s.epoch {
			return fmt.Errorf("attempt %d: %w (%d)", s.epoch, ErrSuperseded, f.Epoch)
		}
	}
	return nil
}

// prune removes what is older than the last few that count, what does not count, and what a crash left half written.
func (s *Store) prune() error {
	names, err := s.names()
	if err != nil {
		return err
	}
	kept := map[string]bool{}
	for _, n := range names[:min(keep, len(names))] {
		kept[n.dir()] = true
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporary) || strings.HasPrefix(e.Name(), "step-") && !kept[e.Name()] {
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.dir, e.Name())))
		}
	}
	return err
}
