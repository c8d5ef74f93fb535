package spec

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

type colour string

func (colour) Values() []string { return []string{"red", "green"} }

type size int

func (s *size) UnmarshalText(text []byte) error {
	if string(text) == "bad" {
		return errors.New("a size is needed")
	}
	*s = size(len(text))
	return nil
}

type inner struct {
	Deep string `json:"deep"`
}

type Common struct {
	Kind string `json:"kind" jsonschema:"required"`
}

type form struct {
	Common
	Count   int               `json:"count"`
	Ratio   float64           `json:"ratio"`
	On      bool              `json:"on"`
	Colour  colour            `json:"colour"`
	Size    size              `json:"size"`
	Inner   inner             `json:"inner"`
	Pointer *inner            `json:"pointer"`
	List    []inner           `json:"list"`
	Map     map[string]string `json:"map"`
	ByEnum  map[colour]int    `json:"by_colour"`
	Bomb    [][][][]string    `json:"bomb"`
	Hidden  string            `json:"-"`
}

func decode(t *testing.T, text string) (form, *Document) {
	t.Helper()
	documents, err := Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var f form
	documents[0].Decode(&f)
	return f, documents[0]
}

func TestDecode(t *testing.T) {
	f, document := decode(t, `
kind: x
count: 3
ratio: 0.5
on: true
colour: green
size: four
inner: &i {deep: below}
pointer: *i
list: [{deep: a}, *i]
map: {a: 1, b: text}
by_colour: {red: 7}
`)
	if err := document.Faults(); err != nil {
		t.Fatal(err)
	}
	want := form{
		Common: Common{"x"}, Count: 3, Ratio: 0.5, On: true, Colour: "green", Size: 4, Inner: inner{"below"}, Pointer: &inner{"below"},
		List: []inner{{"a"}, {"below"}}, Map: map[string]string{"a": "1", "b": "text"}, ByEnum: map[colour]int{"red": 7},
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for field, has := range map[string]bool{"count": true, "list[1].deep": true, "bomb": false, "inner.other": false} {
		if document.Has(field) != has {
			t.Errorf("Has(%q) is %v", field, !has)
		}
	}
}

func TestDecodeFaults(t *testing.T) {
	for text, want := range map[string]string{
		"count: 3":                               "f.yaml:1:1: kind: the field is missing and needed",
		"kind: x\ncount: 1.5":                    `f.yaml:2:8: count: found "1.5"; a whole number is needed`,
		"kind: x\ncount: many":                   `f.yaml:2:8: count: found "many"; a whole number is needed`,
		"kind: x\ncount: [1]":                    "f.yaml:2:8: count: found a list; a whole number is needed",
		"kind: x\ncount: 9999999999999999999999": `f.yaml:2:8: count: found "9999999999999999999999"; a whole number is needed`,
		"kind: x\nratio: half":                   `f.yaml:2:8: ratio: found "half"; a number is needed`,
		"kind: x\non: maybe":                     `f.yaml:2:5: on: found "maybe"; true or false is needed`,
		"kind: {a: b}":                           "f.yaml:1:7: kind: found a mapping; text is needed",
		"kind: x\ncolour: gren":                  `f.yaml:2:9: colour: unknown value "gren"; did you mean green?`,
		"kind: x\nsize: bad":                     "f.yaml:2:7: size: a size is needed",
		"kind: x\nsize: [4]":                     "f.yaml:2:7: size: found a list; a single value is needed",
		"kind: x\ncuont: 3":                      "f.yaml:2:1: cuont: unknown field; did you mean count?",
		"kind: x\nHidden: 3":                     "f.yaml:2:1: Hidden: unknown field; valid: kind, count, ratio, on, colour, size, inner, pointer, list, map, by_colour, bomb",
		"kind: x\ninner: 3":                      `f.yaml:2:8: inner: found "3"; a mapping with fields is needed (deep)`,
		"kind: x\ninner: {depp: 3}":              "f.yaml:2:9: inner.depp: unknown field; did you mean deep?",
		"kind: x\nlist: {}":                      "f.yaml:2:7: list: found a mapping; a list is needed",
		"kind: x\nlist:\n- deep: a\n- dep: b":    "f.yaml:4:3: list[1].dep: unknown field; did you mean deep?",
		"kind: x\nmap: [a]":                      "f.yaml:2:6: map: found a list; a mapping is needed",
		"kind: x\nby_colour: {blue: 1}":          `f.yaml:2:13: by_colour.blue: unknown value "blue"; valid: red, green`,
		"kind: x\ncount: 1\ncount: 2":            "f.yaml:3:1: count: the field is given twice",
		"[a, b]":                                 "f.yaml:1:1: found a list; a mapping with fields is needed",
	} {
		_, document := decode(t, text)
		err := document.Faults()
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") || !fault.Is(err, fault.Invalid) {
			t.Errorf("%q:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func TestAllFaultsComeAtOnceInOrder(t *testing.T) {
	_, document := decode(t, "ratio: half\nnonsense: 1\ncount: many\n")
	document.Faultf("list[3].deep", "a rule about what is not there")
	document.Faultf("ratio", "a rule about what is")
	want := strings.Join([]string{
		"f.yaml:1:1: kind: the field is missing and needed",
		"f.yaml:1:1: list[3].deep: a rule about what is not there",
		`f.yaml:1:8: ratio: found "half"; a number is needed`,
		"f.yaml:1:8: ratio: a rule about what is",
		"f.yaml:2:1: nonsense: unknown field",
		`f.yaml:3:8: count: found "many"; a whole number is needed`,
	}, "\n")
	got := document.Faults().Error()
	got = strings.Replace(got, got[strings.Index(got, "; valid: kind"):strings.Index(got, "\nf.yaml:3")], "", 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if !document.Faulty("ratio") || document.Faulty("on") {
		t.Error("Faulty does not tell the fields with faults")
	}
}

func TestTheReportIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "unknown%d: 1\n", i)
	}
	_, document := decode(t, text.String())
	faults, ok := document.Faults().(Faults)
	if !ok || len(faults) != maxFaults+1 {
		t.Fatalf("%d faults", len(faults))
	}
	if last := faults[maxFaults].Error(); last != "f.yaml: and 4901 more faults" { // 5000 and the missing kind
		t.Errorf("the report ends with %q", last)
	}
}

func TestAliasBombIsRefused(t *testing.T) {
	row := func(item string) string { return "[" + strings.TrimSuffix(strings.Repeat(item+", ", 60), ", ") + "]" }
	_, document := decode(t, "kind: x\nmap: {a: &a z}\nbomb:\n- &d\n  - &c\n    - &b "+row("*a")+"\n    - "+row("z")+"\n"+
		strings.Repeat("    - *b\n", 60)+strings.Repeat("  - *c\n", 60)+strings.Repeat("- *d\n", 60))
	err := document.Faults()
	if err == nil || !strings.Contains(err.Error(), "expands too far") || len(err.(Faults)) != 1 {
		t.Fatalf("%v", err)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "f.yaml:1:1: the file is empty",
		"# only a comment\n":           "f.yaml:1:1: the file is empty",
		"--- ~\n":                      "f.yaml:1:1: the file is empty",
		"a: b: c":                      "f.yaml:1:1: not valid YAML: mapping values are not allowed in this context",
		"a: 1\nb: [\n":                 "f.yaml:2:1: not valid YAML: ",
		"a: *nowhere":                  "f.yaml:1:1: not valid YAML: unknown anchor 'nowhere' referenced",
		strings.Repeat("#", MaxSize+1): "f.yaml: the file has 16777217 bytes; at most 16777216 are read",
	} {
		documents, err := Parse("f.yaml", []byte(text))
		if documents != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.20q: got %v, want %s", text, err, want)
		}
	}
	documents, err := Parse("f.yaml", []byte("kind: A\n---\n---\nname: b\n"))
	if err != nil || len(documents) != 2 || documents[0].Kind() != "A" || documents[1].Kind() != "" {
		t.Errorf("%d documents, %v", len(documents), err)
	}
}

