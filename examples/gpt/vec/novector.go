//go:build !(goexperiment.simd && amd64)

package vec

func hasWide() bool { return false }

// Without vector instructions Ops.wide is never set, and none of these is called.

func addWide(dst, x []float32) int                                { return 0 }
func axpyWide(dst []float32, a float32, x []float32) int          { return 0 }
func scaleWide(dst []float32, a float32, x []float32) int         { return 0 }
func dotWide(x, y []float32) (int, float32)                       { return 0, 0 }
func squaredReLUWide(y, x []float32) int                          { return 0 }
func squaredReLUBackWide(dy, x []float32) int                     { return 0 }
func maxWide(x []float32) (int, float32)                          { return 0, x[0] }
func expSumWide(x []float32, scale, shift float32) (int, float32) { return 0, 0 }
func softmaxBackWide(dp, p []float32, mean, scale float32) int    { return 0 }
func rotateWide(lo, hi, cos, sin []float32, sign float32) int     { return 0 }
func adamWWide(w, g, m, v []float32, u Update) int                { return 0 }
