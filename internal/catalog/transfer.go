package catalog

import (
	"fmt"
	"path"
	"sync"

	"github.com/switchyard-ai/switchyard/internal/units"
)

// Transfer is the list price of data that leaves a region.
type Transfer struct {
	Price  units.Rate // per GB, of 10⁹ bytes
	Source string
	AsOf   string
}

// transferRow is a row of data/transfers.csv. From and To are regions of one
// provider, in which * stands for any letters; To "out" is any place outside
// the provider. The first row that fits holds.
type transferRow struct {
	Provider string         `csv:"provider"`
	From     string         `csv:"from"`
	To       string         `csv:"to"`
	Price    string         `csv:"price"`
	Currency units.Currency `csv:"currency"`
	Source   string         `csv:"source"`
	AsOf     string         `csv:"as_of"`
}

// outside is the To of what leaves a provider.
const outside = "out"

// transfers is parsed once and shared.
var transfers = sync.OnceValue(func() []transferRow {
	var rows []transferRow
	if err := readTable(tables, "data/transfers.csv", &rows); err != nil {
		panic("catalog: the embedded tables are broken: " + err.Error())
	}
	return rows
})

// TransferPrice is what it costs to send data from a region of a provider to
// one of another or the same. What arrives costs nothing, nor does what stays
// in a region, or leaves a place of one's own; ok is false for a provider whose
// prices are not known.
func TransferPrice(provider, region, toProvider, toRegion string) (t Transfer, ok bool) {
	t = Transfer{Price: units.MustRate("0", units.USD)}
	if provider == toProvider && region == toRegion {
		t.Source = "the data stays in " + provider + " " + region
		return t, true
	}
	if provider == "local" || provider == "owned" {
		t.Source = "nobody charges for what leaves a place of one's own"
		return t, true
	}
	for _, row := range transfers() {
		if row.Provider != provider || !fits(row.From, region) {
			continue
		}
		if inside := provider == toProvider; inside == (row.To == outside) || inside && !fits(row.To, toRegion) {
			continue
		}
		price, err := units.ParseRate(row.Price, row.Currency)
		if err != nil {
			panic(fmt.Sprintf("catalog: the embedded tables are broken: %v", err)) // a test reads them all
		}
		return Transfer{price, row.Source, row.AsOf}, true
	}
	return t, false
}

func fits(pattern, region string) bool {
	ok, err := path.Match(pattern, region)
	return ok && err == nil
}
