package kubelab

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Image is a container image of one layer, made of files of this machine.
type Image struct {
	Name  string            // with its tag
	Files map[string]string // path in the image → file on this machine
	Links map[string]string // path in the image → what the symbolic link names
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
	for _, n := range c.nodes {
		if err := n.importImage(file); err != nil {
			t.Fatal(err)
		}
	}
}

func (n *node) importImage(file string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "ctr", "-a", n.socket(), "-n", "k8s.io", "images", "import", file).CombinedOutput(); err != nil {
		return fmt.Errorf("import %s: %w: %s", file, err, out)
	}
	return nil
}

// write makes an OCI image layout in a tar file.
func (i Image) write(file string, command []string) error {
	layer, err := i.layer()
	if err != nil {
		return err
	}
	blobs := map[string][]byte{}
	put := func(mediaType string, data []byte) map[string]any {
		sum := sha256.Sum256(data)
		digest := hex.EncodeToString(sum[:])
		blobs["blobs/sha256/"+digest] = data
		return map[string]any{"mediaType": mediaType, "digest": "sha256:" + digest, "size": len(data)}
	}
	layerDescriptor := put("application/vnd.oci.image.layer.v1.tar", layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Env": []string{"PATH=/bin"}, "Cmd": command},
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
	data, err := archive(blobs)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

func archive(files map[string][]byte) ([]byte, error) {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.Close()
}

func (i Image) layer() ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, dir := range i.folders() {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	for name, file := range i.Files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	for name, target := range i.Links {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.Close()
}

// folders are those that the image's files need, each after the one it is in.
func (i Image) folders() []string {
	seen := map[string]bool{"tmp": true}
	for name := range i.Files {
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
