//go:build !unix

package slurm

import (
	"os/exec"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return nil }

func whollyKilled(*exec.Cmd) {}
