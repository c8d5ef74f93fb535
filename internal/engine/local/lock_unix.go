//go:build linux || darwin

package local

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// lockExclusively takes the lock of a file for the life of this process, or
// reports that another process has it. It is a record lock, not a flock: it can
// be asked about without being taken, so that an observer never keeps a shim
// from its gang, and forked ranks do not inherit it. The file must be opened
// only once by the process that holds it: any close would let it go.
func lockExclusively(path string) (*os.File, bool, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, err
	}
	err = syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart})
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return nil, false, file.Close()
	}
	return file, err == nil, err
}

// lockHeld reports whether another process holds the lock.
func lockHeld(path string) (bool, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	asked := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err = syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &asked)
	return asked.Type != syscall.F_UNLCK, errors.Join(err, file.Close())
}

func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
