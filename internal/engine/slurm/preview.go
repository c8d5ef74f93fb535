package slurm

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// tester is a controller that can say whether Slurm takes a script with its
// options. slurmrestd cannot.
type tester interface {
	test(ctx context.Context, script string) error
}

// Preview implements engine.Previewer: the batch script of a gang, after
// sbatch --test-only has taken this very text. What yard does within the job
// stands below it, as comments.
func (e *Engine) Preview(ctx context.Context, gang engine.Gang) (string, bool, error) {
	if err := e.check(gang); err != nil {
		return "", false, err
	}
	program, err := programPath(e.self[0], filepath.Join(e.shared(), "bin"))
	if err != nil {
		return "", false, storageFault(err, "reading yard's own program")
	}
	dir := e.gangDir(gang.Key)
	a := e.accepted(gang, dir, program)
	o := e.order(dir, a)
	head, body, _ := strings.Cut(o.script, "\n")
	var text strings.Builder
	text.WriteString(head + "\n")
	for _, arg := range o.args() {
		if name, value, found := strings.Cut(arg, "="); found && strings.ContainsAny(value, " '") {
			arg = name + "=" + quote(value)
		}
		text.WriteString("#SBATCH " + arg + "\n")
	}
	text.WriteString(body)
	a.within(&text, dir)
	slurm, ok := e.slurm.(tester)
	if !ok {
		return text.String(), false, nil
	}
	err = slurm.test(ctx, text.String())
	return text.String(), err == nil, err
}

// within tells what the batch script starts.
func (a accepted) within(text *strings.Builder, dir gangDir) {
	workDir := a.Gang.Dir
	if workDir == "" {
		workDir = filepath.Join(dir.node(0), "scratch")
	}
	command := a.Gang.Command
	if a.contained() && a.Containers == site.Apptainer {
		command = a.apptainer("apptainer", a.localImage(), workDir)
		if !filepath.IsAbs(a.Gang.Image) {
			line(text, "once, where it is not there:", []string{"apptainer", "pull", a.localImage(), a.remoteImage()})
		}
	}
	line(text, "on each node:", append([]string{"srun"}, a.stepArgs(dir, a.Gang.Dir)...))
	line(text, "each rank:", command)
}

// line adds a comment with a command, on one line whatever is in it.
func line(text *strings.Builder, what string, words []string) {
	quoted := make([]string, len(words))
	for i, word := range words {
		if quoted[i] = word; word == "" || strings.ContainsAny(word, " '\"$&|;<>()\n\t*") {
			quoted[i] = quote(word)
		}
	}
	text.WriteString("# " + what + " " + strings.ReplaceAll(strings.Join(quoted, " "), "\n", `\n`) + "\n")
}
