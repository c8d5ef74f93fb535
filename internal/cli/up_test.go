//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// up starts yard up and returns its address and what stops it: by SIGTERM,
// wanting a clean end.
func (b *bench) up() (address string, stop func()) {
	b.t.Helper()
	cmd := exec.Command("yard", "up", "--listen", "127.0.0.1:0", "--state-dir", b.state)
	cmd.Dir = b.dir
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	found := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(line)
	if err != nil || found == "" {
		b.t.Fatalf("yard up said %q: %v", line, err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			b.t.Errorf("yard up: %v", err)
		}
	})
	b.t.Cleanup(stop)
	return found, stop
}

func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestUpServesThoseWithTheToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	address, stop := b.up()
	info, err := os.Stat(filepath.Join(b.state, "token"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the token's file: %v %v", info, err)
	}
	data, err := os.ReadFile(filepath.Join(b.state, "token"))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(data))
	for _, c := range []struct {
		path, token string
		status      int
		body        string
	}{
		{"/healthz", "", 200, `"status":"ok"`},
		{"/v1/runs", "", 401, "the token is missing or wrong"},
		{"/v1/runs", "wrong", 401, "the token is missing or wrong"},
		{"/metrics", "", 401, ""},
		{"/v1/runs", token, 200, `{"runs":[]}`},
		{"/v1/runs/none", token, 404, `"kind":"not found"`},
		{"/v1/ledger/summary?by=moon", token, 422, "valid: run, project"},
		{"/metrics", token, 200, `yard_runs{state="queued"} 0`},
		{"/openapi.json", token, 200, `"/v1/runs/{id}/logs"`},
	} {
		status, body := get(t, address+c.path, c.token)
		if status != c.status || !strings.Contains(body, c.body) {
			t.Errorf("GET %s with token %q: %d %.300s", c.path, c.token, status, body)
		}
	}
	// A log streams to its end.
	b.must(0, "run", b.write("flaky.yaml", flaky))
	if _, body := get(t, address+"/v1/runs/"+b.runs()[0].ID+"/logs/stream?attempt=1", token); strings.Count(body, "attempt 1 line") != 5 {
		t.Errorf("streamed log:\n%s", body)
	}
	if err := os.Remove(filepath.Join(b.dir, "starts")); err != nil {
		t.Fatal(err)
	}
	// The command line takes the token of the state directory, for this machine.
	b.must(0, "runs", "--server", address)
	if b.must(2, "runs", "--server", address, "--token", "wrong"); !strings.Contains(b.said, "token is missing or wrong") {
		t.Errorf("said: %s", b.said)
	}

	// A second server is told who has the directory; runs survive the first.
	if b.must(1, "up", "--listen", "127.0.0.1:0"); !strings.Contains(b.said, "is held by yard with pid") {
		t.Errorf("said: %s", b.said)
	}
	b.must(0, "run", "--detach", b.write("endless.yaml", endless))
	for len(b.starts()) == 0 {
		b.runs()
	}
	if b.said != "" {
		t.Errorf("a client of yard up left something behind: %s", b.said)
	}
	stop()
	run := b.runs()[0]
	if run.State != string(fleet.Running) {
		t.Errorf("after yard up ended the run is %s", run.State)
	}
	b.must(0, "stop", run.ID)
	b.check(b.runs()[0], fleet.Stopped, 1)
}

// TestInterruptDetaches sends Ctrl-C where there is no terminal to ask on; the
// background yard that goes on gives way to a server.
func TestInterruptDetaches(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cmd := exec.Command("yard", "run", "--state-dir", b.state, b.write("endless.yaml", endless))
	cmd.Dir = b.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for len(b.starts()) == 0 {
		runtime.Gosched()
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "detached from endless-") {
		t.Errorf("%v\n%s", err, out.String())
	}
	address, _ := b.up()
	if status, _ := get(t, address+"/healthz", ""); status != 200 {
		t.Errorf("status %d", status)
	}
	run := b.runs()[0]
	if run.State != string(fleet.Running) {
		t.Errorf("the detached run is %s", run.State)
	}
	b.must(0, "stop", run.ID)
	b.check(b.runs()[0], fleet.Stopped, 1)
}

