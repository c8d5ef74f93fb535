package ranks

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup makes a rank the leader of a process group that dies with the thread
// that started it, which its keeper holds for its life.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit returns when the process has ended, leaving it to be reaped, so
// that its id and group cannot be given to another in the meantime.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// processBirth is the start time of a process in clock ticks since boot, "" if
// there is none: field 22 of proc_pid_stat(5), counted from the name's end
// because names may hold spaces.
func processBirth(pid int) string {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// BootID tells this boot of the machine from others.
func BootID() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
}

// strays are the processes whose environment has the entry: those of a gang,
// wherever they went. Since they are about to be killed, a process counts only
// where its whole environment was read and the entry stands in it exactly.
func strays(entry string) []int {
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || pid <= 1 || pid == os.Getpid() {
			continue
		}
		if environ, err := os.ReadFile(file); err == nil && hasEntry(environ, entry) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// hasEntry reports whether an environment, as /proc shows it, has the entry.
func hasEntry(environ []byte, entry string) bool {
	return entry != "" && slices.Contains(strings.Split(string(environ), "\x00"), entry)
}

// memoryKills counts the processes that the kernel has killed for want of memory.
func memoryKills() int64 {
	data, _ := os.ReadFile("/proc/vmstat")
	for line := range strings.Lines(string(data)) {
		if count, found := strings.CutPrefix(line, "oom_kill "); found {
			n, _ := strconv.ParseInt(strings.TrimSpace(count), 10, 64)
			return n
		}
	}
	return 0
}

// reap takes the end of those children of this process that are not known,
// processes that outlived a rank and were given to the first process of a
// container: without it they would stay, ended, until there is no room for more.
func reap(known func(pid int) bool) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	parent := strconv.Itoa(os.Getpid())
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		data, readErr := os.ReadFile(file)
		if err != nil || readErr != nil || known(pid) {
			continue
		}
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if len(fields) > 1 && fields[0] == "Z" && fields[1] == parent {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
}
