package daemon

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// tokenFile holds the bearer token of the TCP address, for its owner alone.
const tokenFile = "token"

// ReadToken returns the token of a state directory, "" where none was made.
func ReadToken(stateDir string) string {
	data, err := os.ReadFile(filepath.Join(stateDir, tokenFile))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// ensureToken returns the token of a state directory, made on first use.
func ensureToken(stateDir string) (string, error) {
	if token := ReadToken(stateDir); token != "" {
		return token, nil
	}
	path := filepath.Join(stateDir, tokenFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fault.Wrap(fault.Internal, err, "replacing an empty token")
	}
	token := hex.EncodeToString(random(24))
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		return "", fault.Wrap(fault.Transient, err, "keeping the token")
	}
	return token, nil
}

// random returns n bytes that nobody can guess. It cannot fail: rand.Read ends
// the program where the system has no randomness.
func random(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.Read(data)
	return data
}

// secretsIn returns the reader of secrets kept as files NAME/KEY in a directory.
func secretsIn(dir string) func(from string) (string, error) {
	return func(from string) (string, error) {
		path := filepath.Join(dir, filepath.FromSlash(from))
		if !filepath.IsLocal(filepath.FromSlash(from)) {
			return "", fault.Newf(fault.Invalid, "secret %q is not a name such as hub/token", from)
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return "", fault.Newf(fault.Invalid, "site local has no secret %s; put its value in the file %s", from, path)
		}
		if err != nil {
			return "", fault.Wrap(fault.Transient, err, "reading secret "+from)
		}
		return strings.TrimRight(string(data), "\r\n"), nil
	}
}
