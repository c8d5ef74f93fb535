//go:build unix

package cli

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
)

// TestSlowRanksPage runs the example of "Slow ranks" in docs/running.md, and
// compares what yard says of its slow rank with the page.
func TestSlowRanksPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/running.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "## Slow ranks\n")
	_, example, _ := strings.Cut(section, "```yaml\n")
	file, shown, ended := strings.Cut(example, "```\n")
	want := regexp.MustCompile(`rank 3 is slow: .* \(median\)`).FindString(shown)
	if !found || !ended || want == "" {
		t.Fatal("the page has no example with its output")
	}
	b := newBench(t)
	b.write("uneven.yaml", file)
	id := regexp.MustCompile(`run (uneven-[0-9a-f]+)`).FindStringSubmatch(b.must(0, "run", "--detach", "uneven.yaml"))
	if id == nil {
		t.Fatal("no run was started")
	}
	defer b.must(0, "stop", id[1], "--grace", "1s")
	var run v1.RunDetail
	for deadline := time.Now().Add(2 * time.Minute); len(run.SlowRanks) == 0; time.Sleep(200 * time.Millisecond) {
		if err := json.Unmarshal([]byte(b.must(0, "runs", id[1], "-o", "json")), &run); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) || run.State != "queued" && run.State != "running" {
			t.Fatalf("no slow rank of a %s run is known: %+v", run.State, run.AttemptList)
		}
	}
	if told := b.must(0, "runs", id[1]); strings.Count(told, want) != 2 {
		t.Errorf("it says\n%s\nwant %q at the top and among the decisions", told, want)
	}
	if list := b.must(0, "runs"); !strings.Contains(list, want) {
		t.Errorf("the list says\n%s\nwant %q in it", list, want)
	}
}
