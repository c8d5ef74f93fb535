package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The page of the worked example quotes what `make deals` wrote, to the letter.
func TestTheDealsPageQuotesItsFigures(t *testing.T) {
	page, err := os.ReadFile("../../docs/deals.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../docs/deals/*.txt")
	if err != nil || len(files) < 3 {
		t.Fatalf("docs/deals has %d files: run make deals (%v)", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), string(data)) {
			t.Errorf("docs/deals.md does not quote %s as it stands", filepath.Base(file))
		}
	}
}
