package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/spec"
)

// maxConfig bounds a config.json, in bytes.
const maxConfig = 1 << 20

// ParseHuggingFace reads the shape of a decoder-only model from the
// config.json of a Hugging Face repository. All faults come back at once as
// spec.Faults; an architecture that is not known is refused with the list of
// those that are. The model's ID is the repository's name where the file has
// it, else empty.
func ParseHuggingFace(file string, data []byte) (Model, error) {
	if len(data) > maxConfig {
		return Model{}, spec.Faults{{File: file, Message: fmt.Sprintf("the file has %d bytes; at most %d are read", len(data), maxConfig)}}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // the byte order mark of some editors
	c := &config{file: file, data: data}
	if err := json.Unmarshal(data, &c.fields); err != nil || c.fields == nil {
		return Model{}, spec.Faults{jsonFault(file, data, err)}
	}
	kind := c.text("model_type")
	if inner := c.object("text_config"); inner != nil && inner.text("model_type") != "" {
		// A multimodal model: the shape is that of its text part.
		inner.faults, c = c.faults, inner
		kind = c.text("model_type")
	}
	known := architectures()
	read := known[kind]
	if read == nil {
		c.fault("model_type", "%s", unknownArchitecture(kind, known))
		return Model{}, c.faults.Err()
	}
	m := Model{ID: hubName(c.text("_name_or_path")), Source: file}
	read(c, &m)
	m.Complete()
	if len(c.faults) == 0 {
		for _, problem := range m.Problems() {
			c.fault("", "the shape is not valid: %s: %s", problem.Field, problem.Message)
		}
	}
	if err := c.faults.Err(); err != nil {
		return Model{}, err
	}
	return m, nil
}

func unknownArchitecture(kind string, known map[string]architecture) string {
	var names []string
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	found := fmt.Sprintf("unknown architecture %q", clip(kind))
	if kind == "" {
		found = "the field is missing and needed"
	}
	return found + "; supported: " + strings.Join(names, ", ")
}

func hubName(name string) string {
	name = strings.ToLower(path.Base(name))
	if name == "." || name == "/" || len(name) > 80 {
		return ""
	}
	return name
}

func jsonFault(file string, data []byte, err error) spec.Fault {
	fault := spec.Fault{File: file, Line: 1, Column: 1, Message: "an object is needed, as in the config.json of a model"}
	if syntax, ok := err.(*json.SyntaxError); ok {
		fault.Line, fault.Column = position(data, int(syntax.Offset)-1)
		fault.Message = "not valid JSON: " + syntax.Error()
	}
	return fault
}

// position counts from 1.
func position(data []byte, offset int) (line, column int) {
	before := data[:max(0, min(offset, len(data)))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}

// config reads fields of a config.json and collects what is wrong with them.
type config struct {
	file   string
	data   []byte
	under  string // path of the object within the file, with a dot at the end
	fields map[string]json.RawMessage
	faults spec.Faults
}

func (c *config) fault(name, format string, args ...any) {
	fault := spec.Fault{File: c.file, Field: strings.TrimSuffix(c.under+name, "."), Message: fmt.Sprintf(format, args...)}
	if at := bytes.Index(c.data, []byte(`"`+name+`"`)); name != "" && at >= 0 {
		fault.Line, fault.Column = position(c.data, at)
	}
	c.faults = append(c.faults, fault)
}

func (c *config) has(name string) bool {
	raw, ok := c.fields[name]
	return ok && string(raw) != "null"
}

// value decodes the first of the names that the file has, and tells which.
func (c *config) value(into any, what string, names ...string) bool {
	for _, name := range names {
		if !c.has(name) {
			continue
		}
		if err := json.Unmarshal(c.fields[name], into); err != nil {
			c.fault(name, "found %s; %s is needed", clip(string(c.fields[name])), what)
			return false
		}
		return true
	}
	return false
}

// otherwise gives a field that the file lacks the value of its class.
func (c *config) otherwise(name, literal string) {
	if !c.has(name) {
		c.fields[name] = json.RawMessage(literal)
	}
}

// need reads a whole number that must be there, under one of several names.
func (c *config) need(names ...string) int {
	for _, name := range names {
		if c.has(name) {
			return c.number(0, name)
		}
	}
	c.fault(names[0], "the field is missing and needed")
	return 0
}

func (c *config) number(otherwise int, names ...string) int {
	n := otherwise
	if !c.value(&n, "a whole number", names...) {
		return otherwise
	}
	return n
}

func (c *config) flag(otherwise bool, names ...string) bool {
	b := otherwise
	if !c.value(&b, "true or false", names...) {
		return otherwise
	}
	return b
}

func (c *config) text(name string) string {
	var s string
	c.value(&s, "text", name)
	return s
}

func (c *config) texts(name string) []string {
	var list []string
	c.value(&list, "a list of text", name)
	return list
}

// object returns a nested object, or nil where there is none.
func (c *config) object(name string) *config {
	inner := &config{file: c.file, data: c.data, under: c.under + name + "."}
	if !c.value(&inner.fields, "an object", name) {
		return nil
	}
	return inner
}
