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
	widths []float64 // of the labels, such as the length of periods; alike where absent
	bars   []series  // stacked
	lines  []series
	band   bool // shade what lies between the lines
	format func(float64) string
	axis   func(float64) string // of the scale; format where absent
}

type series struct {
	name   string
	values []float64
}

// Size of a chart, in SVG units.
const (
	chartWidth, chartHeight         = 860.0, 290.0
	chartLeft, chartTop, chartRight = 70.0, 10.0, 8.0
	chartBottom                     = 30.0
)

// palette has colours that differ in lightness too, for paper and for eyes that
// see few colours (Okabe and Ito, "Color Universal Design", 2008).
func palette(i int) string {
	colours := []string{"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#7f7f7f"}
	return colours[i%len(colours)]
}

func (c chart) extent() (low, high float64) {
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
	legend(&b, append(append([]series{}, c.bars...), c.lines...))
	c.table(&b)
	b.WriteString("</section>\n")
	return b.String()
}

// edges are where labels begin and end along the axis.
func (c chart) edges() []float64 {
	edges, sum := []float64{0}, 0.0
	for i := range c.labels {
		width := 1.0
		if i < len(c.widths) {
			width = c.widths[i]
		}
		sum += width
		edges = append(edges, sum)
	}
	for i := range edges {
		edges[i] = chartLeft + (chartWidth-chartLeft-chartRight)*edges[i]/math.Max(sum, 1e-9)
	}
	return edges
}

func (c chart) svg(b *strings.Builder) {
	low, high := c.extent()
	step := tick(high - low)
	low, high = step*math.Floor(low/step+1e-9), step*math.Ceil(high/step-1e-9)
	y := func(v float64) float64 {
		return chartTop + (chartHeight-chartTop-chartBottom)*(high-v)/(high-low)
	}
	edges, scale := c.edges(), c.axis
	if scale == nil {
		scale = c.format
	}
	fmt.Fprintf(b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`+"\n", chartWidth, chartHeight, html.EscapeString(c.title))
	for v := low; v <= high+step/2; v += step {
		fmt.Fprintf(b, `<line class="rule" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="scale" x="%g" y="%.1f">%s</text>`+"\n",
			chartLeft, chartWidth-chartRight, y(v), y(v), chartLeft-6, y(v)+4, html.EscapeString(scale(v)))
	}
	written := math.Inf(-1)
	for i, label := range c.labels {
		c.stack(b, i, edges, y)
		const apart = 56
		if middle := (edges[i] + edges[i+1]) / 2; middle-written >= apart {
			written = middle
			fmt.Fprintf(b, `<text class="label" x="%.1f" y="%g">%s</text>`+"\n", middle, chartHeight-chartBottom+18, html.EscapeString(label))
		}
	}
	if c.band {
		c.shade(b, edges, y)
	}
	for k, s := range c.lines {
		c.line(b, s, k+len(c.bars), edges, y)
	}
	b.WriteString("</svg>\n")
}

// tick is a round distance between rules: four to eight of them fit.
func tick(span float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(span/4)))
	for _, of := range []float64{5, 2} {
		if span/(of*power) >= 4 {
			return of * power
		}
	}
	return power
}

// stack draws the bars of one label.
func (c chart) stack(b *strings.Builder, i int, edges []float64, y func(float64) float64) {
	gap := math.Min((edges[i+1]-edges[i])*0.06, 3)
	base := 0.0
	for k, s := range c.bars {
		v := at(s, i)
		if v > 0 {
			fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s</title></rect>`+"\n", edges[i]+gap, y(base+v),
				edges[i+1]-edges[i]-2*gap, y(base)-y(base+v), palette(k), html.EscapeString(c.labels[i]+" · "+s.name+": "+c.format(v)))
		}
		base += v
	}
}

// shade fills what lies between the lowest and the highest line.
func (c chart) shade(b *strings.Builder, edges []float64, y func(float64) float64) {
	var up, down []string
	for i := range c.labels {
		low, high := math.Inf(1), math.Inf(-1)
		for _, s := range c.lines {
			low, high = math.Min(low, at(s, i)), math.Max(high, at(s, i))
		}
		middle := (edges[i] + edges[i+1]) / 2
		up = append(up, fmt.Sprintf("%.1f,%.1f", middle, y(high)))
		down = append([]string{fmt.Sprintf("%.1f,%.1f", middle, y(low))}, down...)
	}
	fmt.Fprintf(b, `<polygon class="band" points="%s"/>`+"\n", strings.Join(append(up, down...), " "))
}

func (c chart) line(b *strings.Builder, s series, colour int, edges []float64, y func(float64) float64) {
	var points []string
	for i := range s.values {
		points = append(points, fmt.Sprintf("%.1f,%.1f", (edges[i]+edges[i+1])/2, y(s.values[i])))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), palette(colour))
	for i, v := range s.values {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s" stroke="transparent" stroke-width="12"><title>%s</title></circle>`+"\n", (edges[i]+edges[i+1])/2, y(v),
			palette(colour), html.EscapeString(c.labels[i]+" · "+s.name+": "+c.format(v)))
	}
}

