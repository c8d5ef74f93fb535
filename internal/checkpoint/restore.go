package checkpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// rangeSize is how much of a large file is fetched by one request.
const rangeSize = 64 << 20

// Restore brings the newest checkpoint that is complete, whole and in a format
// of reads (empty: any) into the directory, and tells which; nil where the store
// has none at all. What stands in the way of newer ones is said to note. Where
// there are checkpoints but none that can be taken, that is fault.Invalid:
// beginning anew silently would lose the run's work.
func (s *Store) Restore(ctx context.Context, dir string, reads []string, note func(string)) (*Checkpoint, error) {
	all, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	var refused []string
	for _, c := range all {
		if c.State == Partial || c.State == Superseded {
			continue // never complete: not a checkpoint yet
		}
		why, err := s.take(ctx, dir, c, reads)
		if err != nil {
			return nil, err
		}
		if why == "" {
			return &c, nil
		}
		note(fmt.Sprintf("checkpoint %s of attempt %d is not taken: %s", c.Name, c.Epoch, why))
		refused = append(refused, c.Name+": "+why)
	}
	if len(refused) > 0 {
		return nil, fault.Newf(fault.Invalid, "no checkpoint in %s can be taken (%s); remove them to begin anew", s, strings.Join(refused, "; "))
	}
	return nil, nil
}

// take brings a checkpoint, or tells why it cannot be taken.
func (s *Store) take(ctx context.Context, dir string, c Checkpoint, reads []string) (why string, err error) {
	switch {
	case c.State == Damaged:
		return strings.TrimSuffix("it is damaged: "+c.Reason, ": "), nil
	case len(reads) > 0 && c.Format != "" && !slices.Contains(reads, c.Format):
		return fmt.Sprintf("its format is %s; the variant reads %s", c.Format, strings.Join(reads, ", ")), nil
	}
	files, err := c.files()
	if err == nil && !sameLocally(dir, c, files) {
		err = s.fetch(ctx, dir, c.Name, files)
	}
	if !errors.Is(err, errDamaged) {
		return "", err
	}
	s.markDamaged(ctx, c, err)
	return "it is damaged: " + err.Error(), nil
}

// sameLocally reports whether the directory has the checkpoint already, as after
// a restart on the same node: then nothing needs to be fetched.
func sameLocally(dir string, c Checkpoint, files []stored) bool {
	there, err := walk(dir, Entry{Name: c.Name, Step: c.Step})
	if err != nil || len(there) != len(files) {
		return false
	}
	sizes := map[string]int64{}
	for _, f := range there {
		sizes[f.Path] = f.Size
	}
	for _, f := range files {
		if size, found := sizes[f.Path]; !found || size != f.Size {
			return false
		}
	}
	return verify(context.Background(), filepath.Join(dir, c.Name), files) == nil
}

// errDamaged marks what is wrong with a checkpoint itself, and stays so.
var errDamaged = errors.New("damaged")

type damage string

func (d damage) Error() string { return string(d) }

func (d damage) Is(target error) bool { return target == errDamaged }

// markDamaged lets others know; should that fail, they find out by themselves.
func (s *Store) markDamaged(ctx context.Context, c Checkpoint, why error) {
	r := ref{Name: c.Name, Epoch: c.Epoch}
	_ = s.putNew(ctx, r.manifests()+damagedName, map[string]string{"reason": why.Error()})
}

// stored is a file and where it is in the store.
type stored struct {
	File
	key string
}

// files are the files of all parts. The same path in two of them must be the same file.
func (c Checkpoint) files() ([]stored, error) {
	r := ref{Name: c.Name, Epoch: c.Epoch}
	byPath := map[string]File{}
	var files []stored
	for _, m := range c.manifests {
		for _, f := range m.Files {
			other, twice := byPath[f.Path]
			if twice && other != f {
				return nil, damage(fmt.Sprintf("two nodes wrote different files %s", f.Path))
			}
			if byPath[f.Path] = f; !twice {
				files = append(files, stored{File: f, key: r.file(m.Node, f)})
			}
		}
	}
	return files, nil
}

