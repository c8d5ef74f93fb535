//go:build !linux && !darwin

package ranks

import "syscall"

// Other systems lack process groups that outlive their starter: nothing here
// runs ranks on them.

func ownGroup() *syscall.SysProcAttr { return nil }

func signalGroup(int, syscall.Signal) {}

func awaitExit(int) {}

func processBirth(int) string { return "" }

// BootID tells this boot of the machine from others.
func BootID() string { return "" }

func strays(string) []int { return nil }

func memoryKills() int64 { return 0 }

func reap(func(pid int) bool) {}
