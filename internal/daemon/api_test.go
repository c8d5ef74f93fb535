package daemon

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
)

// call sends a request to a daemon's socket as any program might.
func call(t *testing.T, state, method, path, body string) (int, string) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", SocketPath(state))
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://yard"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

// What no user means is refused at the door, as a problem of bounded size that
// says which field it is.
func TestRequestsAreBounded(t *testing.T) {
	state := t.TempDir()
	startDaemon(t, state)
	submission := func(change func(*v1.Submission)) string {
		s := v1.Submission{File: "w.yaml", Content: "kind: Training\n"}
		change(&s)
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct{ name, method, path, body, says string }{
		{"quota of a path", "PUT", "/v1/quotas/..%2F..", `{"chips": 1}`, "project: found"},
		{"quota of an emoji", "PUT", "/v1/quotas/%F0%9F%9A%82", `{"chips": 1}`, "project: found"},
		{"no quota of a path", "PUT", "/v1/quotas/..%2F..", `{"chips": -1}`, "project: found"},
		{"key", "POST", "/v1/runs", submission(func(s *v1.Submission) { s.Key = long }), "body.key"},
		{"file", "POST", "/v1/runs", submission(func(s *v1.Submission) { s.File = long }), "body.file"},
		{"relative dir", "POST", "/v1/runs", submission(func(s *v1.Submission) { s.Dir = "work" }), "dir: found"},
		{"zero byte in dir", "POST", "/v1/runs", submission(func(s *v1.Submission) { s.Dir = "/work\x00" }), "dir: found"},
		{"zero byte in file", "POST", "/v1/runs", submission(func(s *v1.Submission) { s.File = "a\x00" }), "file: found"},
		{"not an object", "POST", "/v1/runs", `"` + long + `"`, "expected object"},
		{"an unknown field", "POST", "/v1/runs", `{"file":"a","content":"b","` + long + `":1}`, "unexpected property"},
		{"many unknown fields", "POST", "/v1/runs", `{"a` + strings.Join(strings.Split(strings.Repeat("x", 5000), ""), `":1,"b`) + `":1}`, "unexpected property"},
		{"a field missing", "POST", "/v1/runs", `{"content":"` + long + `"}`, "required property file"},
	} {
		status, answer := call(t, state, c.method, c.path, c.body)
		var problem v1.Problem
		if err := json.Unmarshal([]byte(answer), &problem); err != nil {
			t.Fatalf("%s: %.200s: %v", c.name, answer, err)
		}
		if status != http.StatusUnprocessableEntity || problem.Kind != "invalid" || !strings.Contains(problem.Detail, c.says) {
			t.Errorf("%s: %d %s %.300q; want it to say %q", c.name, status, problem.Kind, problem.Detail, c.says)
		}
		if len(answer) > 8<<10 {
			t.Errorf("%s: the answer has %d bytes", c.name, len(answer))
		}
	}
	if status, answer := call(t, state, "GET", "/v1/quotas", ""); status != 200 || !strings.Contains(answer, `"quotas":[]`) {
		t.Errorf("quotas: %d %s", status, answer)
	}
}
