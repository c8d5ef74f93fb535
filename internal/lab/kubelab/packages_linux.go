package kubelab

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Python makes an image of this machine's Python with a package of Debian's and
// the Python packages that it depends on, a shell, and all shared libraries that
// these need. Nothing is fetched: what is installed here is what runs there.
func Python(t testing.TB, name, pkg string) Image {
	t.Helper()
	packages, err := pythonPackages(pkg)
	if err != nil {
		t.Fatal(err)
	}
	r := rootfs{Image{Name: name, Files: map[string]string{}, Links: map[string]string{"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64"}}}
	paths := []string{"/bin/sh", "/etc/ld.so.cache"}
	for _, p := range packages {
		out, err := exec.CommandContext(t.Context(), "dpkg", "-L", p).Output()
		if err != nil {
			t.Fatalf("files of %s: %v", p, err)
		}
		paths = append(paths, slices.DeleteFunc(strings.Fields(string(out)), func(path string) bool { return !atRun(path) })...)
	}
	for _, path := range paths {
		if err := r.addCompiled(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.addLibraries(t); err != nil {
		t.Fatal(err)
	}
	return r.Image
}

// pythonPackages are a package and, of what it depends on, what is Python's.
func pythonPackages(pkg string) ([]string, error) {
	pythons := regexp.MustCompile(`\b(lib)?python3[-a-z0-9.]*`)
	seen, next := map[string]bool{}, []string{pkg}
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		if seen[name] {
			continue
		}
		out, err := exec.Command("dpkg-query", "--show", "--showformat=${db:Status-Abbrev}${Depends},${Pre-Depends}", name).Output()
		switch {
		case name == pkg && (err != nil || !strings.HasPrefix(string(out), "ii")):
			return nil, fmt.Errorf("package %s is needed", pkg)
		case err != nil || !strings.HasPrefix(string(out), "ii"):
			continue // a name that others provide, or an alternative that is not taken
		}
		seen[name] = true
		next = append(next, pythons.FindAllString(string(out), -1)...)
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

// atRun tells a package's files that programs read from those of people and tests.
func atRun(path string) bool {
	tests := strings.Contains(path, "/torch/bin/") && filepath.Base(path) != "torch_shm_manager"
	return !tests && !strings.HasPrefix(path, "/usr/share/") && !strings.Contains(path, "/include/")
}

// rootfs is an image whose files keep the places that they have here.
type rootfs struct{ Image }

// addCompiled adds a file, and what Python has compiled it to.
func (r rootfs) addCompiled(path string) error {
	if err := r.add(path); err != nil || !strings.HasSuffix(path, ".py") {
		return err
	}
	dir, base := filepath.Split(path)
	compiled, err := filepath.Glob(dir + "__pycache__/" + strings.TrimSuffix(base, ".py") + ".*.pyc")
	if err != nil {
		return err
	}
	for _, path := range compiled {
		if err := r.add(path); err != nil {
			return err
		}
	}
	return nil
}

// add adds a file under its own path; of a symbolic link, the link and what it
// leads to. Folders come with their files.
func (r rootfs) add(path string) error {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return err
	}
	path = filepath.Join(dir, filepath.Base(path))
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // left out when the package was installed
	case err != nil:
		return err
	case info.Mode().IsRegular():
		r.Files[path[1:]] = path
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		if _, builtin := r.Links[path[1:]]; builtin {
			return nil
		}
		r.Links[path[1:]] = target
		if !filepath.IsAbs(target) {
			target = filepath.Join(dir, target)
		}
		return r.add(target)
	}
	return nil
}

// addLibraries adds the shared libraries that the programs and modules need.
func (r rootfs) addLibraries(t testing.TB) error {
	args := []string{}
	for _, path := range r.Files {
		if file, err := elf.Open(path); err == nil {
			args = append(args, path)
			file.Close()
		}
	}
	out, err := exec.CommandContext(t.Context(), "ldd", args...).Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // it fails where one of many is static
		return err
	}
	for line := range strings.Lines(string(out)) {
		for _, field := range strings.Fields(line) {
			if strings.HasPrefix(field, "/") && !strings.HasSuffix(field, ":") {
				if err := r.add(field); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
