package kubelab

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Image is a container image of one layer, made of files of this machine.
type Image struct {
	Name  string            // with its tag
	Files map[string]string // path in the image → file on this machine
	Links map[string]string // path in the image → what the symbolic link names
	Env   []string          // variables beside PATH, as NAME=VALUE
}

// pauseImage is what keeps the namespaces of a pod; busybox's sleep serves.
const pauseImage = "switchyard.test/pause:1"

// Shell is an image with busybox: a POSIX shell and the usual commands.
func Shell(name string) Image {
	image := Image{Name: name, Files: map[string]string{"bin/busybox": "/bin/busybox"}, Links: map[string]string{}}
	for _, applet := range []string{"sh", "sleep", "cat", "echo", "test", "true", "false", "kill", "mkdir", "ls", "env", "touch", "head", "dd", "df", "mount", "hostname", "nc", "wget"} {
		image.Links["bin/"+applet] = "busybox"
	}
	return image
}

// Import puts an image onto every node.
func (c *Cluster) Import(t testing.TB, image Image) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := image.write(file, nil); err != nil {
		t.Fatal(err)
	}
	failed := make([]error, len(c.nodes))
	var importing sync.WaitGroup
	for i, n := range c.nodes {
		importing.Go(func() { failed[i] = n.importImage(file) })
	}
	importing.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
}

func (n *node) importImage(file string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience) // some are large
	defer cancel()
	if out, err := exec.CommandContext(ctx, "ctr", "-a", n.socket(), "-n", "k8s.io", "images", "import", file).CombinedOutput(); err != nil {
		return fmt.Errorf("import %s: %w: %s", file, err, out)
	}
	return nil
}

// write makes an OCI image layout in a tar file. Its layer may be larger than
// memory should hold, and goes through a file of its own.
func (i Image) write(file string, command []string) (err error) {
	layer := file + ".layer"
	defer func() { err = errors.Join(err, os.Remove(layer)) }()
	size, sum, err := i.writeLayer(layer)
	if err != nil {
		return err
	}
	blobs := map[string][]byte{}
	describe := func(mediaType string, size int64, digest string) map[string]any {
		return map[string]any{"mediaType": mediaType, "digest": "sha256:" + digest, "size": size}
	}
	put := func(mediaType string, data []byte) map[string]any {
		sum := sha256.Sum256(data)
		digest := hex.EncodeToString(sum[:])
		blobs["blobs/sha256/"+digest] = data
		return describe(mediaType, int64(len(data)), digest)
	}
	layerDescriptor := describe("application/vnd.oci.image.layer.v1.tar", size, sum)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Env": append([]string{"PATH=/usr/bin:/bin"}, i.Env...), "Cmd": command},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []any{layerDescriptor["digest"]}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": put("application/vnd.oci.image.config.v1+json", config), "layers": []any{layerDescriptor},
	})
	if err != nil {
		return err
	}
	descriptor := put("application/vnd.oci.image.manifest.v1+json", manifest)
	descriptor["annotations"] = map[string]string{"io.containerd.image.name": i.Name}
	if blobs["index.json"], err = json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{descriptor}}); err != nil {
		return err
	}
	blobs["oci-layout"] = []byte(`{"imageLayoutVersion":"1.0.0"}`)
	return archive(file, blobs, "blobs/sha256/"+sum, layer)
}

// archive writes blobs, and last a large one from a file, into a tar file.
func archive(path string, blobs map[string][]byte, large, from string) error {
	return written(path, func(out io.Writer) error {
		w := tar.NewWriter(out)
		for _, name := range slices.Sorted(maps.Keys(blobs)) {
			if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(blobs[name]))}); err != nil {
				return err
			}
			if _, err := w.Write(blobs[name]); err != nil {
				return err
			}
		}
		return errors.Join(addFile(w, large, from), w.Close())
	})
}

// written makes a file of what is written to it.
func written(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(file, 1<<20)
	err = write(buffered)
	return errors.Join(err, buffered.Flush(), file.Close())
}

// addFile adds a file of this machine, with its time: Python compiles anew what
// seems to have changed.
func addFile(w *tar.Writer, name, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return err
	}
	_, err = io.Copy(w, file)
	return err
}

// writeLayer writes the image's files as a tar, and returns its size and digest.
func (i Image) writeLayer(path string) (size int64, digest string, err error) {
	hash := sha256.New()
	err = written(path, func(out io.Writer) error { return i.layer(tar.NewWriter(io.MultiWriter(out, hash))) })
	if err != nil {
		return 0, "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, "", err
	}
	return info.Size(), hex.EncodeToString(hash.Sum(nil)), nil
}

func (i Image) layer(w *tar.Writer) error {
	for _, dir := range i.folders() {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o777}); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.Files)) {
		if err := addFile(w, name, i.Files[name]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.Links)) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: i.Links[name], Mode: 0o777}); err != nil {
			return err
		}
	}
	return w.Close()
}

// folders are those that the image's files need, each after the one it is in.
func (i Image) folders() []string {
	seen := map[string]bool{"tmp": true}
	for name := range i.all() {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			seen[dir] = true
		}
	}
	var dirs []string
	for dir := range seen {
		dirs = append(dirs, dir)
	}
	slices.SortFunc(dirs, strings.Compare)
	return dirs
}

// all are the names of files and links.
func (i Image) all() iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range i.Files {
			if !yield(name) {
				return
			}
		}
		for name := range i.Links {
			if !yield(name) {
				return
			}
		}
	}
}
