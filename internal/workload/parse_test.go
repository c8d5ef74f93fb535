package workload

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

var testNow = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func examples(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../../examples/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var workloads []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range Kind("").Values() {
			if strings.Contains(string(data), "\nkind: "+kind+"\n") {
				workloads = append(workloads, file)
			}
		}
	}
	return workloads
}

func TestExamplesParse(t *testing.T) {
	kinds := map[Kind]int{}
	for _, file := range examples(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		w, err := Parse(file, data, testNow)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		kinds[w.Kind]++
		if why := w.Unquotable(); why != "" {
			t.Errorf("%s cannot be quoted: %s", file, why)
		}
	}
	for _, kind := range Kind("").Values() {
		if kinds[Kind(kind)] == 0 {
			t.Errorf("no example of kind %s", kind)
		}
	}
}

// TestBadFiles holds every faulty file of testdata against its golden report.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w, err := Parse(filepath.Base(file), data, testNow)
			if err == nil {
				t.Fatalf("accepted as %+v", w)
			}
			if w != nil || !fault.Is(err, fault.Invalid) {
				t.Errorf("workload %v, kind %q; want none and invalid", w, fault.KindOf(err))
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			got := err.Error() + "\n"
			if *rewrite {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("report differs (-want +got); go test -run %s -rewrite\n%s", t.Name(), diff)
			}
		})
	}
}

const small = `kind: Training
name: small
model:
  preset: llama-3-8b
tokens: 1B
sequence_length: 2048
global_batch: 64
variants:
  cuda:
    command: [train]
`

func TestDefaults(t *testing.T) {
	w, err := Parse("small.yaml", []byte(small), testNow)
	if err != nil {
		t.Fatal(err)
	}
	if w.Project != "default" || w.Precision != "bf16" || w.Training.Checkpoint.Keep != 3 {
		t.Errorf("defaults are %+v, %+v", w.Common, w.Training)
	}
	if w.Shape == nil || w.Shape.ID != "llama-3-8b" {
		t.Errorf("shape is %v", w.Shape)
	}
	if got := w.Training.Steps(); got != 7630 {
		t.Errorf("%d steps for 1B tokens of 131072 a step, want 7630", got)
	}
}

func TestZeroRestartsAreNotTheDefault(t *testing.T) {
	w, err := Parse("small.yaml", []byte(small+"restarts: {limit: 0}\n"), testNow)
	if err != nil || w.Restarts.Limit == nil || *w.Restarts.Limit != 0 {
		t.Fatalf("restarts %+v, %v; want a limit of 0", w, err)
	}
}

func TestCommandAloneRunsButCannotBeQuoted(t *testing.T) {
	w, err := Parse("own.yaml", []byte("kind: Training\nname: own\nvariants: {cpu: {command: [./train], ranks: 4, cores: 2}}\n"), testNow)
	if err != nil {
		t.Fatal(err)
	}
	if w.Unquotable() == "" || w.Shape != nil || w.Training.Steps() != 0 {
		t.Errorf("quotable: %+v", w)
	}
	if got := w.Variants["cpu"].Gang(1, 0); got != 4 {
		t.Errorf("gang of %d, want 4", got)
	}
}

func TestStoredFilesOutliveTheirDeadline(t *testing.T) {
	data := []byte(strings.Replace(small, "preset: llama-3-8b", "preset: only-mine", 1) + "deadline: 2020-01-01\n")
	if _, err := Parse("old.yaml", data, testNow); err == nil {
		t.Fatal("a passed deadline and an unknown model were accepted")
	}
	w, err := ParseStored("old.yaml", data)
	if err != nil || w.Shape != nil || w.Model.Preset != "only-mine" {
		t.Fatalf("%+v, %v", w, err)
	}
}

func TestDeadlineIncludesItsDay(t *testing.T) {
	data := []byte(small + "deadline: 2026-11-01\n")
	if _, err := Parse("d.yaml", data, testNow); err != nil {
		t.Errorf("on the day itself: %v", err)
	}
	if _, err := Parse("d.yaml", data, testNow.AddDate(0, 0, 1)); err == nil {
		t.Error("accepted on the day after")
	}
}

func TestNonsenseIsRefusedBriefly(t *testing.T) {
	var b strings.Builder
	b.WriteString("kind: Training\n")
	for i := 0; b.Len() < MaxSize-100; i++ {
		fmt.Fprintf(&b, "nonsense%d: {a: [b, c]}\n", i)
	}
	_, err := Parse("big.yaml", []byte(b.String()), testNow)
	faults, ok := err.(spec.Faults)
	if !ok || len(faults) > 101 || !strings.HasSuffix(err.Error(), "more faults") {
		t.Fatalf("%d faults, ending %.80q", len(faults), err.Error()[len(err.Error())-80:])
	}
	_, err = Parse("huge.yaml", []byte(strings.Repeat("x: [{", 1<<20)), testNow)
	if faults, ok := err.(spec.Faults); !ok || len(faults) != 1 {
		t.Fatalf("5 MB of nonsense: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "../../examples/*/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("kind: Training\na: &a [*a]\n"))
	f.Add([]byte("kind: Service\nvariants: {cuda: }\ntraffic: {requests_per_second: .nan}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := Parse("fuzz.yaml", data, testNow)
		if (w == nil) == (err == nil) {
			t.Fatalf("workload %v and error %v", w, err)
		}
		if err != nil {
			if faults, ok := err.(spec.Faults); !ok || len(faults) == 0 || len(faults) > 101 {
				t.Fatalf("error %T: %v", err, err)
			}
			return
		}
		if w.Training != nil && w.Shape != nil && w.Training.Steps() < 1 {
			t.Fatalf("accepted with %d steps", w.Training.Steps())
		}
		if _, err := ParseStored("fuzz.yaml", data); err != nil {
			t.Fatalf("accepted once, refused when stored: %v", err)
		}
	})
}
