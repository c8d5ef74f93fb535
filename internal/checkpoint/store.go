package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	// The stores that there are.
	_ "gocloud.dev/blob/azureblob"
	_ "gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/gcsblob"
	_ "gocloud.dev/blob/s3blob"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// listTries is how often a folder is listed while files in it go away.
const listTries = 100

// Store is the checkpoints of one run in one place. It is safe for concurrent use.
type Store struct {
	bucket *blob.Bucket
	folder string // of a file store; "" for others
	url    string
	before func(act, key string) error // tests end the work here; nil
}

// Open opens a store by its URL: file:///folder, s3://bucket/prefix,
// azblob://container/prefix or gs://bucket/prefix, with the options of
// gocloud.dev/blob in its query. Credentials come from the environment.
func Open(ctx context.Context, where string) (*Store, error) {
	u, err := url.Parse(where)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the checkpoint store is not a URL") // it may hold a credential: it is not repeated
	}
	prefix := strings.Trim(u.Path, "/")
	s := &Store{url: where}
	if u.Scheme == "file" {
		s.folder, prefix = u.Path, ""
		if err := os.MkdirAll(s.folder, 0o700); err != nil {
			return nil, fault.Wrap(fault.Transient, err, "making the checkpoint store")
		}
		query := u.Query()
		query.Set("no_tmp_dir", "true") // the folder may be another file system than /tmp
		query.Set("metadata", "skip")
		u.RawQuery = query.Encode()
	} else {
		u.Path = ""
	}
	s.bucket, err = blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "opening checkpoint store "+s.String())
	}
	if prefix != "" {
		s.bucket = blob.PrefixedBucket(s.bucket, prefix+"/")
	}
	return s, nil
}

// String is the URL, less its options.
func (s *Store) String() string {
	where, _, _ := strings.Cut(s.url, "?")
	return where
}

// Close lets go of the store.
func (s *Store) Close() error { return s.bucket.Close() }

// act is called before everything that changes the store.
func (s *Store) act(what, key string) error {
	if s.before == nil {
		return nil
	}
	return s.before(what, key)
}

// get reads a small object.
func (s *Store) get(ctx context.Context, key string) ([]byte, error) {
	data, err := s.bucket.ReadAll(ctx, key)
	return data, storeFault(err, "reading "+key+" of "+s.String())
}

// putNew writes a small object unless there is one, which is a conflict. Of two
// that do so at once, one succeeds.
func (s *Store) putNew(ctx context.Context, key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if err := s.act("put", key); err != nil {
		return err
	}
	if s.folder != "" {
		return fileFault(s.linkNew(key, data), "writing "+key+" of "+s.String())
	}
	return s.upload(ctx, key, bytes.NewReader(data), &blob.WriterOptions{ContentType: "application/json", IfNotExist: true})
}

// linkNew makes a file of the store, whole and only where there is none: the
// library's way is exclusive within one process alone.
func (s *Store) linkNew(key string, data []byte) error {
	to := filepath.Join(s.folder, filepath.FromSlash(key))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(s.folder, ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = io.Copy(temp, bytes.NewReader(data))
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Link(temp.Name(), to)
}

// list calls do for every object, or folder, under the prefix.
func (s *Store) list(ctx context.Context, prefix, delimiter string, do func(*blob.ListObject) error) error {
	all, err := s.listAll(ctx, prefix, delimiter)
	for try := 1; s.folder != "" && gcerrors.Code(err) == gcerrors.NotFound && try < listTries; try++ {
		// A file went away while the folder was listed, as those with a temporary name do.
		all, err = s.listAll(ctx, prefix, delimiter)
	}
	if err != nil {
		return storeFault(err, "listing "+prefix+" of "+s.String())
	}
	for _, object := range all {
		if err := do(object); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) listAll(ctx context.Context, prefix, delimiter string) ([]*blob.ListObject, error) {
	var all []*blob.ListObject
	objects := s.bucket.List(&blob.ListOptions{Prefix: prefix, Delimiter: delimiter})
	for {
		object, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, object)
	}
}

// names lists the folders under the prefix.
func (s *Store) names(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	err := s.list(ctx, prefix, "/", func(o *blob.ListObject) error {
		if o.IsDir {
			names = append(names, path.Base(o.Key))
		}
		return nil
	})
	return names, err
}

// remove removes an object, which may be gone already.
func (s *Store) remove(ctx context.Context, key string) error {
	if err := s.act("remove", key); err != nil {
		return err
	}
	err := s.bucket.Delete(ctx, key)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil
	}
	return storeFault(err, "removing "+key+" of "+s.String())
}

// removeAll removes everything under the prefix.
func (s *Store) removeAll(ctx context.Context, prefix string) error {
	err := s.list(ctx, prefix, "", func(o *blob.ListObject) error { return s.remove(ctx, o.Key) })
	if err == nil {
		s.removeEmpty(prefix)
	}
	return err
}

func storeFault(err error, doing string) error {
	kind := fault.Transient
	switch code := gcerrors.Code(err); {
	case err == nil:
		return nil
	case code == gcerrors.NotFound:
		kind = fault.NotFound
	case code == gcerrors.FailedPrecondition:
		kind = fault.Conflict
	case code == gcerrors.PermissionDenied || code == gcerrors.InvalidArgument || code == gcerrors.Unimplemented:
		kind = fault.Invalid
	}
	return fault.Wrap(kind, err, doing)
}

func fileFault(err error, doing string) error {
	if errors.Is(err, fs.ErrExist) {
		return fault.Wrap(fault.Conflict, err, doing)
	}
	return fault.Wrap(fault.Transient, err, doing)
}
