// Command run writes docs/accuracy.md and its plots:
// go run ./internal/estimate/accuracy/run
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/estimate/accuracy"
)

func main() {
	docs := flag.String("docs", "docs", "folder of the documentation")
	flag.Parse()
	if err := write(*docs); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(docs string) error {
	report := accuracy.Write(estimate.Default())
	if err := os.MkdirAll(filepath.Join(docs, "accuracy"), 0o755); err != nil {
		return err
	}
	for name, svg := range report.Plots {
		if err := os.WriteFile(filepath.Join(docs, "accuracy", name), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(docs, "accuracy.md"), []byte(report.Markdown), 0o644)
}
