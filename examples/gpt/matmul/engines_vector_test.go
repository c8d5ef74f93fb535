//go:build goexperiment.simd && amd64

package matmul

import "simd/archsimd"

// otherEngines are those that this processor has but would not choose.
func otherEngines() []*Engine {
	if archsimd.X86.AVX512() && archsimd.X86.AVX2() && archsimd.X86.FMA() {
		return []*Engine{avx2Engine()}
	}
	return nil
}
