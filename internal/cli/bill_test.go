package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/switchyard-ai/switchyard/internal/contract"
)

// TestBills runs testdata/bills/*.txtar: contracts and usage beside the bill
// that they must make. The archive's comment says where the figures are from;
// a file named args adds arguments, one a line, and a file named command runs
// another command than bill. -update rewrites the bills.
func TestBills(t *testing.T) {
	files, err := filepath.Glob("testdata/bills/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		file, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runBill(t, file) })
	}
}

func runBill(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "bill.txt" })
	args := scenario(t, file)
	var out, errs bytes.Buffer
	code := Execute(context.Background(), args, strings.NewReader(""), &out, &errs)
	got := out.String()
	if code != 0 {
		got += errs.String()
	}
	if *update {
		if want < 0 {
			archive.Files = append(archive.Files, txtar.File{Name: "bill.txt"})
			want = len(archive.Files) - 1
		}
		archive.Files[want].Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want < 0 {
		t.Fatal("the scenario has no bill.txt; run with -update")
	}
	if diff := cmp.Diff(string(archive.Files[want].Data), got); diff != "" {
		t.Errorf("the bill differs (-want +got):\n%s", diff)
	}
}

// Every example of a contract is valid and free of conflicts.
func TestExampleContracts(t *testing.T) {
	contracts, err := loadContracts([]string{"../../examples/contracts"})
	if err != nil || len(contracts) < 3 {
		t.Fatal(len(contracts), err)
	}
	if found := contract.Conflicts(contracts, makerOf); len(found) != 0 {
		t.Errorf("conflicts: %v", found)
	}
}
