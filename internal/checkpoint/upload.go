package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"golang.org/x/sync/errgroup"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

const (
	// filesAtOnce is how many files are sent or fetched at the same time, each
	// in blocksAtOnce blocks: enough for the network, and a bound on memory.
	filesAtOnce  = 4
	blocksAtOnce = 4
	leastBlock   = 8 << 20
	// mostBlocks is below the 10,000 parts that S3 takes of one object:
	// docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html, read 2026-11-22.
	mostBlocks  = 9000
	metadataSum = "sha256" // of an object, where the store keeps metadata
)

// Writer says who writes a checkpoint.
type Writer struct {
	Epoch       int
	Node, Nodes int // part, and of how many
	Format      string
}

// Upload sends this node's part of an entry of the directory: its files, as far
// as the store does not have them yet, and then its manifest. It tells how many
// bytes were sent. ErrSuperseded where a later attempt has begun, fault.Conflict where
// a file changed while it was sent, fault.NotFound where the entry is gone.
func (s *Store) Upload(ctx context.Context, dir string, e Entry, w Writer) (sent int64, err error) {
	r := ref{Name: e.Name, Epoch: w.Epoch}
	there, err := s.bucket.Exists(ctx, r.manifest(w.Node, w.Nodes))
	if err != nil || there {
		return 0, storeFault(err, "looking for a manifest in "+s.String())
	}
	if err := s.stillCurrent(ctx, w.Epoch); err != nil {
		return 0, err
	}
	files, err := walk(dir, e)
	if err != nil {
		return 0, localFault(err, e)
	}
	if sent, err = s.sendFiles(ctx, filepath.Join(dir, e.Name), r, w.Node, files); err != nil {
		return sent, err
	}
	again, err := walk(dir, e)
	if err != nil {
		return sent, localFault(err, e)
	}
	if !sameFiles(files, again) {
		return sent, fault.Newf(fault.Conflict, "checkpoint %s changed while it was sent: it must get its final name when it is complete", e.Name)
	}
	if err := s.stillCurrent(ctx, w.Epoch); err != nil {
		return sent, err
	}
	m := Manifest{
		Name: e.Name, Step: e.Step, Epoch: w.Epoch, Node: w.Node, Nodes: w.Nodes, Format: w.Format,
		Written: time.Now().UTC(), Files: files,
	}
	for _, f := range files {
		m.Size += f.Size
	}
	if err := s.putNew(ctx, r.manifest(w.Node, w.Nodes), m); err != nil && !fault.Is(err, fault.Conflict) {
		return sent, err
	}
	return sent, nil
}

func localFault(err error, e Entry) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Newf(fault.NotFound, "checkpoint %s is gone", e.Name)
	}
	return fault.Wrap(fault.Invalid, err, "reading checkpoint "+e.Name)
}

func sameFiles(a, b []File) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Path != b[i].Path || a[i].Size != b[i].Size {
			return false
		}
	}
	return true
}

// sendFiles sends the files below root and notes their checksums.
func (s *Store) sendFiles(ctx context.Context, root string, r ref, node int, files []File) (int64, error) {
	var sent atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(filesAtOnce)
	for i := range files {
		group.Go(func() error {
			f := &files[i]
			path := filepath.Join(root, filepath.FromSlash(f.Path))
			sum, err := sumFile(path)
			if err != nil {
				return localFault(err, Entry{Name: r.Name})
			}
			f.SHA256 = sum
			key := r.file(node, *f)
			if there, err := s.hasFile(ctx, key, *f); err != nil || there {
				return err
			}
			if err := s.sendFile(ctx, path, key, *f); err != nil {
				return err
			}
			sent.Add(f.Size)
			return nil
		})
	}
	err := group.Wait()
	return sent.Load(), err
}

func sumFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	return sumOf(file)
}

func sumOf(from io.Reader) (string, error) {
	hash := sha256.New()
	_, err := io.Copy(hash, from)
	return hex.EncodeToString(hash.Sum(nil)), err
}

// hasFile reports whether the store has the file already, by the checksum in its
// metadata, or of its content where the store is a folder.
func (s *Store) hasFile(ctx context.Context, key string, f File) (bool, error) {
	attributes, err := s.bucket.Attributes(ctx, key)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return false, nil
	}
	if err != nil {
		return false, storeFault(err, "looking for "+key+" in "+s.String())
	}
	if attributes.Size != f.Size {
		return false, nil
	}
	if s.folder == "" {
		return attributes.Metadata[metadataSum] == f.SHA256, nil
	}
	sum, err := sumFile(filepath.Join(s.folder, filepath.FromSlash(key)))
	return err == nil && sum == f.SHA256, nil
}

// sendFile sends one file; nothing of it stays in the store where that fails.
func (s *Store) sendFile(ctx context.Context, path, key string, f File) error {
	file, err := os.Open(path)
	if err != nil {
		return localFault(err, Entry{Name: path})
	}
	defer func() { _ = file.Close() }()
	return s.send(ctx, file, key, f)
}

// send sends what the reader has as the file, or nothing where it is another.
func (s *Store) send(ctx context.Context, from io.Reader, key string, f File) error {
	if err := s.act("put", key); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	checked := &checkedReader{from: from, want: f, hash: sha256.New(), giveUp: cancel}
	err := s.upload(ctx, key, checked, &blob.WriterOptions{
		BufferSize: int(max(leastBlock, f.Size/mostBlocks+1)), MaxConcurrency: blocksAtOnce,
		ContentType: "application/octet-stream", Metadata: map[string]string{metadataSum: f.SHA256},
	})
	if checked.failed != nil {
		return checked.failed
	}
	return err
}

// upload writes an object. (The library's writers of Azure fall over a failure
// when they are written to; given a reader they do not.)
func (s *Store) upload(ctx context.Context, key string, from io.Reader, options *blob.WriterOptions) error {
	return storeFault(s.bucket.Upload(ctx, key, from, options), "sending "+key+" to "+s.String())
}

// checkedReader reads a file, and fails at its end where it is not the one that
// was meant. It gives up what is being done with it first: a folder's writer
// would keep what it has.
type checkedReader struct {
	from   io.Reader
	want   File
	hash   hash.Hash
	size   int64
	giveUp func()
	failed error
}

func (r *checkedReader) Read(into []byte) (int, error) {
	n, err := r.from.Read(into)
	_, _ = r.hash.Write(into[:n]) // it never fails
	r.size += int64(n)
	switch {
	case errors.Is(err, io.EOF) && (r.size != r.want.Size || hex.EncodeToString(r.hash.Sum(nil)) != r.want.SHA256):
		r.failed = fault.Wrap(fault.Conflict, errChanged, r.want.Path)
	case err != nil && !errors.Is(err, io.EOF):
		r.failed = fault.Wrap(fault.Transient, err, "reading "+r.want.Path)
	}
	if r.failed != nil {
		r.giveUp()
		return 0, r.failed
	}
	return n, err
}

// errChanged marks a file that is not what it was when its checksum was taken.
var errChanged = errors.New("it changed while it was sent")
