package cli

import (
	"fmt"
	"html/template"
	"io"
	"strings"
)

// contractsPage is one page with nothing to load: a burn-down chart of each
// commitment, with hover values, and the table beneath.
const contractsPage = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Contracts as of {{.At.Format "2006-01-02"}}</title>
<style>
:root{color-scheme:light dark;--ink:#1c2430;--soft:#667085;--line:#2463c8;--grid:#d7dce4}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#98a2b3;--line:#7db0ff;--grid:#39424f}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);max-width:62rem;margin:2rem auto;padding:0 1rem}
h2{font-size:1.05rem;margin:1.6rem 0 .2rem}p{margin:.2rem 0;color:var(--soft)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.25rem .6rem;border-bottom:1px solid var(--grid)}th:nth-child(-n+2),td:nth-child(-n+2){text-align:left}
svg{width:100%;height:auto}.b{fill:none;stroke:var(--line);stroke-width:2}.g{stroke:var(--grid)}.p{fill:var(--line)}text{fill:var(--soft);font-size:11px}
</style></head><body>
<h1>Contracts as of {{.At.Format "2006-01-02"}}</h1><p>Sums in {{currencies .}}</p>
{{range .Clauses}}{{with chart .}}{{.}}{{end}}{{end}}
<h2>Every clause</h2>
<table><tr><th>Contract</th><th>Clause</th><th>Currency</th><th>Committed</th><th>Retired</th><th>Remaining</th><th>Short at this pace</th><th>Next date</th></tr>
{{range .Clauses}}<tr><td>{{.Contract}}</td><td>{{.Clause}}</td><td>{{.Currency}}</td><td>{{.Committed}}</td><td>{{.Retired}}</td><td>{{.Remaining}}</td><td>{{.ProjectedShortfall}}</td><td>{{with .Next}}{{.Format "2006-01-02"}}{{end}} {{.NextWhat}}</td></tr>
{{end}}</table></body></html>
`

func contractsReport(w io.Writer, doc contractsJSON) error {
	page, err := template.New("contracts").Funcs(template.FuncMap{"chart": burnChart, "currencies": contractsJSON.currencies}).Parse(contractsPage)
	if err != nil {
		return err
	}
	return page.Execute(w, doc)
}

// burnChart draws what remained of a commitment over its life so far, with the
// straight line that would use it up at its end.
func burnChart(s statusJSON) template.HTML {
	const width, height, left, base = 720.0, 170.0, 60.0, 150.0
	if len(s.burn) < 2 {
		return ""
	}
	life, err := s.LifeCommitted.Float64()
	if err != nil || life <= 0 {
		return ""
	}
	y := func(v float64) float64 { return base - max(v, 0)/life*(base-10) }
	step := (width - left - 10) / float64(len(s.burn)-1)
	var points, dots strings.Builder
	for i, v := range s.burn {
		x := left + float64(i)*step
		fmt.Fprintf(&points, "%.1f,%.1f ", x, y(v))
		fmt.Fprintf(&dots, `<circle class="p" cx="%.1f" cy="%.1f" r="3"><title>%.2f remain</title></circle>`, x, y(v), v)
	}
	name := template.HTMLEscapeString(s.Contract + " / " + s.Clause)
	//nolint:gosec // the name is escaped and all else is numbers
	return template.HTML(fmt.Sprintf(`<h2>%s</h2><p>what remains of %s</p><svg viewBox="0 0 %.0f %.0f" role="img" aria-label="burn-down of %s">`+
		`<line class="g" x1="%.0f" y1="%.0f" x2="%.0f" y2="%.0f"/><line class="g" x1="%.0f" y1="10" x2="%.0f" y2="10"/>`+
		`<text x="0" y="14">%s</text><text x="0" y="%.0f">0</text><polyline class="b" points="%s"/>%s</svg>`,
		name, template.HTMLEscapeString(shortMoney(s.LifeCommitted)), width, height, name, left, base, width, base, left, width,
		template.HTMLEscapeString(shortMoney(s.LifeCommitted)), base, points.String(), dots.String()))
}
