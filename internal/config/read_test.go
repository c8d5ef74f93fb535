package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

func TestReadFileIsBounded(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if data, err := ReadFile(write("most", spec.MaxSize)); err != nil || len(data) != spec.MaxSize {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if _, err := ReadFile(write("more", spec.MaxSize+1)); !fault.Is(err, fault.Invalid) {
		t.Errorf("a byte more: %v", err)
	}
	if _, err := ReadFile("/dev/zero"); !fault.Is(err, fault.Invalid) {
		t.Errorf("without an end: %v", err)
	}
	if _, err := ReadFile(dir); !fault.Is(err, fault.Invalid) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := ReadFile(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}
