package ranks

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine/whole"
)

// StopFile is the file of a keeper's folder by which it is asked to stop.
const StopFile = "stop.json"

// strayPatience is how long a keeper waits for killed processes to be gone: one
// within a system call of a broken device may never be.
const strayPatience = 5 * time.Second

// Stop asks a keeper to end its ranks: SIGTERM at once, SIGKILL after the grace,
// which a later Stop may shorten.
type Stop struct {
	Grace time.Duration `json:"grace"`
	Dump  bool          `json:"dump,omitempty"` // SIGABRT first, so that they write their stacks
}

// ReadStop tells whether a stop is asked in the file.
func ReadStop(path string) (Stop, bool) {
	var stop Stop
	found, err := whole.ReadJSON(path, &stop)
	return stop, found && err == nil
}

// RequestStop asks the keeper of the folder to stop.
func RequestStop(dir string, grace time.Duration) error {
	return Stop{Grace: grace}.Request(dir)
}

// Request asks the keeper of the folder for this stop.
func (s Stop) Request(dir string) error {
	s.Grace = max(s.Grace, 0)
	return whole.WriteJSON(filepath.Join(dir, StopFile), s, whole.Durable)
}

// KillStrays kills what left its rank's process group and outlived it, and
// returns how many processes that were: all that have the entry ("NAME=value")
// in their environment.
func KillStrays(entry string) int {
	killed := map[int]bool{}
	for deadline := time.Now().Add(strayPatience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		pids := strays(entry)
		if len(pids) == 0 {
			break
		}
		for _, pid := range pids {
			if process, err := os.FindProcess(pid); err == nil && process.Kill() == nil {
				killed[pid] = true
			}
		}
	}
	return len(killed)
}

// Process tells a rank from a later process with the same number.
type Process struct {
	Rank  int    `json:"rank"`
	PID   int    `json:"pid"` // of its process group too
	Birth string `json:"birth"`
}

// Identify describes a rank that runs.
func Identify(rank, pid int) Process {
	return Process{Rank: rank, PID: pid, Birth: processBirth(pid)}
}

// Kill kills the group of the rank where it is still the process that was
// started, and reports whether it was.
func (p Process) Kill() bool {
	if p.PID <= 1 || p.Birth == "" || processBirth(p.PID) != p.Birth {
		return false
	}
	signalGroup(p.PID, syscall.SIGKILL)
	return true
}

// Reap takes the end of processes that outlived their rank and became this
// process's own, as they do where it is the first of a container. It is called
// by the goroutine that started the group.
func Reap(g *Group) {
	if os.Getpid() != 1 {
		return
	}
	reap(func(pid int) bool {
		return slices.ContainsFunc(g.ranks, func(r *rank) bool { return r.cmd.Process.Pid == pid })
	})
}
