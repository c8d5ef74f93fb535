package slurm

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/agent"
	"github.com/switchyard-ai/switchyard/internal/engine/whole"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// imagesDir keeps, below the shared directory, the images that Apptainer made
// of a registry's.
const imagesDir = "images"

// contained reports whether the gang's image is run; else the command runs as
// the nodes have it.
func (a accepted) contained() bool {
	return a.Gang.Image != "" && (a.Containers == site.Apptainer || a.Containers == site.Pyxis)
}

// checkImage refuses what the site's containers could never run.
func (e *Engine) checkImage(gang engine.Gang) error {
	kind := e.site.Slurm.Containers
	contained := accepted{Gang: gang, Containers: kind}.contained()
	for _, mount := range gang.Mounts {
		switch {
		case !contained && mount.From != mount.Path:
			return fault.Newf(fault.Invalid, "gang %s mounts %s as %s; on Slurm a directory is seen where the nodes have it, unless an image is run (slurm.containers)", gang.Key, mount.From, mount.Path)
		case !filepath.IsAbs(mount.From):
			return fault.Newf(fault.Invalid, "gang %s mounts %s; on Slurm a directory of the nodes is needed", gang.Key, mount.From)
		case contained && strings.ContainsAny(mount.From+mount.Path, ":, \t"):
			return fault.Newf(fault.Invalid, "gang %s mounts %s as %s; containers take no colon, comma or space in a path", gang.Key, mount.From, mount.Path)
		}
	}
	if contained && strings.ContainsAny(gang.Image, " \t\n'\"\\") {
		return fault.Newf(fault.Invalid, "gang %s: image %q is no name of an image", gang.Key, gang.Image)
	}
	return nil
}

// bind is a directory of the node that a container sees.
type bind struct {
	from, to string
	readOnly bool
}

func (b bind) String() string {
	if b.readOnly {
		return b.from + ":" + b.to + ":ro"
	}
	return b.from + ":" + b.to
}

// binds are what a container of the gang sees of the nodes: the shared directory,
// in which its checkpoints, logs and program are, and what it was given.
func (a accepted) binds(workDir string) []bind {
	list := []bind{{from: a.Shared, to: a.Shared}}
	add := func(dir string) {
		if dir != "" && !slices.ContainsFunc(list, func(b bind) bool { return within(dir, b.to) }) {
			list = append(list, bind{from: dir, to: dir})
		}
	}
	add(workDir)
	if a.Gang.CacheKey != "" {
		add(a.Caches)
	}
	if a.Containers == site.Pyxis { // the agent is in the container too
		if a.Gang.Checkpoint != nil {
			if dir, ok := strings.CutPrefix(a.Gang.Checkpoint.URL, "file://"); ok {
				add(filepath.Dir(dir)) // the run's own folder may not be there yet
			}
		}
		for _, file := range a.Secrets {
			add(filepath.Dir(filepath.Dir(file)))
		}
	}
	for _, mount := range a.Gang.Mounts {
		list = append(list, bind{mount.From, mount.Path, mount.ReadOnly})
	}
	return list
}

// within reports whether a path is a directory or below it.
func within(path, dir string) bool {
	below, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(below)
}

// apptainer is the command of a rank in a container. The environment of the
// rank is that of its container, which sets a PATH of its own.
func (a accepted) apptainer(program, image, workDir string) []string {
	words := []string{program, "exec", "--no-home"}
	switch chip.Family(a.Gang.Family) {
	case chip.CUDA:
		words = append(words, "--nv")
	case chip.ROCm:
		words = append(words, "--rocm")
	}
	for _, b := range a.binds(workDir) {
		words = append(words, "--bind", b.String())
	}
	return slices.Concat(words, []string{"--pwd", workDir, image}, a.Gang.Command)
}

// enter makes the ranks of a task run in their image, where Apptainer does that.
func (a accepted) enter(task *agent.Task) error {
	if !a.contained() || a.Containers != site.Apptainer {
		return nil
	}
	program, err := exec.LookPath("apptainer")
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "slurm.containers is apptainer, and the node has none")
	}
	env := map[string]string{}
	for name, value := range task.Gang.Env {
		if name == "PATH" || name == "LD_LIBRARY_PATH" { // of the container, not for the host's apptainer
			name = "APPTAINERENV_" + name
		}
		env[name] = value
	}
	task.Gang.Env = env
	task.Gang.Command = a.apptainer(program, a.localImage(), task.Gang.Dir)
	return nil
}

