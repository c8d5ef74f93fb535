//go:build linux

package slurm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/engine/slurm"
	"github.com/switchyard-ai/switchyard/internal/lab/slurmlab"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// apptainerStandIn does of Apptainer what the engine asks for, as its manual has
// it: pull makes an image (here the folder IMAGES/NAME), exec runs a command
// with the image as root, binds and a working directory. Debian has no Apptainer.
const apptainerStandIn = `#!/bin/sh
echo "$*" >>"$STANDIN_CALLS"
verb=$1; shift
if [ "$verb" = pull ]; then
	image=$STANDIN_IMAGES/${3#docker://registry.test/}
	[ -d "$image" ] || { echo "FATAL: manifest unknown" >&2; exit 255; }
	exec cp -r "$image" "$2"
fi
binds= pwd=/
while :; do
	case $1 in
	--bind) binds="$binds $2"; shift 2 ;;
	--pwd) pwd=$2; shift 2 ;;
	--no-home | --nv) shift ;;
	-*) echo "FATAL: unknown option $1" >&2; exit 255 ;;
	*) break ;;
	esac
done
export STANDIN_ROOT="$1" STANDIN_BINDS="$binds" STANDIN_PWD="$pwd" PATH="$PATH:/usr/sbin:/sbin"
shift
exec unshare --mount --propagation private sh -c '
	for bind in $STANDIN_BINDS; do
		from=${bind%%:*}; rest=${bind#*:}; to=${rest%%:*}
		mkdir -p "$STANDIN_ROOT$to" && mount --bind "$from" "$STANDIN_ROOT$to" || exit 255
		case $rest in *:ro) mount -o remount,bind,ro "$STANDIN_ROOT$to" || exit 255 ;; esac
	done
	exec chroot "$STANDIN_ROOT" /bin/sh -c "cd \"\$STANDIN_PWD\"; export PATH=\"\${APPTAINERENV_PATH:-/usr/bin:/bin}\"; exec \"\$@\"" sh "$@"' sh "$@"
`

