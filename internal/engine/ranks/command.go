package ranks

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ScratchVariable names the gang's scratch folder to its ranks, and by its value
// every process that stems from them.
const ScratchVariable = "YARD_SCRATCH"

// Rendezvous is what a rank needs to find the others.
type Rendezvous struct {
	Rank, World           int
	LocalRank, LocalWorld int
	Addr                  string
	Port                  int
}

// Environ is the environment with the rendezvous; the last entry of a name counts.
func (r Rendezvous) Environ(shared []string) []string {
	return append(slices.Clone(shared),
		"RANK="+strconv.Itoa(r.Rank), "WORLD_SIZE="+strconv.Itoa(r.World),
		"LOCAL_RANK="+strconv.Itoa(r.LocalRank), "LOCAL_WORLD_SIZE="+strconv.Itoa(r.LocalWorld),
		"MASTER_ADDR="+r.Addr, "MASTER_PORT="+strconv.Itoa(r.Port), "YARD_RANK="+strconv.Itoa(r.Rank),
	)
}

// Environ is what all ranks of a node share: the inherited environment less every
// YARD_ variable, which are for yard, and over it the gang's.
func Environ(inherited []string, workDir, scratch string, gang map[string]string) []string {
	var environ []string
	for _, entry := range inherited {
		if !strings.HasPrefix(entry, "YARD_") {
			environ = append(environ, entry)
		}
	}
	environ = append(environ, "PWD="+workDir)
	for _, name := range slices.Sorted(maps.Keys(gang)) {
		environ = append(environ, name+"="+gang[name])
	}
	return append(environ, ScratchVariable+"="+scratch)
}

func lookup(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}

// FindCommand finds the program as the rank would: by its own PATH, from its
// own folder.
func FindCommand(name, dir string, environ []string) (string, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("working directory %s: %w", dir, os.ErrNotExist)
	}
	if strings.ContainsRune(name, filepath.Separator) {
		return runnable(within(dir, name), name)
	}
	denied := false
	for _, folder := range filepath.SplitList(lookup(environ, "PATH")) {
		path, err := runnable(within(dir, filepath.Join(folder, name)), name)
		if err == nil {
			return path, nil
		}
		denied = denied || errors.Is(err, os.ErrPermission)
	}
	if denied {
		return "", fmt.Errorf("command %q: %w", name, os.ErrPermission)
	}
	return "", fmt.Errorf("command %q is not in PATH: %w", name, os.ErrNotExist)
}

func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func runnable(path, name string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("command %q: %w", name, os.ErrNotExist)
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("command %q: %w", name, os.ErrPermission)
	}
	return path, nil
}

// StartFailure is the exit code that a shell would give.
func StartFailure(err error) int {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return 127
	case errors.Is(err, os.ErrPermission):
		return 126
	}
	return 1
}

// FreePort finds a port of the loopback interface that nothing listens on. It
// can only be chosen, not kept for rank 0: should another take it first, the
// rank fails to listen and the next attempt gets another port.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}
