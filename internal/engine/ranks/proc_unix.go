//go:build linux || darwin

package ranks

import "syscall"

// signalGroup signals every process of the group; that none is left is no fault.
func signalGroup(pgid int, signal syscall.Signal) { _ = syscall.Kill(-pgid, signal) }
