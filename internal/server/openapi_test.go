package server

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite docs/openapi.yaml")

// TestOpenAPIIsUpToDate holds the published description to the handlers.
func TestOpenAPIIsUpToDate(t *testing.T) {
	const path = "../../docs/openapi.yaml"
	want, err := OpenAPI("1")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not what the handlers say; run go test ./internal/server -update\n%s", path, diff)
	}
}
