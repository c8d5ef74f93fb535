package cli

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/units"
)

// chart is figures over labels, drawn as SVG with the values on hover and as a
// table beneath.
type chart struct {
	title  string
	note   string
	labels []string
	bars   []series // stacked
	lines  []series
	format func(float64) string
}

type series struct {
	name   string
	values []float64
}

// Size of a chart, in SVG units.
const (
	chartWidth, chartHeight         = 860.0, 300.0
	chartLeft, chartTop, chartRight = 78.0, 12.0, 12.0
	chartBottom                     = 40.0
)

// palette has colours that differ in lightness too, for paper and for eyes that
// see few colours (Okabe and Ito, "Color Universal Design", 2008).
func palette(i int) string {
	colours := []string{"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#7f7f7f"}
	return colours[i%len(colours)]
}

func (c chart) top() (low, high float64) {
	for i := range c.labels {
		sum := 0.0
		for _, s := range c.bars {
			sum += at(s, i)
		}
		high = math.Max(high, sum)
		for _, s := range c.lines {
			high, low = math.Max(high, at(s, i)), math.Min(low, at(s, i))
		}
	}
	if high <= low {
		high = low + 1
	}
	return low, high
}

func at(s series, i int) float64 {
	if i < len(s.values) {
		return s.values[i]
	}
	return 0
}

// html returns the chart with its table.
func (c chart) html() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<section><h2>%s</h2><p>%s</p>\n", html.EscapeString(c.title), html.EscapeString(c.note))
	c.svg(&b)
	c.legend(&b)
	c.table(&b)
	b.WriteString("</section>\n")
	return b.String()
}

func (c chart) svg(b *strings.Builder) {
	low, high := c.top()
	plotWidth, plotHeight := chartWidth-chartLeft-chartRight, chartHeight-chartTop-chartBottom
	step := plotWidth / math.Max(float64(len(c.labels)), 1)
	y := func(v float64) float64 { return chartTop + plotHeight*(high-v)/(high-low) }
	fmt.Fprintf(b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`+"\n", chartWidth, chartHeight, html.EscapeString(c.title))
	const rules = 4
	for i := 0; i <= rules; i++ {
		v := low + (high-low)*float64(i)/rules
		fmt.Fprintf(b, `<line class="rule" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="scale" x="%g" y="%.1f">%s</text>`+"\n",
			chartLeft, chartWidth-chartRight, y(v), y(v), chartLeft-6, y(v)+4, html.EscapeString(c.format(v)))
	}
	for i, label := range c.labels {
		x, base := chartLeft+float64(i)*step, 0.0
		for k, s := range c.bars {
			v := at(s, i)
			if v > 0 {
				fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s</title></rect>`+"\n", x+step*0.08, y(base+v), step*0.84,
					y(base)-y(base+v), palette(k), html.EscapeString(label+" · "+s.name+": "+c.format(v)))
			}
			base += v
		}
		if every := max(1, len(c.labels)/12); i%every == 0 {
			fmt.Fprintf(b, `<text class="label" x="%.1f" y="%g">%s</text>`+"\n", x+step/2, chartHeight-chartBottom+18, html.EscapeString(label))
		}
	}
	for k, s := range c.lines {
		c.line(b, s, k+len(c.bars), step, y)
	}
	b.WriteString("</svg>\n")
}

func (c chart) line(b *strings.Builder, s series, colour int, step float64, y func(float64) float64) {
	var points []string
	for i := range s.values {
		points = append(points, fmt.Sprintf("%.1f,%.1f", chartLeft+(float64(i)+0.5)*step, y(s.values[i])))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), palette(colour))
	for i, v := range s.values {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s</title></circle>`+"\n", chartLeft+(float64(i)+0.5)*step, y(v), palette(colour),
			html.EscapeString(c.labels[i]+" · "+s.name+": "+c.format(v)))
	}
}

func (c chart) legend(b *strings.Builder) {
	b.WriteString(`<ul class="legend">`)
	for i, s := range append(append([]series{}, c.bars...), c.lines...) {
		fmt.Fprintf(b, `<li><span style="background:%s"></span>%s</li>`, palette(i), html.EscapeString(s.name))
	}
	b.WriteString("</ul>\n")
}

func (c chart) table(b *strings.Builder) {
	b.WriteString("<details><summary>Table</summary><table><tr><th></th>")
	all := append(append([]series{}, c.bars...), c.lines...)
	for _, s := range all {
		fmt.Fprintf(b, "<th>%s</th>", html.EscapeString(s.name))
	}
	b.WriteString("</tr>\n")
	for i, label := range c.labels {
		fmt.Fprintf(b, "<tr><td>%s</td>", html.EscapeString(label))
		for _, s := range all {
			fmt.Fprintf(b, "<td>%s</td>", html.EscapeString(c.format(at(s, i))))
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</table></details>\n")
}

func wholeNumber(x float64) string { return units.Grouped(int64(math.Round(x))) }

func percentage(x float64) string { return fmt.Sprintf("%.0f%%", 100*x) }

// pageHead is the head of a page that stands alone: light, dark and on paper.
const pageHead = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>%s</title>
<style>
:root{color-scheme:light dark;--ink:#1a1a1a;--paper:#fff;--faint:#d8d8d8}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#16181b;--faint:#3a3d42}}
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:900px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin:2rem 0 .2rem}p{margin:.2rem 0 .6rem}
svg{width:100%%;height:auto}.rule{stroke:var(--faint)}text{fill:var(--ink);font-size:11px}.scale{text-anchor:end}.label{text-anchor:middle}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.3rem 1rem;padding:0}.legend span{display:inline-block;width:.8em;height:.8em;margin-right:.4em}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}td,th{padding:.15rem .6rem;text-align:right;border-bottom:1px solid var(--faint)}
td:first-child,th:first-child{text-align:left}.wide{overflow-x:auto}
@media print{details>*{display:block}section{break-inside:avoid}body{max-width:none}}
</style></head><body>
`
