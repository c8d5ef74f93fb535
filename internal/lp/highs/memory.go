package highs

import "github.com/tetratelabs/wazero/experimental"

// ceiling bounds the memory of an instance, in bytes. A program of the size of
// a large lab's takes a tenth of it.
const ceiling = maxPages << 16

// reserve makes the memory of one instance: address space for all that it may
// grow to, of which the system provides the pages that are touched, given back
// as soon as the instance closes. Memory of Go's heap would be held until some
// later collection, and be cleared in full each time it is used again.
func reserve(_, limit uint64) experimental.LinearMemory {
	if memory, ok := mapped(min(limit, ceiling)); ok {
		return memory
	}
	return &heapMemory{}
}

// heapMemory is where no address space can be had: a slice that grows by copying.
type heapMemory struct{ bytes []byte }

// Reallocate implements experimental.LinearMemory.
func (m *heapMemory) Reallocate(size uint64) []byte {
	if size > ceiling {
		return nil
	}
	if size > uint64(cap(m.bytes)) {
		grown := make([]byte, size)
		copy(grown, m.bytes)
		m.bytes = grown
	}
	m.bytes = m.bytes[:size]
	return m.bytes
}

// Free implements experimental.LinearMemory.
func (m *heapMemory) Free() { m.bytes = nil }