// TestAFollowerTakesOver kills the server whose run a client follows.
func TestAFollowerTakesOver(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cmd := exec.Command("yard", "up", "--listen", "127.0.0.1:0", "--state-dir", b.state)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for len(b.starts()) == 0 {
			runtime.Gosched()
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	said := b.must(0, "run", b.write("flaky.yaml", flaky))
	<-killed
	for _, line := range []string{"attempt 1 line 1\n", "attempt 1 line 5\n", "attempt 2 line 5\n"} {
		if strings.Count(said, line) != 1 {
			t.Errorf("%q is not there once in:\n%s", line, said)
		}
	}
	b.check(b.runs()[0], fleet.Succeeded, 2)
}

func TestTwoYardsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	file := b.write("flaky.yaml", flaky)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			cmd := exec.Command("yard", "run", file)
			cmd.Dir, cmd.Env = b.dir, append(os.Environ(), "YARD_STATE_DIR="+b.state)
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "done in") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	both.Wait()
	runs := b.runs()
	if len(runs) != 2 {
		t.Fatalf("%d runs", len(runs))
	}
	for _, run := range runs {
		if run.State != string(fleet.Succeeded) || run.Attempts != 2 {
			t.Errorf("%s is %s after %d attempts", run.ID, run.State, run.Attempts)
		}
	}
	b.must(0, "ledger", "--verify")
}

func TestTwoHundredRanksAndAFlood(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const ranks = 200
	file := b.write("wide.yaml", fmt.Sprintf(`kind: Training
name: wide
variants:
  cpu:
    ranks: %d
    command: [sh, -c, 'echo "$YARD_ATTEMPT/$RANK" >> starts; echo "rank $RANK of $WORLD_SIZE"']
`, ranks))
	b.must(0, "run", file)
	run := b.runs()[0]
	b.check(run, fleet.Succeeded, 1)
	if got := b.starts(); len(got) != ranks {
		t.Errorf("%d ranks began", len(got))
	}
	if got := b.must(0, "logs", run.ID, "--rank", "199"); got != "rank 199 of 200\n" {
		t.Errorf("log of rank 199: %q", got)
	}
	b.must(1, "logs", run.ID, "--rank", "200")

	b.write("state/config.yaml", "idle: 200ms\ninterval: 20ms\nlog_cap: 64KiB\n")
	flood := b.write("flood.yaml", `kind: Training
name: flood
variants:
  cpu:
    command: [sh, -c, 'yes "a line that says nothing" | head -n 100000; echo the end']
`)
	b.must(0, "run", flood)
	run = b.runs()[0]
	if !strings.Contains(run.AttemptList[0].Reason, "log lines were not kept: over the bound") {
		t.Errorf("reason: %q", run.AttemptList[0].Reason)
	}
	log := b.must(0, "logs", run.ID)
	if len(log) > 200<<10 || !strings.HasSuffix(log, "the end\n") {
		t.Errorf("%d bytes of log, ending %q", len(log), log[max(0, len(log)-60):])
	}
}

func TestALongStateDirectory(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.state = filepath.Join(b.dir, strings.Repeat("long/", 30), "state")
	state := strings.TrimPrefix(b.state, b.dir+"/")
	b.write(state+"/config.yaml", "idle: 200ms\ninterval: 20ms\n")
	b.write(state+"/secrets/hub/token", "hush\n")
	b.must(0, "run", "--detach", b.write("flaky.yaml", flaky))
	b.recover("", 0)
	b.check(b.runs()[0], fleet.Succeeded, 2)
}

// TestANewerStateIsRefused gives yard a database of a later version.
func TestANewerStateIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.must(0, "runs")
	database := filepath.Join(b.state, "state.db")
	makeNewer(t, database)
	before, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	b.must(1, "runs")
	if !strings.Contains(b.said, "newer") {
		t.Errorf("said: %s", b.said)
	}
	after, err := os.ReadFile(database)
	if err != nil || string(after) != string(before) {
		t.Errorf("the refused database was changed: %v", err)
	}
	b.state = filepath.Join(b.dir, "other") // for the cleanup
	b.write("other/config.yaml", "idle: 200ms\n")
}

func makeNewer(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path) // the driver is the store's
	if err == nil {
		_, err = db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, 1)`)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}
