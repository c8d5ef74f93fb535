//go:build !linux && !darwin

package local

import (
	"os"
	"syscall"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Other systems lack process groups that outlive their starter: the engine says
// so at its first act, taking or asking about a gang's lock.

func lockExclusively(string) (*os.File, bool, error) { return nil, false, unsupported() }

func lockHeld(string) (bool, error) { return false, unsupported() }

func unsupported() error {
	return fault.New(fault.Invalid, "the local engine runs on Linux and macOS; use yard as a client of `yard up` here")
}

func ownSession() *syscall.SysProcAttr { return nil }
