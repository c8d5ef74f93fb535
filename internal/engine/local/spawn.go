package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// What a shim says, on one line of its standard output, when it has the gang's
// lock or found that another has it.
const (
	shimReady = "ready"
	shimHeld  = "held"
)

// ensureShim returns when a shim holds the gang's lock or the gang has ended.
func (e *Engine) ensureShim(ctx context.Context, key string) error {
	dir := e.gangDir(key)
	held, err := lockHeld(dir.file(lockFile))
	if err != nil {
		return fault.Wrap(fault.Internal, err, "asking who holds the shim's lock")
	}
	if held || dir.has(exitFile) {
		return nil
	}
	answers, writer, err := os.Pipe()
	if err != nil {
		return fault.Wrap(fault.Transient, err, "making a pipe for the shim")
	}
	defer func() { _ = answers.Close() }()
	err = e.spawn(dir, writer)
	_ = writer.Close()
	if err != nil {
		return err
	}
	crashAt("start:after-spawn")
	return awaitReady(ctx, key, answers)
}

// spawn starts a shim in a session of its own, so that it outlives this process
// and its terminal.
func (e *Engine) spawn(dir gangDir, answers *os.File) error {
	log, err := os.OpenFile(dir.file(shimLogFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return storageFault(err, "opening the shim's log")
	}
	defer func() { _ = log.Close() }()
	args := append(append([]string{}, e.self[1:]...), "--dir", string(dir))
	cmd := exec.Command(e.self[0], args...)
	cmd.Dir, cmd.Env = "/", shimEnviron(os.Environ())
	cmd.Stdout, cmd.Stderr = answers, log
	cmd.SysProcAttr = ownSession()
	if err := cmd.Start(); err != nil {
		return fault.Wrap(fault.Transient, err, "starting a shim")
	}
	// The one goroutine that nobody waits for: it keeps an ended shim from
	// staying a zombie, and lives as long as the shim, which may be days.
	go func() { _ = cmd.Wait() }()
	return nil
}

// awaitReady reads what the shim says. A shim goes on when nobody reads it.
func awaitReady(ctx context.Context, key string, answers *os.File) error {
	cancel := context.AfterFunc(ctx, func() { _ = answers.SetReadDeadline(time.Now()) })
	defer cancel()
	line, err := bufio.NewReader(answers).ReadString('\n')
	line = strings.TrimSpace(line)
	switch {
	case line == shimReady || line == shimHeld:
		return nil
	case line != "":
		return fault.Newf(fault.Transient, "the shim of gang %s: %s", key, line)
	case ctx.Err() != nil:
		return fault.Wrap(fault.Transient, ctx.Err(), "waiting for the shim of gang "+key)
	case errors.Is(err, io.EOF):
		return fault.Newf(fault.Transient, "the shim of gang %s died before it was ready", key)
	}
	return fault.Wrap(fault.Transient, err, "waiting for the shim of gang "+key)
}

// say answers whoever started the shim, if they still listen.
func say(to io.Writer, line string) { _, _ = fmt.Fprintln(to, line) }

// shimEnviron is the environment that ranks inherit: this process's own, less
// every YARD_ variable, which are for yard (tokens among them) or are set anew
// for each gang.
func shimEnviron(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, "YARD_") || strings.HasPrefix(entry, ranks.CrashVariable+"=shim:") {
			kept = append(kept, entry)
		}
	}
	return kept
}
