//go:build unix

package highs

import (
	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// mappedMemory is address space of the system.
type mappedMemory struct{ bytes []byte }

func mapped(limit uint64) (experimental.LinearMemory, bool) {
	bytes, err := unix.Mmap(-1, 0, int(limit), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, false
	}
	return &mappedMemory{bytes}, true
}

// Reallocate implements experimental.LinearMemory; the address never changes.
func (m *mappedMemory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.bytes)) {
		return nil
	}
	return m.bytes[:size]
}

// Free implements experimental.LinearMemory.
func (m *mappedMemory) Free() {
	_ = unix.Munmap(m.bytes) // it fails only for what is not mapped
	m.bytes = nil
}
