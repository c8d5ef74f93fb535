package cli

import (
	"fmt"
	"strconv"

	"github.com/switchyard-ai/switchyard/internal/quote"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/units"
)

var serviceColumns = []column{
	{title: "#", field: "rank", number: true}, {title: "WHERE", field: "where"}, {title: "REPLICAS", field: "replicas", number: true},
	{title: "CHIPS", field: "chips", number: true}, {title: "", field: "chip"}, {title: "TTFT", field: "ttft", number: true},
	{title: "TPOT", field: "tpot", number: true}, {title: "COST/H", field: "cost", number: true},
	{title: "1M IN", field: "cost_in", number: true}, {title: "1M OUT", field: "cost_out", number: true}, {title: "SURE?", field: "status"},
}

// servicesListing is the table of a Service: what keeping its SLO at the peak costs.
func servicesListing(q *quote.Quote, flags quoteFlags) listing {
	l := listing{document: q, columns: serviceColumns}
	places := shown(q, flags)
	for _, place := range places {
		c := q.Candidates[place]
		s := c.Served
		l.cells = append(l.cells, []string{
			strconv.Itoa(place + 1), where(c), strconv.Itoa(s.Replicas), units.Grouped(int64(c.Chips)), c.Chip,
			milliseconds(s.TTFT), milliseconds(s.TPOT), c.Cost.Short(), short(s.CostPerMillionIn), short(s.CostPerMillionOu), sure(c),
		})
	}
	return withMargins(l, q, places)
}

func milliseconds(s float64) string { return fmt.Sprintf("%.0f ms", s*1e3) }

func short(d scheduler.Decimal) string { return units.AmountOfRat(d.Rat(), d.Currency).Short() }
