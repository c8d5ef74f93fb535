//go:build goexperiment.simd && amd64

package matmul

import (
	"simd/archsimd"
	"unsafe"
)

// rowBytes is the size of one row of a panel.
const rowBytes = panel * 4

func vectorEngine() *Engine {
	switch {
	case archsimd.X86.AVX512():
		return &Engine{name: "avx512", tile: tile512, row: row512}
	case archsimd.X86.AVX2() && archsimd.X86.FMA():
		return avx2Engine()
	}
	return nil
}

func avx2Engine() *Engine { return &Engine{name: "avx2", tile: tile256, row: row256} }

// half is the size in bytes of the half panel that one 256-bit tile covers.
const half = rowBytes / 2

// tile256 does a panel in two halves: sixteen registers hold no more.
func tile256(c, a, b unsafe.Pointer, k int, rs, cs, ldc uintptr, add bool) {
	half256(c, a, b, k, rs, cs, ldc, add)
	half256(unsafe.Add(c, half), a, unsafe.Add(b, half), k, rs, cs, ldc, add)
}

func row256(c, a, b unsafe.Pointer, k int, rs, cs, ldc uintptr, add bool) {
	halfRow256(c, a, b, k, rs, cs, ldc, add)
	halfRow256(unsafe.Add(c, half), a, unsafe.Add(b, half), k, rs, cs, ldc, add)
}

// The tiles below hold their sums in registers over the whole depth. They are written out because a vector in an array
// or behind a pointer is not kept in a register; the depth is unrolled by two to halve the moves that the loop costs. They
// end by clearing the upper halves of the registers, which slow Go's scalar code down.

func tile512(c, a, b unsafe.Pointer, k int, rs, cs, ldc uintptr, add bool) {
	var c00, c01, c10, c11, c20, c21, c30, c31 archsimd.Float32x16
	if add {
		c00, c01 = archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(c, 0))), archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(c, 64)))
		c10, c11 = archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(c, ldc))), archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(c, ldc+64)))
		c20, c21 = archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(c, 2*ldc))), archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(c, 2*ldc+64)))
		c30, c31 = archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(c, 3*ldc))), archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(c, 3*ldc+64)))
	}
	a1 := unsafe.Add(a, rs)
	a2 := unsafe.Add(a, 2*rs)
	a3 := unsafe.Add(a, 3*rs)
	for ; k >= 2; k -= 2 {
		b0, b1 := archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(b, 0))), archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(b, 64)))
		v := archsimd.LoadFloat32x4((*[4]float32)(a)).Broadcast1To16()
		c00, c01 = b0.MulAdd(v, c00), b1.MulAdd(v, c01)
		v = archsimd.LoadFloat32x4((*[4]float32)(a1)).Broadcast1To16()
		c10, c11 = b0.MulAdd(v, c10), b1.MulAdd(v, c11)
		v = archsimd.LoadFloat32x4((*[4]float32)(a2)).Broadcast1To16()
		c20, c21 = b0.MulAdd(v, c20), b1.MulAdd(v, c21)
		v = archsimd.LoadFloat32x4((*[4]float32)(a3)).Broadcast1To16()
		c30, c31 = b0.MulAdd(v, c30), b1.MulAdd(v, c31)
		b0, b1 = archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(b, 128))), archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(b, 192)))
		v = archsimd.LoadFloat32x4((*[4]float32)(unsafe.Add(a, cs))).Broadcast1To16()
		c00, c01 = b0.MulAdd(v, c00), b1.MulAdd(v, c01)
		v = archsimd.LoadFloat32x4((*[4]float32)(unsafe.Add(a1, cs))).Broadcast1To16()
		c10, c11 = b0.MulAdd(v, c10), b1.MulAdd(v, c11)
		v = archsimd.LoadFloat32x4((*[4]float32)(unsafe.Add(a2, cs))).Broadcast1To16()
		c20, c21 = b0.MulAdd(v, c20), b1.MulAdd(v, c21)
		v = archsimd.LoadFloat32x4((*[4]float32)(unsafe.Add(a3, cs))).Broadcast1To16()
		c30, c31 = b0.MulAdd(v, c30), b1.MulAdd(v, c31)
		b = unsafe.Add(b, 2*rowBytes)
		a = unsafe.Add(a, 2*cs)
		a1 = unsafe.Add(a1, 2*cs)
		a2 = unsafe.Add(a2, 2*cs)
		a3 = unsafe.Add(a3, 2*cs)
	}
	if k == 1 {
		b0, b1 := archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(b, 0))), archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(b, 64)))
		v := archsimd.LoadFloat32x4((*[4]float32)(a)).Broadcast1To16()
		c00, c01 = b0.MulAdd(v, c00), b1.MulAdd(v, c01)
		v = archsimd.LoadFloat32x4((*[4]float32)(a1)).Broadcast1To16()
		c10, c11 = b0.MulAdd(v, c10), b1.MulAdd(v, c11)
		v = archsimd.LoadFloat32x4((*[4]float32)(a2)).Broadcast1To16()
		c20, c21 = b0.MulAdd(v, c20), b1.MulAdd(v, c21)
		v = archsimd.LoadFloat32x4((*[4]float32)(a3)).Broadcast1To16()
		c30, c31 = b0.MulAdd(v, c30), b1.MulAdd(v, c31)
	}
	c00.Store((*[16]float32)(unsafe.Add(c, 0)))
	c01.Store((*[16]float32)(unsafe.Add(c, 64)))
	c10.Store((*[16]float32)(unsafe.Add(c, ldc)))
	c11.Store((*[16]float32)(unsafe.Add(c, ldc+64)))
	c20.Store((*[16]float32)(unsafe.Add(c, 2*ldc)))
	c21.Store((*[16]float32)(unsafe.Add(c, 2*ldc+64)))
	c30.Store((*[16]float32)(unsafe.Add(c, 3*ldc)))
	c31.Store((*[16]float32)(unsafe.Add(c, 3*ldc+64)))
	archsimd.ClearAVXUpperBits()
}

