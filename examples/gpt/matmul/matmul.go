// Package matmul owns the products of single-precision matrices that the GPT example is made of. It knows two ways to
// compute them: a portable one on gonum's BLAS, and a vector one on Go's experimental simd/archsimd, which is compiled in
// with GOEXPERIMENT=simd on amd64 and taken where the processor has AVX2 or AVX-512. It starts no goroutines of its own:
// callers parallelise over the batch. It refuses to decide which way is taken; Select is told.
package matmul

import (
	"fmt"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// View is a matrix in row-major order, Stride elements apart from row to row, or with Trans the transpose of one.
// Rows and Cols are those of the matrix as it is stored.
type View struct {
	Data               []float32
	Rows, Cols, Stride int
	Trans              bool
}

// Mat is the view of a dense rows×cols matrix.
func Mat(data []float32, rows, cols int) View {
	return View{Data: data, Rows: rows, Cols: cols, Stride: cols}
}

// T is the transpose of v; it shares v's elements.
func (v View) T() View {
	v.Trans = !v.Trans
	return v
}

// shape is the number of rows and columns of v as an operand.
func (v View) shape() (rows, cols int) {
	if v.Trans {
		return v.Cols, v.Rows
	}
	return v.Rows, v.Cols
}

// Packed is a right-hand operand laid out as the engine that packed it likes it. The portable engine keeps a reference to
// the packed view, the vector engines copy: pack again whenever its elements change. The zero value is ready for Pack.
type Packed struct {
	view   View
	k, n   int
	panels []float32 // ⌈n/panel⌉ panels of k rows of panel elements, zero beyond n
}

// Engine computes products in one way. It holds no state and may be shared by goroutines.
type Engine struct {
	name string
	tile tileFunc // nil: portable
	row  tileFunc
}

// Portable is the engine that runs everywhere, on gonum's BLAS.
func Portable() *Engine { return &Engine{name: "portable"} }

// Vector is the widest vector engine that this build and processor have, or nil.
func Vector() *Engine { return vectorEngine() }

// Select is the engine for a --matmul flag: "portable", "vector", or "auto", which takes the vector engine where there is one.
func Select(mode string) (*Engine, error) {
	vector := Vector()
	switch {
	case mode == "portable", mode == "auto" && vector == nil:
		return Portable(), nil
	case mode == "auto", mode == "vector" && vector != nil:
		return vector, nil
	case mode == "vector":
		return nil, fmt.Errorf("no vector path here: it needs amd64 with AVX2 and a build with GOEXPERIMENT=simd")
	}
	return nil, fmt.Errorf("--matmul %q; valid: auto, portable, vector", mode)
}

// Name is "portable", "avx2" or "avx512".
func (e *Engine) Name() string { return e.name }

// IsVector tells whether the engine uses vector instructions of its own.
func (e *Engine) IsVector() bool { return e.tile != nil }

// Pack lays b out in p as a right-hand operand.
func (e *Engine) Pack(p *Packed, b View) {
	p.view = b
	p.k, p.n = b.shape()
	if e.tile != nil {
		p.fill(b)
	}
}

// Mul computes c = a·b, or c += a·b with add. b may have more rows than a has columns and more columns than c: the leading
// ones count. The product of a causal mask needs no more than that. c must not be transposed nor overlap a or b.
func (e *Engine) Mul(c, a View, b *Packed, add bool) {
	m, k := a.shape()
	if c.Trans || c.Rows != m || c.Cols > b.n || k > b.k {
		panic(fmt.Sprintf("matmul: %d×%d = %d×%d · %d×%d", c.Rows, c.Cols, m, k, b.k, b.n))
	}
	if e.tile == nil {
		mulPortable(c, a, b.view, m, k, add)
		return
	}
	e.mulTiles(c, a, b, m, k, add)
}

func mulPortable(c, a, b View, m, k int, add bool) {
	var beta float32
	if add {
		beta = 1
	}
	gonum.Implementation{}.Sgemm(transpose(a), transpose(b), m, c.Cols, k, 1, a.Data, a.Stride, b.Data, b.Stride, beta, c.Data, c.Stride)
}

func transpose(v View) blas.Transpose {
	if v.Trans {
		return blas.Trans
	}
	return blas.NoTrans
}
