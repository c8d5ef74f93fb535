package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

func contractText(file string, names ...string) spec.Text {
	var all []string
	for _, name := range names {
		all = append(all, fmt.Sprintf("kind: Contract\nname: %s\ncounterparty: A\nterm: {from: 2026-01-01, to: 2027-01-01}\nclauses:\n  - discount: {percent: 5%%}\n", name))
	}
	return spec.Text{File: file, Data: []byte(strings.Join(all, "---\n"))}
}

func mustAdd(t *testing.T, c Config, files ...spec.Text) {
	t.Helper()
	if _, err := c.AddContracts(files); err != nil {
		t.Fatal(err)
	}
}

// inForce is the names of the contracts in force, in order.
func inForce(t *testing.T, c Config) string {
	t.Helper()
	contracts, err := c.Contracts()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range contracts {
		names = append(names, one.Name)
	}
	return strings.Join(names, " ")
}

func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// Killed before the journal has its name nothing is in force, and after it all
// is, however many of the files were written; the next change tidies up.
func TestKilledWhileAdding(t *testing.T) {
	coming := map[string][]byte{"a.yaml": contractText("", "new").Data, "b.yaml": contractText("", "other").Data}
	for _, written := range []int{-1, 0, 1, 2} {
		c := Config{StateDir: t.TempDir()}
		mustAdd(t, c, contractText("z.yaml", "old"))
		if err := os.WriteFile(filepath.Join(c.ContractsDir(), ".new-1"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		want := "old"
		if written >= 0 {
			want = "new other old"
			if err := commit(c.ContractsDir(), coming); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"a.yaml", "b.yaml"}[:max(written, 0)] {
			if err := keep(c.ContractsDir(), name, coming[name]); err != nil {
				t.Fatal(err)
			}
		}
		if got := inForce(t, c); got != want {
			t.Errorf("killed with %d written: %s in force, want %s", written, got, want)
		}
		mustAdd(t, c, contractText("y.yaml", "next"))
		want = strings.Replace(want, "old", "next old", 1)
		files := filesIn(t, c.ContractsDir())
		if got := inForce(t, c); got != want || len(files) != len(strings.Fields(want)) || strings.HasPrefix(files[0], ".") {
			t.Errorf("then: %s in force, want %s; files %v", got, want, files)
		}
	}
}

// A contract that a killed add put in force can be taken out of it.
func TestRemovedFromTheJournal(t *testing.T) {
	c := Config{StateDir: t.TempDir()}
	mustAdd(t, c, contractText("a.yaml", "a"))
	if err := commit(c.ContractsDir(), map[string][]byte{"b.yaml": contractText("", "b").Data}); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveContract("b"); err != nil {
		t.Fatal(err)
	}
	if got := inForce(t, c); got != "a" {
		t.Errorf("%s in force", got)
	}
}

func TestNamesOfFilesInForce(t *testing.T) {
	for _, name := range []string{strings.Repeat("x", 300) + ".yaml", "a\x1b[31m.yaml", "a\x00.yaml", "a\xff.yaml", ".hidden.yaml", "..", "/", ""} {
		c := Config{StateDir: t.TempDir()}
		_, err := c.AddContracts([]spec.Text{contractText("a.yaml", "a"), contractText(name, "b")})
		if !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), c.StateDir) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := os.Stat(c.ContractsDir()); err == nil {
			t.Errorf("%q: something was written", name)
		}
	}
	c := Config{StateDir: t.TempDir()}
	if err := c.RemoveBudget(strings.Repeat("x", 300)); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	budgets := spec.Text{File: "b.yaml"}
	for _, name := range []string{"one", "two"} {
		budgets.Data = append(budgets.Data, "---\nkind: Budget\nname: "+name+"\namount: $2\nperiod: year\nthresholds: [{at: 1, do: warn}]\n"...)
	}
	if _, err := c.AddBudgets([]spec.Text{budgets}); err != nil || !slices.Equal(filesIn(t, c.BudgetsDir()), []string{"one.yaml", "two.yaml"}) {
		t.Error(err, filesIn(t, c.BudgetsDir()))
	}
}

// A file of the same name does not end a contract that it leaves out.
func TestReplacingLeavesNoContractOut(t *testing.T) {
	c := Config{StateDir: t.TempDir()}
	mustAdd(t, c, contractText("contract.yaml", "alice"))
	mustAdd(t, c, contractText("elsewhere/contract.yaml", "alice", "bob"))
	_, err := c.AddContracts([]spec.Text{contractText("contract.yaml", "bob")})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "contract.yaml in force holds contract alice") || !strings.Contains(err.Error(), "yard contracts remove alice") {
		t.Error(err)
	}
	if got := inForce(t, c); got != "alice bob" {
		t.Errorf("%s in force", got)
	}
	mustAdd(t, c, contractText("contract.yaml", "bob"), contractText("moved.yaml", "alice"))
}

// Of a file with several contracts the others stay as they were written.
func TestRemovingOneOfAFile(t *testing.T) {
	one, two, three := contractText("", "one").Data, contractText("", "two").Data, contractText("", "three").Data
	whole := fmt.Sprintf("# ours\n%s--- # the second\n%s---\n%s", one, two, three)
	for name, want := range map[string]string{
		"one":   fmt.Sprintf("--- # the second\n%s---\n%s", two, three),
		"two":   fmt.Sprintf("# ours\n%s---\n%s", one, three),
		"three": fmt.Sprintf("# ours\n%s--- # the second\n%s", one, two),
	} {
		c := Config{StateDir: t.TempDir()}
		mustAdd(t, c, spec.Text{File: "all.yaml", Data: []byte(whole)})
		if err := c.RemoveContract(name); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(c.ContractsDir(), "all.yaml")); err != nil || string(got) != want {
			t.Errorf("without %s: %q, %v; want %q", name, got, err, want)
		}
		if names := inForce(t, c); strings.Contains(names, name) || len(strings.Fields(names)) != 2 {
			t.Errorf("in force without %s: %s", name, names)
		}
	}
}