func row512(c, a, b unsafe.Pointer, k int, rs, cs, ldc uintptr, add bool) {
	var c00, c01 archsimd.Float32x16
	if add {
		c00, c01 = archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(c, 0))), archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(c, 64)))
	}
	for ; k >= 2; k -= 2 {
		b0, b1 := archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(b, 0))), archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(b, 64)))
		v := archsimd.LoadFloat32x4((*[4]float32)(a)).Broadcast1To16()
		c00, c01 = b0.MulAdd(v, c00), b1.MulAdd(v, c01)
		b0, b1 = archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(b, 128))), archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(b, 192)))
		v = archsimd.LoadFloat32x4((*[4]float32)(unsafe.Add(a, cs))).Broadcast1To16()
		c00, c01 = b0.MulAdd(v, c00), b1.MulAdd(v, c01)
		b = unsafe.Add(b, 2*rowBytes)
		a = unsafe.Add(a, 2*cs)
	}
	if k == 1 {
		b0, b1 := archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(b, 0))), archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(b, 64)))
		v := archsimd.LoadFloat32x4((*[4]float32)(a)).Broadcast1To16()
		c00, c01 = b0.MulAdd(v, c00), b1.MulAdd(v, c01)
	}
	c00.Store((*[16]float32)(unsafe.Add(c, 0)))
	c01.Store((*[16]float32)(unsafe.Add(c, 64)))
	archsimd.ClearAVXUpperBits()
}