// fetch brings files into the directory under the name, all or nothing.
func (s *Store) fetch(ctx context.Context, dir, name string, files []stored) error {
	temp := filepath.Join(dir, ".restore-"+name)
	if err := os.RemoveAll(temp); err != nil {
		return fault.Wrap(fault.Transient, err, "making room for a checkpoint")
	}
	err := s.fetchFiles(ctx, temp, files)
	if err == nil {
		err = replaceEntry(temp, filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	return nil
}

func replaceEntry(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return fault.Wrap(fault.Transient, err, "replacing a checkpoint")
	}
	return fault.Wrap(fault.Transient, os.Rename(from, to), "placing a checkpoint")
}

func (s *Store) fetchFiles(ctx context.Context, root string, files []stored) error {
	if err := s.checkSizes(ctx, files); err != nil {
		return err
	}
	for _, f := range files {
		if err := makeFile(filepath.Join(root, filepath.FromSlash(f.Path)), f.Size); err != nil {
			return fault.Wrap(fault.Transient, err, "making room for a checkpoint")
		}
	}
	if len(files) == 0 {
		return fault.Wrap(fault.Transient, os.MkdirAll(root, 0o700), "placing a checkpoint")
	}
	group, fetching := errgroup.WithContext(ctx)
	group.SetLimit(filesAtOnce * blocksAtOnce)
	for _, f := range files {
		for offset := int64(0); offset < f.Size || offset == 0; offset += rangeSize {
			group.Go(func() error { return s.fetchRange(fetching, root, f, offset) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return verify(ctx, root, files)
}

// checkSizes holds the sizes that manifests tell to those of the store, before
// room is made for them.
func (s *Store) checkSizes(ctx context.Context, files []stored) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(smallAtOnce)
	for _, f := range files {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return s.fetchFault(ctx, nil, f)
		})
	}
	return group.Wait()
}

func makeFile(path string, size int64) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(size), file.Close())
}

// fetchRange brings one range of a file to its place.
func (s *Store) fetchRange(ctx context.Context, root string, f stored, offset int64) error {
	if f.Size == 0 { // S3 has no range of nothing
		return s.fetchFault(ctx, nil, f)
	}
	from, err := s.bucket.NewRangeReader(ctx, f.key, offset, min(rangeSize, f.Size-offset), nil)
	if err != nil {
		return s.fetchFault(ctx, err, f)
	}
	defer func() { _ = from.Close() }()
	if from.Size() != f.Size {
		return damage(fmt.Sprintf("%s has %d bytes, not %d", f.key, from.Size(), f.Size))
	}
	to, err := os.OpenFile(filepath.Join(root, filepath.FromSlash(f.Path)), os.O_WRONLY, 0)
	if err != nil {
		return fault.Wrap(fault.Transient, err, "placing a checkpoint")
	}
	_, err = io.Copy(io.NewOffsetWriter(to, offset), from)
	if err != nil {
		err = fault.Wrap(fault.Transient, err, "fetching "+f.key+" of "+s.String())
	}
	return errors.Join(err, to.Close())
}

// fetchFault tells a file that is not there, or shorter than the range, from a
// store that cannot be reached.
func (s *Store) fetchFault(ctx context.Context, err error, f stored) error {
	attributes, missing := s.bucket.Attributes(ctx, f.key)
	switch {
	case fault.Is(storeFault(missing, ""), fault.NotFound):
		return damage(f.key + " is missing")
	case missing == nil && attributes.Size != f.Size:
		return damage(fmt.Sprintf("%s has %d bytes, not %d", f.key, attributes.Size, f.Size))
	}
	return storeFault(cmp.Or(err, missing), "fetching "+f.key+" of "+s.String())
}

func verify(ctx context.Context, root string, files []stored) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(filesAtOnce)
	for _, f := range files {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			sum, err := sumFile(filepath.Join(root, filepath.FromSlash(f.Path)))
			if err == nil && sum != f.SHA256 {
				return damage(fmt.Sprintf("%s does not match its checksum", f.key))
			}
			return fault.Wrap(fault.Transient, err, "checking a checkpoint")
		})
	}
	return group.Wait()
}
