//go:build !linux

package slurmlab

import (
	"errors"
	"syscall"
)

func makeDevice(string, int, int) error { return errors.ErrUnsupported }

func withParent() *syscall.SysProcAttr { return nil }

func asUser(uint32) *syscall.SysProcAttr { return nil }