func half256(c, a, b unsafe.Pointer, k int, rs, cs, ldc uintptr, add bool) {
	var c00, c01, c10, c11, c20, c21, c30, c31 archsimd.Float32x8
	if add {
		c00, c01 = archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(c, 0))), archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(c, 32)))
		c10, c11 = archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(c, ldc))), archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(c, ldc+32)))
		c20, c21 = archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(c, 2*ldc))), archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(c, 2*ldc+32)))
		c30, c31 = archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(c, 3*ldc))), archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(c, 3*ldc+32)))
	}
	a1 := unsafe.Add(a, rs)
	a2 := unsafe.Add(a, 2*rs)
	a3 := unsafe.Add(a, 3*rs)
	for ; k >= 2; k -= 2 {
		b0, b1 := archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(b, 0))), archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(b, 32)))
		v := archsimd.LoadFloat32x4((*[4]float32)(a)).Broadcast1To8()
		c00, c01 = b0.MulAdd(v, c00), b1.MulAdd(v, c01)
		v = archsimd.LoadFloat32x4((*[4]float32)(a1)).Broadcast1To8()
		c10, c11 = b0.MulAdd(v, c10), b1.MulAdd(v, c11)
		v = archsimd.LoadFloat32x4((*[4]float32)(a2)).Broadcast1To8()
		c20, c21 = b0.MulAdd(v, c20), b1.MulAdd(v, c21)
		v = archsimd.LoadFloat32x4((*[4]float32)(a3)).Broadcast1To8()
		c30, c31 = b0.MulAdd(v, c30), b1.MulAdd(v, c31)
		b0, b1 = archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(b, 128))), archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(b, 160)))
		v = archsimd.LoadFloat32x4((*[4]float32)(unsafe.Add(a, cs))).Broadcast1To8()
		c00, c01 = b0.MulAdd(v, c00), b1.MulAdd(v, c01)
		v = archsimd.LoadFloat32x4((*[4]float32)(unsafe.Add(a1, cs))).Broadcast1To8()
		c10, c11 = b0.MulAdd(v, c10), b1.MulAdd(v, c11)
		v = archsimd.LoadFloat32x4((*[4]float32)(unsafe.Add(a2, cs))).Broadcast1To8()
		c20, c21 = b0.MulAdd(v, c20), b1.MulAdd(v, c21)
		v = archsimd.LoadFloat32x4((*[4]float32)(unsafe.Add(a3, cs))).Broadcast1To8()
		c30, c31 = b0.MulAdd(v, c30), b1.MulAdd(v, c31)
		b = unsafe.Add(b, 2*rowBytes)
		a = unsafe.Add(a, 2*cs)
		a1 = unsafe.Add(a1, 2*cs)
		a2 = unsafe.Add(a2, 2*cs)
		a3 = unsafe.Add(a3, 2*cs)
	}
	if k == 1 {
		b0, b1 := archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(b, 0))), archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(b, 32)))
		v := archsimd.LoadFloat32x4((*[4]float32)(a)).Broadcast1To8()
		c00, c01 = b0.MulAdd(v, c00), b1.MulAdd(v, c01)
		v = archsimd.LoadFloat32x4((*[4]float32)(a1)).Broadcast1To8()
		c10, c11 = b0.MulAdd(v, c10), b1.MulAdd(v, c11)
		v = archsimd.LoadFloat32x4((*[4]float32)(a2)).Broadcast1To8()
		c20, c21 = b0.MulAdd(v, c20), b1.MulAdd(v, c21)
		v = archsimd.LoadFloat32x4((*[4]float32)(a3)).Broadcast1To8()
		c30, c31 = b0.MulAdd(v, c30), b1.MulAdd(v, c31)
	}
	c00.Store((*[8]float32)(unsafe.Add(c, 0)))
	c01.Store((*[8]float32)(unsafe.Add(c, 32)))
	c10.Store((*[8]float32)(unsafe.Add(c, ldc)))
	c11.Store((*[8]float32)(unsafe.Add(c, ldc+32)))
	c20.Store((*[8]float32)(unsafe.Add(c, 2*ldc)))
	c21.Store((*[8]float32)(unsafe.Add(c, 2*ldc+32)))
	c30.Store((*[8]float32)(unsafe.Add(c, 3*ldc)))
	c31.Store((*[8]float32)(unsafe.Add(c, 3*ldc+32)))
	archsimd.ClearAVXUpperBits()
}

func halfRow256(c, a, b unsafe.Pointer, k int, rs, cs, ldc uintptr, add bool) {
	var c00, c01 archsimd.Float32x8
	if add {
		c00, c01 = archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(c, 0))), archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(c, 32)))
	}
	for ; k >= 2; k -= 2 {
		b0, b1 := archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(b, 0))), archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(b, 32)))
		v := archsimd.LoadFloat32x4((*[4]float32)(a)).Broadcast1To8()
		c00, c01 = b0.MulAdd(v, c00), b1.MulAdd(v, c01)
		b0, b1 = archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(b, 128))), archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(b, 160)))
		v = archsimd.LoadFloat32x4((*[4]float32)(unsafe.Add(a, cs))).Broadcast1To8()
		c00, c01 = b0.MulAdd(v, c00), b1.MulAdd(v, c01)
		b = unsafe.Add(b, 2*rowBytes)
		a = unsafe.Add(a, 2*cs)
	}
	if k == 1 {
		b0, b1 := archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(b, 0))), archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(b, 32)))
		v := archsimd.LoadFloat32x4((*[4]float32)(a)).Broadcast1To8()
		c00, c01 = b0.MulAdd(v, c00), b1.MulAdd(v, c01)
	}
	c00.Store((*[8]float32)(unsafe.Add(c, 0)))
	c01.Store((*[8]float32)(unsafe.Add(c, 32)))
	archsimd.ClearAVXUpperBits()
}
