package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// TestMisuse: what is wrong with how a command was called is said with what
// would be right, and ends with the code of invalid input.
func TestMisuse(t *testing.T) {
	training := []string{"estimate", "training", "--model", "llama-3-8b", "--chip", "h100", "--chips", "8"}
	inference := []string{"estimate", "inference", "--model", "llama-3-8b", "--chip", "h100"}
	with := func(base []string, more ...string) []string { return append(base[:len(base):len(base)], more...) }
	quote := []string{"quote", "../../examples/llama-8b/train.yaml", "--as-of", "2026-11-21", "--offers-only"}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"rnu"}, `unknown command "rnu"; did you mean run?`},
		{[]string{"catalog", "chek", "x"}, `unknown command "chek"; did you mean check?`},
		{[]string{"sites", "shwo"}, `unknown command "shwo"; did you mean show?`},
		{[]string{"run"}, "usage: yard run FILE"},
		{[]string{"run", "../../examples/chat-service/service.yaml", "--state-dir", t.TempDir()}, "Service is quoted (yard quote) but not run yet"},
		{[]string{"quote", "--nosuch"}, "unknown flag: --nosuch"},
		{[]string{"chips", "-o", "xml"}, `unknown output "xml"`},
		{[]string{"offers", "--limit", "-1"}, "neither may be below 0"},
		{with(quote, "--explain", "0"), "--explain 0: there is no such candidate; valid: 1 to "},
		{with(training, "--precision", "fp7"), `--precision: unknown type "fp7"; did you mean `},
		{with(training, "--stack", "maxtxt"), `--stack: unknown name "maxtxt"; did you mean maxtext?`},
		{with(inference, "--engine", "vlm"), `--engine: unknown name "vlm"; did you mean vllm?`},
		{with(inference, "--kv-precision", "fp"), `--kv-precision: unknown type "fp"`},
		{with(inference, "--rate", "2", "--concurrency", "8"), "give one of them"},
		{with(inference, "--prefix-hit", "2"), "a share from 0 to 1 is needed"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := Execute(context.Background(), test.args, strings.NewReader(""), &stdout, &stderr)
			if code != exitInvalid || stdout.Len() > 0 {
				t.Errorf("exit code %d with output %q; want %d and none", code, stdout.String(), exitInvalid)
			}
			if !strings.Contains(stderr.String(), test.want) {
				t.Errorf("said %q; want %q", stderr.String(), test.want)
			}
		})
	}
}

// TestOverload: a rate that cannot be served is said, not answered with a
// lower one.
func TestOverload(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"estimate", "inference", "--model", "llama-3.1-70b", "--chip", "h100", "--chips", "8", "--rate", "4000"}
	if code := Execute(context.Background(), args, strings.NewReader(""), &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if !strings.Contains(stdout.String(), "cannot keep up: 4.0k requests/s arrive") {
		t.Errorf("does not say that the rate is too high:\n%s", stdout.String())
	}
}
