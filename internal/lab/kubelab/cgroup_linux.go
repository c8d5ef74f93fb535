package kubelab

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const cgroups = "/sys/fs/cgroup"

// hierarchies are the roots of control groups: one for version 2, one per
// controller for version 1.
func hierarchies() []string {
	if _, err := os.Stat(filepath.Join(cgroups, "cgroup.controllers")); err == nil {
		return []string{cgroups}
	}
	entries, err := os.ReadDir(cgroups)
	if err != nil {
		return nil
	}
	var roots []string
	for _, entry := range entries {
		if entry.IsDir() {
			roots = append(roots, filepath.Join(cgroups, entry.Name()))
		}
	}
	return roots
}

// unified reports whether the machine has control groups of version 2 alone.
func unified() bool {
	roots := hierarchies()
	return len(roots) == 1 && roots[0] == cgroups
}

// makeCgroup makes a group in every hierarchy for a kubelet to live under.
func makeCgroup(name string) error {
	for _, root := range hierarchies() {
		if filepath.Base(root) == "unified" {
			continue
		}
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if unified() {
			_ = os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+cpu +cpuset +memory +pids"), 0) // the kubelet complains of what is missing
			continue
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(root, file))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, file), bytes.TrimSpace(value), 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// killCgroup ends every process of a group and of those below it.
func killCgroup(name string) {
	for _, root := range hierarchies() {
		_ = filepath.WalkDir(filepath.Join(root, name), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Name() != "cgroup.procs" {
				return nil // a group that is gone has no process
			}
			data, _ := os.ReadFile(path)
			for _, field := range strings.Fields(string(data)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
					_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
				}
			}
			return nil
		})
	}
}

// removeCgroups removes the groups whose name begins with the lab's. Their
// processes have been killed, and take a moment to go.
func removeCgroups(prefix string) error {
	var last error
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		last = nil
		for _, root := range hierarchies() {
			groups, err := filepath.Glob(filepath.Join(root, prefix+"*"))
			if err != nil {
				return err
			}
			for _, group := range groups {
				if err := removeTree(group); err != nil {
					last = err
				}
			}
		}
		if last == nil {
			return nil
		}
	}
	return last
}

// removeTree removes a group after those below it.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeTree(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(dir)
}
