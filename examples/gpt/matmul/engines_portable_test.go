//go:build !(goexperiment.simd && amd64)

package matmul

func otherEngines() []*Engine { return nil }