func legend(b *strings.Builder, all []series) {
	b.WriteString(`<ul class="legend">`)
	for i, s := range all {
		fmt.Fprintf(b, `<li><span style="background:%s"></span>%s</li>`, palette(i), html.EscapeString(s.name))
	}
	b.WriteString("</ul>\n")
}

func (c chart) table(b *strings.Builder) {
	b.WriteString("<details><summary>Table</summary><div class=\"wide\"><table><tr><th></th>")
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
	b.WriteString("</table></div></details>\n")
}

// ranking is one bar to a row, longest last, with a mark beside it: a merit order.
type ranking struct {
	title, note   string
	barName, mark string
	format        func(float64) string
	rows          []ranked
	others        int // rows that are left out
}

type ranked struct {
	name        string
	value, mark float64
	why         string
}

func (k ranking) html() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<section><h2>%s</h2><p>%s</p>\n", html.EscapeString(k.title), html.EscapeString(k.note))
	const row, left, right = 22.0, 250.0, 90.0
	most := 1e-9
	for _, r := range k.rows {
		most = math.Max(most, math.Max(r.value, r.mark))
	}
	x := func(v float64) float64 { return left + (chartWidth-left-right)*v/most }
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`+"\n", chartWidth, row*float64(len(k.rows))+4, html.EscapeString(k.title))
	for i, r := range k.rows {
		top := row*float64(i) + 2
		tip := html.EscapeString(fmt.Sprintf("%s · %s %s, %s %s: %s", r.name, k.barName, k.format(r.value), k.mark, k.format(r.mark), r.why))
		fmt.Fprintf(&b, `<text class="scale" x="%g" y="%.1f">%s</text><rect x="%g" y="%.1f" width="%.1f" height="%g" fill="%s"><title>%s</title></rect>`,
			left-8, top+14, html.EscapeString(r.name), left, top+2, math.Max(x(r.value)-left, 1), row-6, palette(0), tip)
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="3"><title>%s</title></line><text x="%.1f" y="%.1f">%s</text>`+"\n",
			x(r.mark), x(r.mark), top, top+row-2, palette(1), tip, math.Max(x(r.value), x(r.mark))+6, top+14, html.EscapeString(k.format(r.value)))
	}
	b.WriteString("</svg>\n")
	legend(&b, []series{{name: k.barName}, {name: k.mark}})
	k.table(&b)
	b.WriteString("</section>\n")
	return b.String()
}

func (k ranking) table(b *strings.Builder) {
	fmt.Fprintf(b, "<details><summary>Table</summary><div class=\"wide\"><table><tr><th></th><th>%s</th><th>%s</th><th class=\"text\">why</th></tr>\n", html.EscapeString(k.barName), html.EscapeString(k.mark))
	for _, r := range k.rows {
		fmt.Fprintf(b, "<tr><td>%s</td><td>%s</td><td>%s</td><td class=\"text\">%s</td></tr>\n", html.EscapeString(r.name), k.format(r.value), k.format(r.mark), html.EscapeString(r.why))
	}
	b.WriteString("</table></div></details>\n")
	if k.others > 0 {
		fmt.Fprintf(b, "<p>%d dearer ones are left out.</p>\n", k.others)
	}
}

func wholeNumber(x float64) string { return units.Grouped(int64(math.Round(x))) }

func percentage(x float64) string { return fmt.Sprintf("%.0f%%", 100*x) }

// axisMoney is money on an axis: round numbers need no decimals.
func axisMoney(x float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(x) >= unit.size {
			return strings.Replace(fmt.Sprintf("$%.3g%s", x/unit.size, unit.name), "$-", "-$", 1)
		}
	}
	return strings.Replace(fmt.Sprintf("$%.3g", x), "$-", "-$", 1)
}

// pageHead is the head of a page that stands alone: light, dark and on paper.
const pageHead = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>%s</title>
<style>
:root{color-scheme:light dark;--ink:#1a1a1a;--paper:#fff;--faint:#d8d8d8;--band:#0072b222}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#16181b;--faint:#3a3d42;--band:#56b4e933}}
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:980px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin:2rem 0 .2rem}p{margin:.2rem 0 .6rem}.lead{font-size:1.05rem;font-weight:600}
svg{width:100%%;height:auto}.rule{stroke:var(--faint)}.band{fill:var(--band)}text{fill:var(--ink);font-size:11px}.scale{text-anchor:end}.label{text-anchor:middle}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.3rem 1rem;padding:0;margin:.2rem 0 .5rem}.legend span{display:inline-block;width:.8em;height:.8em;margin-right:.4em}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}td,th{padding:.2rem .6rem;text-align:right;border-bottom:1px solid var(--faint);vertical-align:top}
td:first-child,th:first-child,.text{text-align:left}td{white-space:nowrap}td.text{white-space:normal}td ul{margin:0;padding-left:1.1em}.wide{overflow-x:auto}summary{cursor:pointer}
@media print{:root{color-scheme:light;--ink:#000;--paper:#fff;--faint:#bbb}details::details-content{content-visibility:visible;block-size:auto}summary{list-style:none}
section,tr{break-inside:avoid}body{max-width:none;margin:0;font-size:11px}table{font-size:9px}.wide{overflow:visible}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
</style></head><body>
`
