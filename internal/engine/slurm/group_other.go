//go:build !unix

package slurm

import "syscall"

func ownGroup() *syscall.SysProcAttr { return nil }
