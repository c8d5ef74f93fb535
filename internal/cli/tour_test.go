package cli

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
)

var updateTour = flag.Bool("update-tour", false, "rewrite the recorded output in docs/tour.md")

// TestTour runs every `$ yard …` line of the console blocks of docs/tour.md
// from the root of the repository and compares what it prints with what is
// recorded. Blocks of other kinds (text) are recordings of runs whose output
// differs each time; they are not compared.
func TestTour(t *testing.T) {
	const file = "../../docs/tour.md"
	recorded, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("../..")
	fresh := replay(t, string(recorded))
	if *updateTour {
		if err := os.WriteFile("docs/tour.md", []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if fresh != string(recorded) {
		t.Errorf("docs/tour.md is out of date; run `make tour`. First difference:\n%s", firstDifference(string(recorded), fresh))
	}
}

// replay returns the page with the output of every console block made anew.
func replay(t *testing.T, page string) string {
	var out strings.Builder
	inside, commands := false, 0
	for line := range strings.Lines(page) {
		switch {
		case strings.HasPrefix(line, "```console"):
			inside = true
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside && strings.HasPrefix(line, "$ yard "):
			commands++
			out.WriteString(line)
			out.WriteString(output(t, strings.Fields(line)[2:]))
			continue
		case inside:
			continue // old output
		}
		out.WriteString(line)
	}
	if commands < 5 {
		t.Fatalf("the tour has only %d commands", commands)
	}
	return out.String()
}

func output(t *testing.T, args []string) string {
	var both bytes.Buffer
	Execute(t.Context(), args, strings.NewReader(""), &both, &both)
	text := both.String()
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return "recorded: " + x[i] + "\nnow:      " + y[i]
		}
	}
	return "one is longer"
}
