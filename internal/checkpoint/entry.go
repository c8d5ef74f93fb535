package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Entry is a checkpoint in a run's checkpoint directory.
type Entry struct {
	Name string
	Step int64 // last number of the name
}

// Entries lists the checkpoints of a directory that are complete, newest first.
// What has no number in its name is none.
func Entries(dir string) ([]Entry, error) {
	found, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var entries []Entry
	for _, f := range found {
		step, numbered := stepOf(f.Name())
		if !numbered || unfinished(f.Name()) || (!f.IsDir() && !f.Type().IsRegular()) {
			continue
		}
		entries = append(entries, Entry{Name: f.Name(), Step: step})
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(b.Step, a.Step), strings.Compare(b.Name, a.Name))
	})
	return entries, nil
}

// unfinished reports whether the name is of what is still being written.
func unfinished(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "tmp")
}

// stepOf is the last number of a name, without what follows its last dot where
// that is not a number: step-00120.v2 is 120, step-120 is, and epoch3-step120.pt.
func stepOf(name string) (int64, bool) {
	if stem := strings.TrimSuffix(name, filepath.Ext(name)); strings.ContainsFunc(stem, isDigit) && !isNumber(strings.TrimPrefix(filepath.Ext(name), ".")) {
		name = stem
	}
	end := strings.LastIndexFunc(name, isDigit) + 1
	begin := end
	for begin > 0 && isDigit(rune(name[begin-1])) {
		begin--
	}
	step, err := strconv.ParseInt(name[begin:end], 10, 64)
	return step, err == nil
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

func isNumber(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !isDigit(r) })
}

// walk lists the files of an entry by their slash-separated paths below it, with
// their sizes; of an entry that is one file, the path is "".
func walk(dir string, e Entry) ([]File, error) {
	root := filepath.Join(dir, e.Name)
	var files []File
	err := filepath.WalkDir(root, func(path string, found fs.DirEntry, err error) error {
		if err != nil || found.IsDir() {
			return err
		}
		info, err := os.Stat(path) // a link to a file is the file
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is neither a file nor a link to one", path)
		}
		below, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if below == "." {
			below = ""
		}
		files = append(files, File{Path: filepath.ToSlash(below), Size: info.Size()})
		return nil
	})
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, err
}

// Measure is the size of an entry in bytes, and when it was written last.
func Measure(dir string, e Entry) (size int64, written time.Time, err error) {
	files, err := walk(dir, e)
	if err != nil {
		return 0, written, err
	}
	for _, f := range files {
		size += f.Size
	}
	info, err := os.Stat(filepath.Join(dir, e.Name))
	if err != nil {
		return 0, written, err
	}
	return size, info.ModTime().UTC(), nil
}
