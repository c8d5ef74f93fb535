package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestTablesFitTheTerminal(t *testing.T) {
	l := listing{
		columns: []column{{title: "NAME", field: "name"}, {title: "N", field: "n", number: true}, {title: "WHY", field: "why"}},
		cells:   [][]string{{"a-rather-long-name", "123456", strings.Repeat("reason ", 20)}, {"b", "1", "short"}},
	}
	for _, width := range []int{0, 200, 80, 60} {
		var out bytes.Buffer
		if err := writeTable(&out, l, width); err != nil {
			t.Fatal(err)
		}
		whole := strings.Contains(out.String(), strings.TrimSpace(l.cells[0][2]))
		if fits := widest(out.String()) <= width; width > 0 && !fits {
			t.Errorf("at %d cells the table has %d", width, widest(out.String()))
		}
		if wantWhole := width == 0 || width == 200; whole != wantWhole {
			t.Errorf("at %d cells the text is whole: %v\n%s", width, whole, out.String())
		}
		if !strings.Contains(out.String(), "123456") {
			t.Errorf("at %d cells a number was cut", width)
		}
	}
}

// A name out of someone's file cannot command the terminal.
func TestTableIsHarmless(t *testing.T) {
	var out bytes.Buffer
	l := listing{columns: []column{{"NAME", "name", false}}, cells: [][]string{{"\x1b[31mred\x1b[0m\a"}}, before: "\x1b]0;title\a\n", after: "\x9b2J\n"}
	if err := writeTable(&out, l, 0); err != nil || strings.ContainsAny(out.String(), "\x1b\a\u009b") || !strings.Contains(out.String(), "red") {
		t.Errorf("%q %v", out.String(), err)
	}
}
