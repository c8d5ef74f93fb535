package daemon

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// maxSocketPath is the longest path that a unix socket can have: sun_path has
// 104 bytes on macOS and the BSDs (108 on Linux), the last one a zero.
const maxSocketPath = 103

// SocketPath is where the control plane of a state directory listens: in the
// directory, or where that path is too long for a socket, in a directory of
// the user's own under the system's temporary one.
func SocketPath(stateDir string) string {
	path := filepath.Join(stateDir, "yard.sock")
	if len(path) <= maxSocketPath {
		return path
	}
	sum := sha256.Sum256([]byte(stateDir))
	return filepath.Join(os.TempDir(), fmt.Sprintf("yard-%d", os.Getuid()), hex.EncodeToString(sum[:8])+".sock")
}

// listenUnix listens on the socket of a state directory that this process has
// locked: a socket that is there already is left from a process that died.
func listenUnix(stateDir string) (net.Listener, error) {
	path := SocketPath(stateDir)
	if dir := filepath.Dir(path); dir != stateDir {
		if err := ownDirectory(dir); err != nil {
			return nil, err
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(fault.Internal, err, "removing a stale socket")
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "listening on "+path)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, fault.Wrap(fault.Internal, err, "closing the socket to others")
	}
	return listener, nil
}

// ownDirectory makes a directory that only this user can enter, and refuses
// one that somebody else made.
func ownDirectory(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fault.Wrap(fault.Internal, err, "making "+dir)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "looking at "+dir)
	}
	if !info.IsDir() || !ownedByUser(info) || info.Mode().Perm()&0o077 != 0 {
		return fault.Newf(fault.Conflict, "%s is not a directory of this user alone; remove it or choose a shorter --state-dir", dir)
	}
	return nil
}
