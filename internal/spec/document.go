package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxSize bounds a file, in bytes: specifications are written by people.
const MaxSize = 16 << 20

// maxFaults bounds the report of one document; the rest are counted.
const maxFaults = 100

// Document is one YAML document of a file, with the position of every field
// and the faults found so far.
type Document struct {
	File   string
	root   *yaml.Node
	nodes  map[string]*yaml.Node
	faults Faults
	faulty map[string]bool
	more   int // faults beyond maxFaults
	budget int
}

// Parse splits a file into its documents. A syntax error is returned as
// Faults. Empty documents are skipped; a file with none is a fault.
func Parse(file string, data []byte) ([]*Document, error) {
	if len(data) > MaxSize {
		return nil, Faults{{File: file, Message: fmt.Sprintf("the file has %d bytes; at most %d are read", len(data), MaxSize)}}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var documents []*Document
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, Faults{syntaxFault(file, err)}
		}
		if len(node.Content) == 0 || node.Content[0].Tag == "!!null" {
			continue
		}
		documents = append(documents, &Document{File: file, root: node.Content[0], nodes: map[string]*yaml.Node{}, faulty: map[string]bool{}})
	}
	if len(documents) == 0 {
		return nil, Faults{{File: file, Line: 1, Column: 1, Message: "the file is empty"}}
	}
	return documents, nil
}

var syntaxLine = regexp.MustCompile(`^yaml: line (\d+): (.*)`)

func syntaxFault(file string, err error) Fault {
	if m := syntaxLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ := strconv.Atoi(m[1])
		return Fault{File: file, Line: line, Column: 1, Message: "not valid YAML: " + m[2]}
	}
	return Fault{File: file, Line: 1, Column: 1, Message: "not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
}

// Kind returns the document's top-level `kind`, or "" where it has none.
func (d *Document) Kind() string {
	if d.root.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(d.root.Content); i += 2 {
		if d.root.Content[i].Value == "kind" {
			d.nodes["kind"] = d.root.Content[i+1]
			return d.root.Content[i+1].Value
		}
	}
	return ""
}

// Has reports whether the decoded document set the field. It is valid after Decode.
func (d *Document) Has(field string) bool { return d.nodes[field] != nil }

// Faultf records a fault at a field, or at its nearest ancestor that the file
// has. Fields are dotted paths with list positions, as in "data.sources[2].uri".
func (d *Document) Faultf(field, format string, args ...any) {
	d.record(d.At(field, format, args...))
}

// Faulty reports whether a fault was recorded at the field itself. Rules that
// come after Decode leave such fields alone: their values were not read.
func (d *Document) Faulty(field string) bool { return d.faulty[field] }

func (d *Document) record(fault Fault) {
	d.faulty[fault.Field] = true
	if len(d.faults) >= maxFaults {
		d.more++
		return
	}
	d.faults = append(d.faults, fault)
}

// Faults returns what was found wrong so far, sorted by position, or nil. Past
// a hundred, faults are only counted.
func (d *Document) Faults() error {
	faults := d.faults
	if d.more > 0 {
		faults = append(faults[:len(faults):len(faults)], Fault{File: d.File, Message: fmt.Sprintf("and %d more faults", d.more)})
	}
	return faults.Err()
}

func (d *Document) position(field string) (line, column int) {
	for field != "" {
		if node := d.nodes[field]; node != nil {
			return node.Line, node.Column
		}
		cut := strings.LastIndexAny(field, ".[")
		if cut < 0 {
			break
		}
		field = field[:cut]
	}
	return d.root.Line, d.root.Column
}

// At makes a fault at a field without recording it, for what is only worth a
// warning.
func (d *Document) At(field, format string, args ...any) Fault {
	line, column := d.position(field)
	return Fault{d.File, line, column, field, fmt.Sprintf(format, args...)}
}
