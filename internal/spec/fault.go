// Package spec owns the strict reading of the YAML files that people write:
// positions, unknown fields, and the report of all faults of a file at once.
//
// It refuses to know any kind of document: the nouns define their own fields
// and their own rules, and report against field paths of the document.
package spec

import (
	"fmt"
	"sort"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Fault is one thing wrong in a file, at a position counted from 1.
type Fault struct {
	File         string
	Line, Column int
	Field        string // dotted path, e.g. "variants.neuron.image"; empty for the whole document
	Message      string // what was found and what is valid
}

func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	b.WriteString(": ")
	if f.Field != "" {
		b.WriteString(f.Field + ": ")
	}
	b.WriteString(f.Message)
	return b.String()
}

// Faults is everything wrong in one or more files, in order of position. Its
// fault.Kind is Invalid.
type Faults []Fault

// Error lists one fault a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// FaultKind classifies faults of a file as fault.Invalid.
func (fs Faults) FaultKind() fault.Kind { return fault.Invalid }

// Err returns the faults sorted by position as an error, or nil if there are none.
func (fs Faults) Err() error {
	if len(fs) == 0 {
		return nil
	}
	fs.Sort()
	return fs
}

// Sort brings the faults into order of file and position.
func (fs Faults) Sort() {
	sort.SliceStable(fs, func(i, j int) bool {
		a, b := fs[i], fs[j]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			// Faults without a position come last.
			return a.Line != 0 && (b.Line == 0 || a.Line < b.Line)
		}
		return a.Column < b.Column
	})
}
