// Package whole owns files that are written whole or not at all, and the JSON
// records that keepers of ranks leave in them.
//
// It refuses to know what the records say.
package whole

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Durability says whether a file must survive a crash of the machine.
type Durability bool

// The durabilities of a file.
const (
	Durable  Durability = true
	Volatile Durability = false
)

// ReadJSON reports whether there is such a file, and decodes it. A failure with
// a file is damage: what it holds is no such record.
func ReadJSON(path string, into any) (bool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(data, into)
}

// WriteJSON replaces the file by the value.
func WriteJSON(path string, value any, keep Durability) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return Write(path, append(data, '\n'), keep)
}

// Write replaces the file by the data.
func Write(path string, data []byte, keep Durability) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err == nil && keep == Durable {
		err = temp.Sync()
	}
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	if keep == Durable {
		return SyncDir(filepath.Dir(path))
	}
	return nil
}

// SyncDir makes renames in a folder survive a crash of the machine.
func SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Exists reports whether there is something at the path.
func Exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
