package spec

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxDepth = 64      // nesting of a document; deeper is refused rather than recursed into
	maxNodes = 500_000 // nodes visited with aliases expanded, against alias bombs
)

// Enum is implemented by string types with a closed set of values.
type Enum interface{ Values() []string }

// Decode reads the document into the struct that target points to, by `json`
// tags; a `jsonschema:"required"` tag makes a field mandatory. Scalars that
// implement encoding.TextUnmarshaler read their own text. Everything that does
// not fit is recorded as a fault and skipped, so that one pass finds all.
func (d *Document) Decode(target any) {
	d.budget = maxNodes
	d.decode(d.root, reflect.ValueOf(target).Elem(), "", 0)
}

func (d *Document) decode(node *yaml.Node, into reflect.Value, path string, depth int) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	d.budget--
	if depth > maxDepth || d.budget < 0 {
		if d.budget >= -1 {
			d.Faultf(path, "the document is nested too deeply or expands too far")
			d.budget = -2
		}
		return
	}
	if path != "" {
		d.nodes[path] = node
	}
	if node.Tag == "!!null" && node.Kind == yaml.ScalarNode {
		return
	}
	if into.Kind() == reflect.Pointer {
		fresh := reflect.New(into.Type().Elem())
		d.decode(node, fresh.Elem(), path, depth)
		into.Set(fresh)
		return
	}
	if into.CanAddr() {
		if text, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
			d.decodeText(node, text, path)
			return
		}
	}
	switch into.Kind() {
	case reflect.Struct:
		d.decodeStruct(node, into, path, depth)
	case reflect.Map:
		d.decodeMap(node, into, path, depth)
	case reflect.Slice:
		d.decodeSlice(node, into, path, depth)
	default:
		d.decodeScalar(node, into, path)
	}
}

func (d *Document) decodeText(node *yaml.Node, text encoding.TextUnmarshaler, path string) {
	if node.Kind != yaml.ScalarNode {
		d.Faultf(path, "found %s; a single value is needed", describe(node))
		return
	}
	if err := text.UnmarshalText([]byte(node.Value)); err != nil {
		d.Faultf(path, "%s", err)
	}
}

func (d *Document) decodeStruct(node *yaml.Node, into reflect.Value, path string, depth int) {
	if node.Kind != yaml.MappingNode {
		d.Faultf(path, "found %s; a mapping with fields is needed (%s)", describe(node), strings.Join(fieldNames(into.Type()), ", "))
		return
	}
	fields := structFields(into.Type())
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := join(path, key.Value)
		index, known := fields[key.Value]
		switch {
		case seen[key.Value]:
			d.at(key, name, "the field is given twice")
		case !known:
			d.at(key, name, "unknown field"+DidYouMean(key.Value, fieldNames(into.Type())))
		default:
			d.decode(value, into.FieldByIndex(index), name, depth+1)
		}
		seen[key.Value] = true
	}
	for _, name := range requiredNames(into.Type()) {
		switch {
		case !seen[name]:
			d.Faultf(join(path, name), "the field is missing and needed")
		case empty(node, name):
			d.Faultf(join(path, name), "the field is empty and needed")
		}
	}
}

// empty reports whether the mapping gives the field no value: null or "".
func empty(mapping *yaml.Node, name string) bool {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value != name {
			continue
		}
		value := mapping.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		return value.Kind == yaml.ScalarNode && (value.Tag == "!!null" || value.Value == "")
	}
	return false
}

func (d *Document) decodeMap(node *yaml.Node, into reflect.Value, path string, depth int) {
	if node.Kind != yaml.MappingNode {
		d.Faultf(path, "found %s; a mapping is needed", describe(node))
		return
	}
	into.Set(reflect.MakeMapWithSize(into.Type(), len(node.Content)/2))
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := join(path, key.Value)
		if seen[key.Value] {
			d.at(key, name, "the key is given twice")
			continue
		}
		seen[key.Value] = true
		mapKey := reflect.New(into.Type().Key()).Elem()
		mapKey.SetString(key.Value)
		if !d.checkEnum(mapKey, key, name) {
			continue
		}
		element := reflect.New(into.Type().Elem()).Elem()
		d.decode(value, element, name, depth+1)
		into.SetMapIndex(mapKey, element)
	}
}

func (d *Document) decodeSlice(node *yaml.Node, into reflect.Value, path string, depth int) {
	if node.Kind != yaml.SequenceNode {
		d.Faultf(path, "found %s; a list is needed", describe(node))
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(node.Content), len(node.Content)))
	for i, item := range node.Content {
		d.decode(item, into.Index(i), fmt.Sprintf("%s[%d]", path, i), depth+1)
	}
}

func (d *Document) decodeScalar(node *yaml.Node, into reflect.Value, path string) {
	want := map[reflect.Kind]string{reflect.Bool: "true or false", reflect.String: "text", reflect.Float64: "a number"}[into.Kind()]
	if want == "" {
		want = "a whole number"
	}
	if node.Kind != yaml.ScalarNode {
		d.Faultf(path, "found %s; %s is needed", describe(node), want)
		return
	}
	if into.Kind() == reflect.String {
		into.SetString(node.Value)
		d.checkEnum(into, node, path)
		return
	}
	if err := node.Decode(into.Addr().Interface()); err != nil || !fits(node, into) {
		d.Faultf(path, "found %q; %s is needed", clip(node.Value), want)
	}
}

// fits refuses what the library lets pass: a broken number cut to a whole one,
// and .nan and .inf, which no rule's comparison would catch.
func fits(node *yaml.Node, into reflect.Value) bool {
	if node.ShortTag() != "!!float" {
		return true
	}
	var x float64
	if node.Decode(&x) != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return false
	}
	return !into.CanInt() || x == math.Trunc(x)
}

func (d *Document) checkEnum(value reflect.Value, node *yaml.Node, path string) bool {
	enum, ok := value.Interface().(Enum)
	if !ok {
		return true
	}
	for _, valid := range enum.Values() {
		if valid == value.String() {
			return true
		}
	}
	d.at(node, path, fmt.Sprintf("unknown value %q%s", clip(value.String()), DidYouMean(value.String(), enum.Values())))
	return false
}

func (d *Document) at(node *yaml.Node, path, message string) {
	d.record(Fault{d.File, node.Line, node.Column, path, message})
}

func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", clip(node.Value))
}

// clip bounds what of a user's text is quoted back.
func clip(text string) string {
	const limit = 60
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// structFields maps names to field indexes; untagged embedded structs are inlined.
func structFields(t reflect.Type) map[string][]int {
	fields := map[string][]int{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			for inner, index := range structFields(field.Type) {
				fields[inner] = append([]int{i}, index...)
			}
		case name != "" && name != "-":
			fields[name] = []int{i}
		}
	}
	return fields
}

// fieldNames lists the fields in the order of the struct, which is the order
// that its author thinks them useful in.
func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			names = append(names, fieldNames(field.Type)...)
		case name != "" && name != "-":
			names = append(names, name)
		}
	}
	return names
}

func requiredNames(t reflect.Type) []string {
	var names []string
	for name, index := range structFields(t) {
		for _, option := range strings.Split(t.FieldByIndex(index).Tag.Get("jsonschema"), ",") {
			if option == "required" {
				names = append(names, name)
			}
		}
	}
	sort.Strings(names)
	return names
}
