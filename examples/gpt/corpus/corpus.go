// Package corpus owns the text that the GPT example learns: which files of a directory count, which are held out, the
// windows that training sees in order, and the bigram baseline. Generated files, testdata, hidden directories and files
// that are not text are left out of both sides. It refuses to shuffle by anything but the seed it is given.
package corpus

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Corpus is the text of a directory. Files are joined with a zero byte after each.
type Corpus struct {
	Train, HeldOut           []byte
	TrainFiles, HeldOutFiles []string // slash-separated, relative to the directory
	Generated                int      // files left out because they say that a program wrote them
}

// maxFile leaves out files larger than this: tables, not writing.
const maxFile = 2 << 20

// generated is the mark of https://go.dev/s/generatedcode, behind the comment signs of other languages too.
var generated = regexp.MustCompile(`(?m)^(//|#|/\*|--|;|<!--) ?Code generated .* DO NOT EDIT\.`)

// Load reads the files below dir whose names end in one of the extensions, or all if there are none.
func Load(dir string, extensions []string) (*Corpus, error) {
	c := &Corpus{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != dir && leftOut(entry.Name()):
			return filepath.SkipDir
		case !entry.Type().IsRegular() || !hasExtension(path, extensions):
			return nil
		}
		return c.add(dir, path)
	})
	if err != nil {
		return nil, fmt.Errorf("text to learn: %w", err)
	}
	c.splitFew()
	if len(c.Train) < minText {
		return nil, fmt.Errorf("text to learn: %s has %d bytes of text; it takes at least %d", dir, len(c.Train), minText)
	}
	return c, nil
}

// minText is the least number of bytes that can be learned from.
const minText = 1000

// splitFew holds out the end of the text where there are so few files that no file, or each, would be held out.
func (c *Corpus) splitFew() {
	if len(c.Train) == 0 {
		c.Train, c.HeldOut, c.TrainFiles, c.HeldOutFiles = c.HeldOut, nil, c.HeldOutFiles, nil
	}
	if len(c.HeldOut) == 0 {
		at := len(c.Train) - len(c.Train)/20
		c.Train, c.HeldOut = c.Train[:at:at], c.Train[at:]
	}
}

func leftOut(dir string) bool { return dir == "testdata" || strings.HasPrefix(dir, ".") }

func hasExtension(path string, extensions []string) bool {
	for _, e := range extensions {
		if strings.HasSuffix(path, e) {
			return true
		}
	}
	return len(extensions) == 0
}

func (c *Corpus) add(dir, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	rel = filepath.ToSlash(rel)
	switch {
	case len(text) == 0 || len(text) > maxFile || bytes.IndexByte(text, 0) >= 0 || !utf8.Valid(text):
	case isGenerated(text):
		c.Generated++
	case heldOut(rel):
		c.HeldOut = append(append(c.HeldOut, text...), 0)
		c.HeldOutFiles = append(c.HeldOutFiles, rel)
	default:
		c.Train = append(append(c.Train, text...), 0)
		c.TrainFiles = append(c.TrainFiles, rel)
	}
	return nil
}

// isGenerated looks for the mark's end first: most files do not have it, and the search for the whole is slow.
func isGenerated(text []byte) bool {
	return bytes.Contains(text, []byte("DO NOT EDIT")) && generated.Match(text)
}

// heldOut picks one file in twenty by its name, so that the choice does not move when other files come or go.
func heldOut(rel string) bool {
	sum := sha256.Sum256([]byte(rel))
	return sum[0] < 256/20
}

// Fingerprint identifies the text to train on.
func (c *Corpus) Fingerprint() string {
	sum := sha256.Sum256(c.Train)
	return hex.EncodeToString(sum[:8])
}

// Window is the index-th stretch of n bytes that a training with this seed sees. It depends on nothing else, so that a
// resumed training goes on where it was, and ranks share out the indices.
func (c *Corpus) Window(seed, index uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, index))
	at := rng.IntN(max(1, len(c.Train)-n))
	return c.Train[at:min(at+n, len(c.Train))]
}

// Probes are count stretches of n bytes spread evenly over the held-out text.
func (c *Corpus) Probes(count, n int) [][]byte {
	count = max(1, min(count, len(c.HeldOut)/n))
	probes := make([][]byte, count)
	for i := range probes {
		at := i * max(0, len(c.HeldOut)-n) / count
		probes[i] = c.HeldOut[at:min(at+n, len(c.HeldOut))]
	}
	return probes
}
