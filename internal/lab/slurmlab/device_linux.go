package slurmlab

import "syscall"

// makeDevice makes a character device.
func makeDevice(path string, major, minor int) error {
	return syscall.Mknod(path, syscall.S_IFCHR|0o600, major<<8|minor)
}

// withParent lets a daemon die with the thread that started it.
func withParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// asUser is withParent, for a daemon that runs as another user.
func asUser(id uint32) *syscall.SysProcAttr {
	attributes := withParent()
	attributes.Credential = &syscall.Credential{Uid: id, Gid: id}
	return attributes
}