// standIn puts a program before all others on PATH.
func standIn(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// toolsImage makes the image registry.test/tools:1: busybox and a file.
func toolsImage(t *testing.T, images string) {
	t.Helper()
	bin := filepath.Join(images, "tools:1", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "cp", "/bin/busybox", bin).CombinedOutput(); err != nil {
		t.Fatalf("package busybox-static is needed: %v: %s", err, out)
	}
	for _, applet := range []string{"sh", "cat", "echo", "ls", "pwd", "sleep"} {
		if err := os.Symlink("busybox", filepath.Join(bin, applet)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(images, "tools:1", "mark"), []byte("from the image\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func contained(lab *slurmlab.Lab, dir string, containers site.Containers) *slurm.Engine {
	return openWith(lab, dir, func(s *site.Site) { s.Slurm.Containers = containers })
}

// Ranks run in their image, which is pulled once, and see what they were given.
func TestApptainer(t *testing.T) {
	lab := lab(t)
	dir, images, data := sharedDir(t), t.TempDir(), t.TempDir()
	calls := filepath.Join(t.TempDir(), "calls")
	t.Setenv("STANDIN_IMAGES", images)
	t.Setenv("STANDIN_CALLS", calls)
	standIn(t, "apptainer", apptainerStandIn)
	toolsImage(t, images)
	if err := os.WriteFile(filepath.Join(data, "file"), []byte("from the mount\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	e := contained(lab, dir, site.Apptainer)
	gang := wide("boxed", 2, 2, `cat /mark /data/file; echo "$RANK of $WORLD_SIZE $OWN $PATH"; ls /usr/lib/os-release; echo x >/data/new || echo read-only; echo "$RANK" >"$YARD_CHECKPOINT_DIR/step-$RANK"; [ "$(pwd)" = "$YARD_SCRATCH" ] && echo in its scratch`)
	gang.Image, gang.Pool, gang.Family = "registry.test/tools:1", "h100", "cuda"
	gang.Env = map[string]string{"OWN": "own", "PATH": "/opt/own:/bin"}
	gang.Mounts = []engine.Mount{{Path: "/data", From: data, ReadOnly: true}}
	for _, key := range []string{"boxed-1", "boxed-2"} {
		gang.Key = key
		enginetest.Start(t, e, gang)
		if status := enginetest.Await(t, e, key, engine.Exited); status.ExitCode != 0 {
			t.Fatalf("%s: %+v", key, status)
		}
	}
	log, _ := enginetest.ReadLog(t, e, "boxed-2", 3, 0)
	for _, want := range []string{"from the image\n", "from the mount\n", "3 of 4 own /opt/own:/bin\n", "No such file", "read-only\n", "in its scratch\n"} {
		if !strings.Contains(log, want) {
			t.Errorf("log %q; want %q in it", log, want)
		}
	}
	if saved, err := os.ReadFile(filepath.Join(dir, "checkpoints", gang.Run, "step-3")); err != nil || string(saved) != "3\n" {
		t.Errorf("checkpoint %q, %v", saved, err)
	}
	said, err := os.ReadFile(calls)
	if err != nil || strings.Count(string(said), "pull ") != 1 || !strings.Contains(string(said), "exec --no-home --nv --bind ") {
		t.Errorf("calls, %v\n%s\nwant one pull, and the GPUs of the node", err, said)
	}
}

// An image that cannot be pulled ends the gang with what Apptainer said, and a
// stop reaches ranks within.
func TestApptainerFails(t *testing.T) {
	lab := lab(t)
	images := t.TempDir()
	t.Setenv("STANDIN_IMAGES", images)
	t.Setenv("STANDIN_CALLS", os.DevNull)
	standIn(t, "apptainer", apptainerStandIn)
	toolsImage(t, images)
	e := contained(lab, sharedDir(t), site.Apptainer)
	gang := wide("absent", 2, 1, "echo never")
	gang.Image = "registry.test/absent:1"
	enginetest.Start(t, e, gang)
	if status := enginetest.Await(t, e, "absent", engine.Exited); status.ExitCode == 0 || !strings.Contains(status.Reason, "pulling image registry.test/absent:1: FATAL: manifest unknown") {
		t.Errorf("status %+v; want what apptainer said", status)
	}
	gang = wide("stopped", 2, 1, `trap 'echo leaves; exit 143' TERM; echo ready; while :; do sleep 0.1; done`)
	gang.Image = "registry.test/tools:1"
	enginetest.Start(t, e, gang)
	enginetest.AwaitLog(t, e, "stopped", 1, "ready")
	if err := e.Stop(t.Context(), "stopped", 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if status := enginetest.Await(t, e, "stopped", engine.Exited); !status.Stopped {
		t.Errorf("status %+v; want it stopped", status)
	}
	enginetest.AwaitLog(t, e, "stopped", 1, "leaves")
}

// srunStandIn takes what pyxis would from srun's options, and runs the rest
// without a container.
const srunStandIn = `#!/bin/sh
for word; do
	shift
	case $word in
	--container-* | --no-container-*) echo "$word" >>"$STANDIN_CALLS" ;;
	*) set -- "$@" "$word" ;;
	esac
done
PATH=${PATH#*:} exec srun "$@"
`

// The agent of each node is started in the image, with the directories that it
// and its ranks need. Pyxis itself is not here.
func TestPyxis(t *testing.T) {
	lab := lab(t)
	dir, calls := sharedDir(t), filepath.Join(t.TempDir(), "calls")
	t.Setenv("STANDIN_CALLS", calls)
	standIn(t, "srun", srunStandIn)
	e := contained(lab, dir, site.Pyxis)
	gang := wide("boxed", 2, 1, "echo in")
	gang.Image = "registry.test/team/tools:1"
	gang.Mounts = []engine.Mount{{Path: "/data", From: "/srv/data", ReadOnly: true}}
	enginetest.Start(t, e, gang)
	if status := enginetest.Await(t, e, "boxed", engine.Exited); status.ExitCode != 0 {
		t.Fatalf("status %+v", status)
	}
	want := "--container-image=registry.test#team/tools:1\n--container-mounts=" + dir + ":" + dir + ",/srv/data:/data:ro\n--no-container-mount-home\n"
	if said, err := os.ReadFile(calls); err != nil || string(said) != want {
		t.Errorf("options %q, %v; want %q", said, err, want)
	}
}

// A preview shows what is run where, and Slurm takes its script.
func TestPreview(t *testing.T) {
	lab := lab(t)
	dir := sharedDir(t)
	gang := wide("look", 2, 1, "echo 'a b'")
	gang.Image, gang.Pool, gang.Family = "ghcr.io/example/train:1", "h100", "cuda"
	for containers, wants := range map[site.Containers][]string{
		site.NoContainers: {"# each rank: sh -c 'echo '\\''a b'\\'''\n"},
		site.Apptainer:    {"# once, where it is not there: apptainer pull " + dir + "/images/train-1-", "# each rank: apptainer exec --no-home --nv --bind " + dir + ":" + dir},
		site.Pyxis:        {"# on each node: srun --nodes=2", " --container-image=ghcr.io#example/train:1 "},
	} {
		e := contained(lab, dir, containers)
		text, checked, err := e.Preview(t.Context(), gang)
		if err != nil || !checked {
			t.Errorf("%s: %v\n%s", containers, err, text)
		}
		for _, want := range append(wants, "#!/bin/sh\n#SBATCH --parsable\n#SBATCH --job-name=look\n", "\n#SBATCH --gres=gpu:h100:8\n", "\nexec '"+dir+"/bin/yard-") {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the script lacks %q\n%s", containers, want, text)
			}
		}
		if keys, err := e.List(t.Context()); err != nil || len(keys) > 0 {
			t.Errorf("a preview left %v, %v", keys, err)
		}
	}
	gang.Pool = "cpu"
	gang.Memory = 1 << 50
	if text, _, err := contained(lab, dir, site.NoContainers).Preview(t.Context(), gang); err == nil || !strings.Contains(text, "--mem=") {
		t.Errorf("a gang that no node holds: %v\n%s; want Slurm's refusal with the script", err, text)
	}
}
