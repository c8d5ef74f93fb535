package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Holder says who holds a state directory.
type Holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`

	// Background is set where it came to be by itself and gives way on SIGTERM.
	Background bool `json:"background,omitempty"`
}

// String names the holder for people.
func (h Holder) String() string {
	if h.PID == 0 {
		return "another yard"
	}
	return fmt.Sprintf("yard with pid %d since %s (%s)", h.PID, h.Since.Local().Format(time.DateTime), h.Command)
}

const lockFile = "lock"

// lockEvery is how often a daemon that waits for the lock tries again.
const lockEvery = 20 * time.Millisecond

// lock takes the state directory for this process, waiting up to the given
// time. Another holder is fault.Conflict.
func lock(ctx context.Context, dir string, wait time.Duration, holder Holder) (*flock.Flock, error) {
	path := filepath.Join(dir, lockFile)
	l := flock.New(path, flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(ctx, max(wait, lockEvery))
	defer cancel()
	locked, err := l.TryLockContext(ctx, lockEvery)
	if !locked {
		if err != nil && ctx.Err() == nil {
			return nil, fault.Wrap(fault.Transient, err, "locking "+path)
		}
		return nil, &heldError{dir}
	}
	data, err := json.Marshal(holder)
	if err == nil {
		// In place: the lock is on this very file, which must not be replaced.
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil && !fullDisk(err) {
		_ = l.Unlock()
		return nil, fault.Wrap(fault.Transient, err, "writing "+path)
	}
	return l, nil
}

// fullDisk reports whether a write failed for want of room, which must not
// keep yard from starting: making room may need it.
func fullDisk(err error) bool { return strings.Contains(err.Error(), "no space left") }

// ReadHolder reads who took the state directory last.
func ReadHolder(dir string) Holder {
	var h Holder
	data, err := os.ReadFile(filepath.Join(dir, lockFile))
	if err != nil || json.Unmarshal(data, &h) != nil {
		return Holder{}
	}
	return h
}

// heldError says that another process has the state directory.
type heldError struct{ dir string }

func (e *heldError) Error() string {
	return fmt.Sprintf("%s is held by %s", e.dir, ReadHolder(e.dir))
}

// FaultKind classifies the error.
func (e *heldError) FaultKind() fault.Kind { return fault.Conflict }

// IsHeld reports whether a daemon could not start because another process has
// the state directory.
func IsHeld(err error) bool {
	var held *heldError
	return errors.As(err, &held)
}