func TestNearest(t *testing.T) {
	valid := []string{"cuda", "neuron", "rocm"}
	for name, want := range map[string]string{"cude": "cuda", "CUDA": "cuda", "nuron": "neuron", "xyz": "", "": "", strings.Repeat("c", 100): ""} {
		if got := Nearest(name, valid); got != want {
			t.Errorf("Nearest(%.10q) = %q, want %q", name, got, want)
		}
	}
	if got := DidYouMean("xyz", valid); got != "; valid: cuda, neuron, rocm" {
		t.Errorf("DidYouMean: %q", got)
	}
	if got := DidYouMean("zzzzzz", strings.Split(strings.Repeat("aaaa ", 25), " ")); got != "" {
		t.Errorf("a long list is named in full: %q", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("kind: x\ncount: 1\nlist: [{deep: a}]\nmap: {a: b}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("<<: {kind: x}\n? [a]\n: b\n"))
	f.Add([]byte("kind: !!binary aGk=\ncount: 0x10\nratio: .inf\non: ~\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		documents, err := Parse("f.yaml", data)
		if err != nil {
			if _, ok := err.(Faults); !ok {
				t.Fatalf("error %T", err)
			}
			return
		}
		for _, document := range documents {
			var into form
			document.Decode(&into)
			if err := document.Faults(); err == nil && into.Kind == "" && !document.Has("kind") {
				t.Fatal("accepted without the field that is needed")
			}
		}
	})
}