// localImage is the file or directory from which Apptainer runs the image.
func (a accepted) localImage() string {
	if filepath.IsAbs(a.Gang.Image) {
		return a.Gang.Image
	}
	sum := sha256.Sum256([]byte(a.Gang.Image))
	plain := strings.Map(func(r rune) rune {
		if strings.ContainsRune("/:@", r) {
			return '-'
		}
		return r
	}, a.Gang.Image[strings.LastIndex(a.Gang.Image, "/")+1:])
	return filepath.Join(a.Shared, imagesDir, plain+"-"+hex.EncodeToString(sum[:])[:12]+".sif")
}

// remoteImage is the image as Apptainer pulls it.
func (a accepted) remoteImage() string {
	if strings.Contains(a.Gang.Image, "://") {
		return a.Gang.Image
	}
	return "docker://" + a.Gang.Image
}

// fetchImage pulls the image of a gang into the shared directory, where it is
// not there: once for the cluster, not once for each rank. Who pulls at the same
// time pulls the same. A stop ends it.
func (a accepted) fetchImage(ctx context.Context, dir gangDir, signals <-chan os.Signal) error {
	path := a.localImage()
	if !a.contained() || a.Containers != site.Apptainer || whole.Exists(path) {
		return nil
	}
	if filepath.IsAbs(a.Gang.Image) {
		return fault.Newf(fault.Invalid, "image %s is not there", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	part := filepath.Join(filepath.Dir(path), ".pull-"+filepath.Base(string(dir))+".sif")
	defer func() { _ = os.Remove(part) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "apptainer", "pull", "--force", part, a.remoteImage())
	said := &lastLine{}
	cmd.Stdout, cmd.Stderr = os.Stdout, said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = callBound
	if err := cmd.Start(); err != nil {
		return fault.Wrap(fault.Invalid, err, "slurm.containers is apptainer, and the node has none")
	}
	over := make(chan error, 1)
	go func() { over <- cmd.Wait() }()
	tick := time.NewTicker(causeEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-over:
			if err != nil && dir.has(stopFile) {
				return nil // the agents see it, and begin nothing
			}
			if err != nil {
				return fault.Newf(fault.Transient, "pulling image %s: %s", a.Gang.Image, cmp.Or(said.text, err.Error()))
			}
			return os.Rename(part, path)
		case got := <-signals:
			if got == syscall.SIGTERM {
				a.told(dir)
				cancel()
			}
		case <-tick.C:
			if dir.has(stopFile) {
				cancel()
			}
		}
	}
}

// lastLine passes on what is written to the job's log, and keeps the last line.
type lastLine struct{ text string }

func (l *lastLine) Write(data []byte) (int, error) {
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" {
			l.text = line
		}
	}
	return os.Stderr.Write(data)
}

// pyxisArgs are the options of srun by which pyxis runs the agent, and with it
// the ranks, in the image.
func (a accepted) pyxisArgs(workDir string) []string {
	if !a.contained() || a.Containers != site.Pyxis {
		return nil
	}
	var mounts []string
	for _, b := range a.binds(workDir) {
		mounts = append(mounts, b.String())
	}
	return []string{"--container-image=" + enrootName(a.Gang.Image), "--container-mounts=" + strings.Join(mounts, ","), "--no-container-mount-home"}
}

// enrootName is an image as enroot has it: the registry ends with "#". A file of
// the nodes is named by its path.
func enrootName(image string) string {
	image = strings.TrimPrefix(image, "docker://")
	host, rest, found := strings.Cut(image, "/")
	if !found || host == "" || (!strings.ContainsAny(host, ".:") && host != "localhost") {
		return image
	}
	return fmt.Sprintf("%s#%s", host, rest)
}

// workDir is the directory of whoever submitted the run, where this node has it.
func (a accepted) workDir() string {
	if info, err := os.Stat(a.Gang.Dir); a.Gang.Dir != "" && err == nil && info.IsDir() {
		return a.Gang.Dir
	}
	return ""
}
