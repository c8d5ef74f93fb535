package accuracy

import (
	"fmt"
	"html"
	"math"
	"sort"
	"strings"
)

// Size of a plot in pixels.
const (
	side   = 560.0
	margin = 60.0
)

// plot draws predicted against measured on logarithmic axes as SVG, one shape
// per chipmaker, with the diagonal and lines at ±20%.
func plot(title, axis string, points []point) string {
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range points {
		for _, v := range []float64{p.c.Time, p.c.Time - p.fit} {
			low, high = min(low, v), max(high, v)
		}
	}
	low, high = math.Floor(low/math.Ln10)*math.Ln10, math.Ceil(high/math.Ln10)*math.Ln10
	scale := func(v float64) float64 { return (v - low) / (high - low) * (side - 2*margin) }
	x := func(v float64) float64 { return margin + scale(v) }
	y := func(v float64) float64 { return side - margin - scale(v) }

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="11">`, side, side, side, side)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%.0f" y="24" font-size="15">%s: predicted against measured</text>`, margin, html.EscapeString(title))
	for e := math.Round(low / math.Ln10); e <= math.Round(high/math.Ln10); e++ {
		v := e * math.Ln10
		fmt.Fprintf(&b, `<path d="M%.1f %.1fV%.1fM%.1f %.1fH%.1f" stroke="#ddd"/>`, x(v), y(low), y(high), x(low), y(v), x(high))
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">1e%.0f</text><text x="%.1f" y="%.1f" text-anchor="end">1e%.0f</text>`, x(v), side-margin+16, e, margin-6, y(v)+4, e)
	}
	for _, off := range []float64{0, math.Log(1.2), -math.Log(1.2)} {
		dash := ""
		if off != 0 {
			dash = ` stroke-dasharray="4 4"`
		}
		fmt.Fprintf(&b, `<path d="M%.1f %.1fL%.1f %.1f" stroke="#888"%s/>`, x(low), y(low+off), x(high), y(high+off), dash)
	}
	legend(&b, points, x, y)
	fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" text-anchor="middle">measured %s (dashed: ±20%%)</text>`, side/2, side-16, html.EscapeString(axis))
	fmt.Fprintf(&b, `<text transform="translate(16 %.0f) rotate(-90)" text-anchor="middle">predicted</text></svg>`, side/2)
	return b.String() + "\n"
}

// legend draws the points and names their colours and shapes.
func legend(b *strings.Builder, points []point, x, y func(float64) float64) {
	makers := map[string]int{}
	for _, p := range points {
		makers[p.c.Nodes[0]]++
	}
	names := make([]string, 0, len(makers))
	for name := range makers {
		names = append(names, name)
	}
	sort.Strings(names)
	colours := []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}
	for i, name := range names {
		colour, shape := colours[i%len(colours)], i%3
		for _, p := range points {
			if p.c.Nodes[0] == name {
				b.WriteString(marker(x(p.c.Time), y(p.c.Time-p.fit), shape, colour))
			}
		}
		top := margin + 16*float64(i)
		b.WriteString(marker(margin+14, top, shape, colour))
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f">%s (%d)</text>`, margin+24, top+4, html.EscapeString(strings.TrimPrefix(name, "maker:")), makers[name])
	}
}

func marker(x, y float64, shape int, colour string) string {
	switch shape {
	case 0:
		return fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="2.6" fill="%s" fill-opacity=".55"/>`, x, y, colour)
	case 1:
		return fmt.Sprintf(`<path d="M%.1f %.1fl3 5.4h-6z" fill="%s" fill-opacity=".6"/>`, x, y-3, colour)
	}
	return fmt.Sprintf(`<rect x="%.1f" y="%.1f" width="5" height="5" fill="%s" fill-opacity=".6"/>`, x-2.5, y-2.5, colour)
}
