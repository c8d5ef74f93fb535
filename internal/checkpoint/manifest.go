package checkpoint

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// File is one file of a checkpoint.
type File struct {
	Path   string `json:"path"` // below the entry, with slashes; "" where the entry is one file
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in hexadecimal
}

// Manifest tells what one node wrote of a checkpoint. It is the last that is
// uploaded of it.
type Manifest struct {
	Name    string    `json:"name"`
	Step    int64     `json:"step"`
	Epoch   int       `json:"epoch"` // of the attempt that wrote it
	Node    int       `json:"node"`
	Nodes   int       `json:"nodes"` // that write parts of it
	Format  string    `json:"format,omitempty"`
	Written time.Time `json:"written"` // by the clock of the node
	Size    int64     `json:"size"`
	Files   []File    `json:"files"`
}

// ref names a checkpoint of one epoch in a store.
type ref struct {
	Name  string `json:"name"`
	Epoch int    `json:"epoch"`
}

const (
	fencePrefix    = "fences/"
	manifestPrefix = "manifests/"
	dataPrefix     = "data/"
	damagedName    = "damaged.json"

	maxNodes = 1 << 20 // that a checkpoint has parts of; more is no manifest's name
)

func epochKey(epoch int) string { return fmt.Sprintf("%08d", epoch) }

func fenceKey(epoch int) string { return fencePrefix + epochKey(epoch) + ".json" }

func (r ref) manifests() string { return manifestPrefix + epochKey(r.Epoch) + "/" + r.Name + "/" }

func (r ref) manifest(node, nodes int) string {
	return r.manifests() + fmt.Sprintf("%d-of-%d.json", node, nodes)
}

func (r ref) data() string { return dataPrefix + epochKey(r.Epoch) + "/" + r.Name + "/" }

// file is the key of a file's data.
func (r ref) file(node int, f File) string {
	if f.Path == "" {
		return r.data() + strconv.Itoa(node) + "/" + r.Name
	}
	return r.data() + strconv.Itoa(node) + "/" + f.Path
}

// part is a manifest as its key tells of it.
type part struct {
	ref
	node, nodes int
	damaged     bool
}

// parseManifestKey reads "manifests/EPOCH/NAME/NODE-of-NODES.json".
func parseManifestKey(key string) (part, bool) {
	fields := strings.Split(strings.TrimPrefix(key, manifestPrefix), "/")
	if len(fields) != 3 || !strings.HasPrefix(key, manifestPrefix) {
		return part{}, false
	}
	epoch, err := strconv.Atoi(fields[0])
	if err != nil || epoch < 0 {
		return part{}, false
	}
	p := part{ref: ref{Name: fields[1], Epoch: epoch}}
	if fields[2] == damagedName {
		p.damaged = true
		return p, true
	}
	node, nodes, found := strings.Cut(strings.TrimSuffix(fields[2], ".json"), "-of-")
	p.node, err = strconv.Atoi(node)
	if err != nil || !found {
		return part{}, false
	}
	p.nodes, err = strconv.Atoi(nodes)
	return p, err == nil && p.node >= 0 && p.node < p.nodes && p.nodes <= maxNodes
}

// parseManifest reads a manifest, which others may have tampered with: it names
// no file outside its entry.
func parseManifest(data []byte, of part) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fault.Wrap(fault.Invalid, err, "it is no manifest")
	}
	if m.Name != of.Name || m.Epoch != of.Epoch || m.Node != of.node || m.Nodes != of.nodes {
		return m, fault.New(fault.Invalid, "the manifest is another's")
	}
	var size int64
	for i, f := range m.Files {
		if err := f.check(len(m.Files) == 1 && i == 0); err != nil {
			return m, err
		}
		if size += f.Size; size < 0 {
			return m, fault.New(fault.Invalid, "the manifest's files have more bytes than can be")
		}
	}
	if size != m.Size {
		return m, fault.Newf(fault.Invalid, "the manifest's files have %d bytes, not %d", size, m.Size)
	}
	return m, nil
}

func (f File) check(only bool) error {
	switch digest, err := hex.DecodeString(f.SHA256); {
	case f.Path == "" && !only:
		return fault.New(fault.Invalid, "the manifest has a file without a path")
	case f.Path != "" && (!filepath.IsLocal(filepath.FromSlash(f.Path)) || path.Clean(f.Path) != f.Path):
		return fault.Newf(fault.Invalid, "the manifest names %q, which is not within the checkpoint", f.Path)
	case f.Size < 0:
		return fault.Newf(fault.Invalid, "the manifest gives %q %d bytes", f.Path, f.Size)
	case err != nil || len(digest) != 32:
		return fault.Newf(fault.Invalid, "the manifest has no checksum of %q", f.Path)
	}
	return nil
}
