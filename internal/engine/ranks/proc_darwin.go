package ranks

import (
	"errors"
	"strconv"
	"syscall"

	"github.com/shirou/gopsutil/v4/process"
	"golang.org/x/sys/unix"
)

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitExit returns when the process has ended, leaving it to be reaped, so
// that its id and group cannot be given to another in the meantime. (waitid
// would do, but on this system it also returns for a process that is stopped.)
func awaitExit(pid int) {
	queue, err := unix.Kqueue()
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(queue) }()
	var exit unix.Kevent_t
	unix.SetKevent(&exit, pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	exit.Fflags = unix.NOTE_EXIT
	for {
		_, err := unix.Kevent(queue, []unix.Kevent_t{exit}, make([]unix.Kevent_t, 1), nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// processBirth is the start time of a process in milliseconds, "" if there is none.
func processBirth(pid int) string {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return ""
	}
	born, err := p.CreateTime()
	if err != nil {
		return ""
	}
	return strconv.FormatInt(born, 10)
}

// BootID tells this boot of the machine from others; here a birth in wall-clock time is enough.
func BootID() string { return "" }

func strays(string) []int { return nil } // environments of others cannot be read

func memoryKills() int64 { return 0 }

func reap(func(pid int) bool) {}
