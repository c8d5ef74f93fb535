package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// TaskVariable holds the task, as JSON, where no file does.
const TaskVariable = "YARD_TASK"

// Load reads the task from the file, or from the environment where path is "".
func Load(path string) (Task, error) {
	var task Task
	data, from := []byte(os.Getenv(TaskVariable)), TaskVariable
	if path != "" {
		from = path
		var err error
		if data, err = os.ReadFile(path); err != nil {
			return task, fault.Wrap(fault.Invalid, err, "reading the task")
		}
	}
	if len(data) == 0 {
		return task, fault.Newf(fault.Invalid, "no task: give its file, or set %s", TaskVariable)
	}
	if err := json.Unmarshal(data, &task); err != nil {
		return task, fault.Wrap(fault.Invalid, err, "the task in "+from)
	}
	if len(task.Gang.Command) == 0 {
		return task, fault.Newf(fault.Invalid, "the task in %s has no command", from)
	}
	return task, nil
}

// Node is the number of this node in its gang, as Kubernetes (an Indexed Job) or
// Slurm tells it; 0 where neither does.
func Node() (int, error) {
	for _, name := range []string{"JOB_COMPLETION_INDEX", "SLURM_NODEID"} {
		if value := os.Getenv(name); value != "" {
			node, err := strconv.Atoi(value)
			if err != nil {
				return 0, fault.Newf(fault.Invalid, "%s is %q; want the number of the node", name, value)
			}
			return node, nil
		}
	}
	return 0, nil
}

// CopySelf copies the program that runs to a path, so that other containers of
// a pod have it, whatever is in their image. A path that ends with a separator,
// or is a folder, gets a file named yard.
func CopySelf(to string) error {
	self, err := os.Executable()
	if err != nil {
		return fault.Wrap(fault.Internal, err, "finding this program")
	}
	if info, err := os.Stat(to); (err == nil && info.IsDir()) || os.IsPathSeparator(to[len(to)-1]) {
		to = filepath.Join(to, "yard")
	}
	return fault.Wrap(fault.Transient, copyFile(self, to), "copying this program")
}

// copyFile makes the copy whole or not at all, and lets everyone run it.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	temp := fmt.Sprintf("%s.%d", to, os.Getpid())
	out, err := os.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(0o755), out.Close()); err == nil {
		err = os.Rename(temp, to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}
