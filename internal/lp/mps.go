package lp

import (
	"bufio"
	"fmt"
	"io"
	"math"
)

// WriteMPS writes the program in free MPS form. Variables are named x0, x1, …
// and constraints r0, r1, …: user names may hold blanks, which MPS cannot.
func (m *Model) WriteMPS(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "NAME yard FREE") // FREE: what cbc needs to read short lines rightly
	fmt.Fprintln(out, "ROWS\n N cost")
	for i, c := range m.constraints {
		fmt.Fprintf(out, " %s r%d\n", c.sense(), i)
	}
	fmt.Fprintln(out, "COLUMNS")
	m.writeColumns(out)
	fmt.Fprintln(out, "RHS")
	if m.offset != 0 {
		fmt.Fprintf(out, " rhs cost %s\n", exact(-m.offset))
	}
	for i, c := range m.constraints {
		if side := c.side(); side != 0 {
			fmt.Fprintf(out, " rhs r%d %s\n", i, exact(side))
		}
	}
	fmt.Fprintln(out, "RANGES")
	for i, c := range m.constraints {
		if c.lower != c.upper && !math.IsInf(c.lower, 0) && !math.IsInf(c.upper, 0) {
			fmt.Fprintf(out, " rng r%d %s\n", i, exact(c.upper-c.lower))
		}
	}
	fmt.Fprintln(out, "BOUNDS")
	for i, v := range m.variables {
		v.writeBounds(out, i)
	}
	fmt.Fprintln(out, "ENDATA")
	return out.Flush()
}

// sense of a row: N free, E equal, G at least, L at most (with a range where
// both sides are finite).
func (c constraint) sense() string {
	switch {
	case c.lower == c.upper:
		return "E"
	case math.IsInf(c.lower, -1) && math.IsInf(c.upper, 1):
		return "N"
	case math.IsInf(c.upper, 1):
		return "G"
	}
	return "L"
}

func (c constraint) side() float64 {
	switch c.sense() {
	case "G":
		return c.lower
	case "N":
		return 0
	}
	return c.upper
}

func (m *Model) writeColumns(out *bufio.Writer) {
	type entry struct {
		row   int
		value float64
	}
	columns := make([][]entry, len(m.variables))
	for i, c := range m.constraints {
		for _, term := range c.terms {
			columns[term.Var] = append(columns[term.Var], entry{i, term.Coefficient})
		}
	}
	integer := false
	for i, v := range m.variables {
		if (v.kind == Integer) != integer {
			integer = !integer
			word := "INTEND"
			if integer {
				word = "INTORG"
			}
			fmt.Fprintf(out, " marker%d 'MARKER' '%s'\n", i, word)
		}
		fmt.Fprintf(out, " x%d cost %s\n", i, exact(v.cost))
		for _, e := range columns[i] {
			fmt.Fprintf(out, " x%d r%d %s\n", i, e.row, exact(e.value))
		}
	}
	if integer {
		fmt.Fprintln(out, " markerend 'MARKER' 'INTEND'")
	}
}

func (v variable) writeBounds(out *bufio.Writer, i int) {
	switch {
	case v.lower == v.upper:
		fmt.Fprintf(out, " FX bnd x%d %s\n", i, exact(v.lower))
		return
	case math.IsInf(v.lower, -1) && math.IsInf(v.upper, 1):
		fmt.Fprintf(out, " FR bnd x%d\n", i)
		return
	}
	switch { // a lower bound of 0 is the default of the format
	case math.IsInf(v.lower, -1):
		fmt.Fprintf(out, " MI bnd x%d\n", i)
	case v.lower != 0:
		fmt.Fprintf(out, " LO bnd x%d %s\n", i, exact(v.lower))
	}
	if math.IsInf(v.upper, 1) {
		fmt.Fprintf(out, " PL bnd x%d\n", i)
	} else {
		fmt.Fprintf(out, " UP bnd x%d %s\n", i, exact(v.upper))
	}
}

// exact writes a float so that reading it gives the same bits.
func exact(x float64) string { return fmt.Sprintf("%.17g", x) }
