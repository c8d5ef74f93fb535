package site

import (
	"os"
	"strings"
	"testing"
)

// The files that docs/sites.md shows are those of examples/sites.
func TestThePageShowsTheExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/sites.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(page), "<!-- examples/sites/")
	if len(parts) != 4 {
		t.Fatalf("%d examples are shown", len(parts)-1)
	}
	for _, part := range parts[1:] {
		name, rest, _ := strings.Cut(part, " -->\n```yaml\n")
		shown, _, _ := strings.Cut(rest, "```")
		file, err := os.ReadFile("../../examples/sites/" + name)
		if err != nil || shown != string(file) {
			t.Errorf("%s differs from its file: %v", name, err)
		}
	}
}
