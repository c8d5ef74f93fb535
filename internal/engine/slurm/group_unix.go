//go:build unix

package slurm

import "syscall"

// ownGroup keeps signals to this process's group from a child.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
