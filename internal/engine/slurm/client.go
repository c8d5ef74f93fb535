package slurm

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// callBound is how long one of Slurm's commands may take: a client of a
// controller that is away waits for minutes by itself.
const callBound = 30 * time.Second

const (
	// outputBound is how much of an answer is read: some 500 bytes for each of
	// 100,000 jobs.
	outputBound = 64 << 20
	// complaintBound is how much is read of what a command complains of.
	complaintBound = 64 << 10
)

// Runner runs one of Slurm's commands with the input, and returns its two outputs.
type Runner func(ctx context.Context, input, name string, args ...string) (out, errs string, err error)

// System runs Slurm's commands of this machine, from the directory bin (as on
// PATH where it is ""), with the configuration (as installed where it is ""). The
// environment is this process's own; see jobEnviron.
func System(bin, config string) Runner {
	environ := jobEnviron(os.Environ())
	if config != "" {
		environ = append(environ, "SLURM_CONF="+config)
	}
	environ = append(environ, "SLURM_TIME_FORMAT=%s")
	return func(ctx context.Context, input, name string, args ...string) (string, string, error) {
		cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
		cmd.Env = environ
		cmd.Stdin = strings.NewReader(input)
		cmd.WaitDelay = time.Second
		out, errs := &clipped{most: outputBound}, &clipped{most: complaintBound}
		cmd.Stdout, cmd.Stderr = out, errs
		whollyKilled(cmd) // a site may have wrappers around Slurm's commands
		err := cmd.Run()
		if out.cut {
			err = fault.Newf(fault.Transient, "more than %d MiB were answered", outputBound>>20)
		}
		return out.String(), errs.String(), err
	}
}

// clipped keeps the first bytes of what is written to it.
type clipped struct {
	kept bytes.Buffer // not embedded: it would be read into, past Write
	most int
	cut  bool
}

func (c *clipped) Write(data []byte) (int, error) {
	room := min(c.most-c.kept.Len(), len(data))
	c.cut = c.cut || room < len(data)
	c.kept.Write(data[:room])
	return len(data), nil
}

func (c *clipped) String() string { return c.kept.String() }

// jobEnviron is the environment that a job gets from whoever submits it, less
// what is yard's own and what a job around yard has set.
func jobEnviron(environ []string) []string {
	kept := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return (strings.HasPrefix(name, "SLURM") && name != "SLURM_CONF" && name != "SLURM_CLUSTERS") ||
			strings.HasPrefix(name, "SBATCH_") || (strings.HasPrefix(name, "YARD_") && !strings.HasPrefix(entry, ranks.CrashVariable+"=batch:"))
	})
	return kept
}

// client is Slurm's commands, each call bounded. See controller.
type client struct {
	run   Runner
	bound time.Duration
}

// call returns what the command wrote, or a typed failure.
func (c client) call(ctx context.Context, input, name string, args ...string) (string, error) {
	bounded, cancel := context.WithTimeout(ctx, c.bound)
	defer cancel()
	out, errs, err := c.run(bounded, input, name, args...)
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return "", fault.Wrap(fault.Transient, ctx.Err(), name)
	case bounded.Err() != nil:
		return "", fault.Newf(fault.Transient, "%s did not answer in %v", name, c.bound)
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist):
		return "", fault.Wrap(fault.Transient, err, "Slurm's "+name+" is not there")
	case fault.Is(err, fault.Transient):
		return "", fault.Wrap(fault.Transient, err, name)
	}
	said := plain(errs)
	if said == "" {
		said = err.Error()
	}
	return "", fault.Newf(kindOf(said), "%s: %s", name, said)
}

// plain is what a command complained of, on one line and without its own name.
func plain(errs string) string {
	var said []string
	for line := range strings.Lines(errs) {
		line = strings.TrimSpace(line)
		for _, mark := range []string{"error: ", "fatal: "} {
			if _, rest, found := strings.Cut(line, mark); found {
				line = rest
			}
		}
		if line != "" && !slices.Contains(said, line) {
			said = append(said, line)
		}
	}
	return strings.Join(said, "; ")
}

// kindOf classifies what Slurm's commands say (slurm_errno.c of Slurm 22.05 and
// 24.11 has the texts).
func kindOf(said string) fault.Kind {
	for _, kind := range []struct {
		kind  fault.Kind
		texts []string
	}{
		{fault.Quota, []string{
			"accounting/QOS policy", "MaxSubmitJob", "MaxJobs", "AssocMax", "AssocGrp", "QOSMax", "QOSGrp", "QOSMin", "Job array limit", "max job count",
		}},
		{fault.Transient, []string{
			"Unable to contact", "Unable to connect", "timed out", "Connection refused", "Connection reset", "Zero Bytes were transmitted", "standby mode",
			"temporarily unable", "temporarily unavailable", "Communication connection failure", "Transport endpoint", "No route to host", "Protocol authentication error",
			"Munge", "munge", "Invalid authentication credential", "Please try again",
		}},
	} {
		if slices.ContainsFunc(kind.texts, func(text string) bool { return strings.Contains(said, text) }) {
			return kind.kind
		}
	}
	return fault.Invalid
}
