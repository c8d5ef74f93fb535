package matmul

import "unsafe"

// The vector engines compute c in tiles of tileRows×panel. The right-hand operand is packed in panels, so that a tile
// reads it from one end to the other; at most depth rows of a panel are used at a time, so that they stay in the first-level cache.
const (
	tileRows = 4
	panel    = 32
	depth    = 256
)

// tileFunc computes one tile: c (rows ldc bytes apart) = or += a·b, where a's element (i, p) is i·rs + p·cs bytes from a,
// and b is k rows of panel elements. It may read 12 bytes past the last element of a.
type tileFunc func(c, a, b unsafe.Pointer, k int, rs, cs, ldc uintptr, add bool)

// slack is how many elements past its last a tileFunc may read of a.
const slack = 3

func (p *Packed) fill(b View) {
	size := (p.n + panel - 1) / panel * panel * p.k
	if cap(p.panels) < size {
		p.panels = make([]float32, size)
	}
	p.panels = p.panels[:size]
	for j := 0; j < p.n; j += panel {
		dst := p.panels[j*p.k : (j+panel)*p.k]
		width := min(panel, p.n-j)
		if width < panel {
			clear(dst)
		}
		if b.Trans {
			packColumns(dst, b, j, width)
		} else {
			for r := range p.k {
				copy(dst[r*panel:r*panel+width], b.Data[r*b.Stride+j:])
			}
		}
	}
}

// packColumns fills a panel from rows j to j+width of the stored matrix, four at a time to write whole words.
func packColumns(dst []float32, b View, j, width int) {
	for i := range width {
		row := b.Data[(j+i)*b.Stride : (j+i)*b.Stride+b.Cols]
		for r, x := range row {
			dst[r*panel+i] = x
		}
	}
}

func (e *Engine) mulTiles(c, a View, b *Packed, m, k int, add bool) {
	a = withSlack(a)
	for j := 0; j < c.Cols; j += panel {
		for p := 0; p < k || p == 0; p += depth {
			e.mulPanel(c, a, b, block{m: m, j: j, p: p, k: min(depth, k-p), add: add || p > 0})
		}
	}
}

// block is the share of a product that one panel adds: columns from j, inner indices from p to p+k.
type block struct {
	m, j, p, k int
	add        bool
}

func (e *Engine) mulPanel(c, a View, b *Packed, s block) {
	if s.k == 0 || s.m == 0 {
		return
	}
	const word = unsafe.Sizeof(float32(0))
	rs, cs := uintptr(a.Stride)*word, word
	if a.Trans {
		rs, cs = cs, rs
	}
	from := unsafe.Pointer(&b.panels[s.j*b.k+s.p*panel])
	start := unsafe.Add(unsafe.Pointer(&a.Data[0]), uintptr(s.p)*cs)
	narrow := c.Cols-s.j < panel
	var edge [tileRows * panel]float32
	for i := 0; i < s.m; {
		tile, rows := e.tile, tileRows
		if s.m-i < tileRows {
			tile, rows = e.row, 1
		}
		left := unsafe.Add(start, uintptr(i)*rs)
		if narrow {
			tile(unsafe.Pointer(&edge[0]), left, from, s.k, rs, cs, panel*word, false)
			copyEdge(c, edge[:], i, s.j, rows, s.add)
		} else {
			tile(unsafe.Pointer(&c.Data[i*c.Stride+s.j]), left, from, s.k, rs, cs, uintptr(c.Stride)*word, s.add)
		}
		i += rows
	}
}

func copyEdge(c View, edge []float32, i, j, rows int, add bool) {
	for r := range rows {
		to := c.Data[(i+r)*c.Stride+j : (i+r)*c.Stride+c.Cols]
		for x := range to {
			if add {
				to[x] += edge[r*panel+x]
			} else {
				to[x] = edge[r*panel+x]
			}
		}
	}
}

// withSlack is a with room to read past its last element: itself where its array goes on, else a copy.
func withSlack(a View) View {
	last := (a.Rows-1)*a.Stride + a.Cols
	if last <= 0 || cap(a.Data) >= last+slack {
		return a
	}
	data := make([]float32, last+slack)
	copy(data, a.Data[:last])
	a.Data = data
	return a
}
