package spec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// TestWhatYAMLWouldLetPass has values that the library reads without an error
// and that no rule after it would catch.
func TestWhatYAMLWouldLetPass(t *testing.T) {
	for text, want := range map[string]string{
		"kind:":                               "f.yaml:1:6: kind: the field is empty and needed",
		"kind: ~":                             "f.yaml:1:7: kind: the field is empty and needed",
		`kind: ""`:                            "f.yaml:1:7: kind: the field is empty and needed",
		"map: {a: &e ''}\nkind: *e":           "kind: the field is empty and needed",
		"kind: x\nratio: .nan":                `f.yaml:2:8: ratio: found ".nan"; a number is needed`,
		"kind: x\nratio: -.inf":               `f.yaml:2:8: ratio: found "-.inf"; a number is needed`,
		"kind: x\ncount: .inf":                `f.yaml:2:8: count: found ".inf"; a whole number is needed`,
		"kind: x\ncount: 9223372036854775808": "a whole number is needed",
		"kind: x\nmap: {a: 1, a: 2}":          "f.yaml:2:13: map.a: the key is given twice",
		"kind: x\ninner: {<<: {deep: a}}":     "inner.<<: unknown field",
	} {
		_, document := decode(t, text)
		if err := document.Faults(); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\ngot  %v\nwant %s", text, err, want)
		}
	}
	if f, document := decode(t, "kind: x\ncount: 1e3\nratio: 7"); document.Faults() != nil || f.Count != 1000 || f.Ratio != 7 {
		t.Errorf("whole numbers in other forms: %+v, %v", f, document.Faults())
	}
}

func TestAFaultStandsAtTheNearestFieldOfTheFile(t *testing.T) {
	_, document := decode(t, "kind: x\ninner:\n  deep: a\nlist:\n  - deep: b\n")
	for field, want := range map[string]string{
		"inner.deep": "3:9", "inner.other.field": "3:3", "list[0].deep": "5:11", "list[0].other": "5:5", "list[9]": "5:3", "none": "1:1", "": "1:1",
	} {
		if f := document.At(field, "no"); fmt.Sprintf("%d:%d", f.Line, f.Column) != want {
			t.Errorf("%q stands at %d:%d, want %s", field, f.Line, f.Column, want)
		}
	}
	if document.Faults() != nil {
		t.Error("At recorded a fault")
	}
}

func TestDeepAndSelfContainingFilesAreRefused(t *testing.T) {
	type tree struct {
		Kids []tree `json:"k"`
	}
	for name, text := range map[string]string{
		"deep":   strings.Repeat("{k: [", 1000) + strings.Repeat("]}", 1000),
		"itself": "k: &a [{k: *a}]",
	} {
		documents, err := Parse("f.yaml", []byte(text))
		if err == nil {
			var into tree
			documents[0].Decode(&into)
			err = documents[0].Faults()
		}
		if !fault.Is(err, fault.Invalid) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

func TestLongValuesAreQuotedInPart(t *testing.T) {
	_, document := decode(t, "kind: x\ncount: "+strings.Repeat("ä", 10_000))
	if err := document.Faults(); err == nil || len(err.Error()) > 300 {
		t.Errorf("a long value is quoted back: %.400v", err)
	}
}
