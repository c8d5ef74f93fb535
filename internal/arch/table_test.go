package arch

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const module = "github.com/switchyard-ai/switchyard/"

// table is layers.txt: the rank of each package's layer, the packages that are
// suites or adapters, and the allowed edges within a layer.
type table struct {
	rank    map[string]int
	suite   map[string]bool
	adapter map[string]bool
	edges   map[[2]string]bool
}

func readTable(t *testing.T) table {
	t.Helper()
	data, err := os.ReadFile("layers.txt")
	if err != nil {
		t.Fatal(err)
	}
	tab := table{map[string]int{}, map[string]bool{}, map[string]bool{}, map[[2]string]bool{}}
	layers := 0
	for i, line := range strings.Split(string(data), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		switch words[0] {
		case "layer":
			layers++
			for _, p := range words[2:] {
				tab.rank[p] = layers
			}
		case "suite":
			mark(tab.suite, words[1:])
		case "adapter":
			mark(tab.adapter, words[1:])
		case "edge":
			edge, reason, ok := strings.Cut(line, ":")
			if !ok || strings.TrimSpace(reason) == "" {
				t.Errorf("layers.txt:%d: the edge has no reason", i+1)
			}
			ends := strings.Fields(edge)
			tab.edges[[2]string{ends[1], ends[3]}] = true
		default:
			t.Errorf("layers.txt:%d: unknown word %q", i+1, words[0])
		}
	}
	return tab
}

func mark(set map[string]bool, names []string) {
	for _, name := range names {
		set[name] = true
	}
}

// judge says what is wrong with an import, or "".
func (tab table) judge(from, to string) string {
	switch {
	case tab.suite[from] || strings.HasPrefix(to, from+"/"):
		return ""
	case tab.suite[to]:
		return fmt.Sprintf("%s imports the test suite %s", from, to)
	case tab.adapter[to] && from != "internal/daemon":
		return fmt.Sprintf("%s imports the adapter %s; only internal/daemon may", from, to)
	}
	fromRank, toRank := tab.lookup(from), tab.lookup(to)
	switch {
	case fromRank == 0:
		return fmt.Sprintf("%s is in no layer of layers.txt", from)
	case toRank == 0:
		return fmt.Sprintf("%s imports %s, which is in no layer of layers.txt", from, to)
	case toRank > fromRank:
		return fmt.Sprintf("%s imports %s, which is above it", from, to)
	case toRank == fromRank && !tab.edges[[2]string{from, to}] && !strings.HasPrefix(from, to+"/"):
		return fmt.Sprintf("%s imports %s of its own layer without an edge in layers.txt", from, to)
	}
	return ""
}

// lookup returns the rank of a package; a sub-package that is not listed
// belongs to the layer of its nearest listed parent.
func (tab table) lookup(name string) int {
	for name != "" {
		if rank := tab.rank[name]; rank != 0 {
			return rank
		}
		cut := strings.LastIndexByte(name, '/')
		if cut < 0 {
			return 0
		}
		name = name[:cut]
	}
	return 0
}

func TestJudge(t *testing.T) {
	tab := readTable(t)
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{"internal/estimate", "internal/chip", true},
		{"internal/chip", "internal/estimate", false},
		{"internal/catalog", "internal/chip", true},
		{"internal/chip", "internal/catalog", false},
		{"internal/daemon", "internal/store/sqlite", true},
		{"internal/cli", "internal/store/sqlite", false},
		{"internal/reconcile", "internal/store/storetest", false},
		{"internal/nowhere", "internal/chip", false},
	} {
		if got := tab.judge(c.from, c.to); (got == "") != c.allowed {
			t.Errorf("%s -> %s: allowed %v, got %q", c.from, c.to, c.allowed, got)
		}
	}
}
