package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExpandHosts(t *testing.T) {
	for list, want := range map[string]string{
		"a": "a", "a,b": "a b", "n[1-3]": "n1 n2 n3", "n[08-10,3],m": "n08 n09 n10 n3 m",
		"r[1-2]n[1-2]": "r1n1 r1n2 r2n1 r2n2", "n[1]-ib": "n1-ib", "b,a[2,1]": "b a2 a1",
		"": "", "n[": "", "n[1": "", "n]": "", "n[x]": "", "n[3-1]": "", "n[0-4294967295]": "", "a,,b": "", "n[-1]": "", "n[1-]": "",
	} {
		got, err := ExpandHosts(list)
		if strings.Join(got, " ") != want || (err == nil) == (want == "") {
			t.Errorf("%q: %q, %v; want %q", list, got, err, want)
		}
	}
}

func FuzzExpandHosts(f *testing.F) {
	for _, seed := range []string{"a", "n[1-3],b", "r[1-2]n[01-04]", "[[", "n[1-1048575]x[1-1048575]", ","} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		hosts, err := ExpandHosts(list)
		if err == nil && (len(hosts) == 0 || len(hosts) > mostHosts || slices.Contains(hosts, "")) {
			t.Errorf("%q gives %d hosts", list, len(hosts))
		}
	})
}

// At every moment the copy of the report begins with a whole one.
func TestCopyOfTheReportIsNeverTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "termination-log")
	long := &keeper{task: Task{Report: path}, report: Report{Reason: strings.Repeat("é\x00\"", 5000)}}
	short := &keeper{task: Task{Report: path}, report: Report{Node: 3, Reason: "rank 1 exited 7"}}
	for _, k := range []*keeper{long, short, long} {
		if err := k.write(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil || len(data) > mostReport {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		if got, err := ParseReport(append(data, "the rest of an older one"...)); err != nil || got.Node != k.report.Node {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestCopySelf(t *testing.T) {
	dir := t.TempDir()
	for to, at := range map[string]string{dir: "yard", filepath.Join(dir, "x", "agent"): "x/agent", dir + "/y/": "y/yard"} {
		if err := CopySelf(to); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, at))
		if err != nil || info.Mode().Perm() != 0o755 || info.Size() == 0 {
			t.Errorf("%s: %v, %v", at, info, err)
		}
	}
}
