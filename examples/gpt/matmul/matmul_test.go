package matmul

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// naive is the definition, in double precision.
func naive(c, a, b View, add bool) []float64 {
	at := func(v View, i, j int) float64 {
		if v.Trans {
			i, j = j, i
		}
		return float64(v.Data[i*v.Stride+j])
	}
	m, k := a.shape()
	out := make([]float64, m*c.Cols)
	for i := range m {
		for j := range c.Cols {
			if add {
				out[i*c.Cols+j] = at(c, i, j)
			}
			for p := range k {
				out[i*c.Cols+j] += at(a, i, p) * at(b, p, j)
			}
		}
	}
	return out
}

func engines() []*Engine {
	all := []*Engine{Portable()}
	if v := Vector(); v != nil {
		all = append(all, v)
	}
	return append(all, otherEngines()...)
}

func random(rng *rand.Rand, rows, cols, stride int, trans bool) View {
	if trans {
		rows, cols = cols, rows
	}
	v := View{Data: make([]float32, max(0, (rows-1)*stride+cols)), Rows: rows, Cols: cols, Stride: stride, Trans: trans}
	for i := range v.Data {
		v.Data[i] = float32(rng.NormFloat64())
	}
	return v
}

func TestEveryEngineComputesTheDefinition(t *testing.T) {
	shapes := [][3]int{{1, 1, 1}, {4, 32, 2}, {5, 33, 3}, {7, 31, 64}, {8, 64, 257}, {3, 256, 128}, {64, 96, 513}, {2, 5, 1}}
	for _, e := range engines() {
		for _, s := range shapes {
			for variant := range 8 {
				ta, tb, add := variant&1 != 0, variant&2 != 0, variant&4 != 0
				t.Run(fmt.Sprintf("%s %v at=%v bt=%v add=%v", e.Name(), s, ta, tb, add), func(t *testing.T) {
					rng := rand.New(rand.NewPCG(1, uint64(variant)))
					m, n, k := s[0], s[1], s[2]
					wide := max(m, n, k) + 3
					checkProduct(t, e, random(rng, m, n, wide, false), random(rng, m, k, wide, ta), random(rng, k, n, wide, tb), add)
				})
			}
		}
	}
}

func checkProduct(t *testing.T, e *Engine, c, a, b View, add bool) {
	t.Helper()
	want := naive(c, a, b, add)
	outside := c.Data[min(c.Cols, len(c.Data)-1)]
	var p Packed
	e.Pack(&p, b)
	e.Mul(c, a, &p, add)
	_, k := a.shape()
	for i := range c.Rows {
		for j := range c.Cols {
			got, tolerance := float64(c.Data[i*c.Stride+j]), 2e-6*float64(k+1)
			if math.Abs(got-want[i*c.Cols+j]) > tolerance {
				t.Fatalf("element %d,%d is %g, want %g", i, j, got, want[i*c.Cols+j])
			}
		}
	}
	if c.Rows > 1 && c.Data[c.Cols] != outside {
		t.Fatal("wrote beyond the columns of c")
	}
}

func TestLeadingPartOfARightOperand(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	b := random(rng, 80, 90, 90, false)
	a := random(rng, 6, 48, 48, false)
	for _, e := range engines() {
		c := Mat(make([]float32, 6*40), 6, 40)
		lead := b
		lead.Rows, lead.Cols = 48, 40
		want := naive(c, a, lead, false)
		var p Packed
		e.Pack(&p, b)
		e.Mul(c, a, &p, false)
		for i := range want {
			if math.Abs(float64(c.Data[i])-want[i]) > 1e-4 {
				t.Fatalf("%s: element %d is %g, want %g", e.Name(), i, c.Data[i], want[i])
			}
		}
	}
}

func TestSelect(t *testing.T) {
	if e, err := Select("portable"); err != nil || e.IsVector() {
		t.Fatalf("portable: %v, %v", e, err)
	}
	if e, err := Select("auto"); err != nil || e.IsVector() != (Vector() != nil) {
		t.Fatalf("auto: %v, %v", e, err)
	}
	if _, err := Select("vector"); (err == nil) != (Vector() != nil) {
		t.Fatalf("vector: %v", err)
	}
	if _, err := Select("fast"); err == nil {
		t.Fatal("fast was taken")
	}
}

func BenchmarkMul(b *testing.B) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, e := range engines() {
		for _, s := range [][3]int{{256, 384, 128}, {256, 128, 512}, {256, 512, 128}, {128, 512, 256}} {
			b.Run(fmt.Sprintf("%s/%dx%dx%d", e.Name(), s[0], s[1], s[2]), func(b *testing.B) {
				x, w := random(rng, s[0], s[2], s[2], false), random(rng, s[2], s[1], s[1], false)
				c := Mat(make([]float32, s[0]*s[1]), s[0], s[1])
				var p Packed
				e.Pack(&p, w)
				for b.Loop() {
					e.Mul(c, x, &p, false)
				}
				b.ReportMetric(2*float64(s[0]*s[1]*s[2])*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
