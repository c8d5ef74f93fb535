package v1

import "time"

// LedgerEntry is one line of the ledger. Entries are never changed; a
// correction is a reversing entry.
type LedgerEntry struct {
	ID       int64  `json:"id"`
	Category string `json:"category"`
	Reverses int64  `json:"reverses,omitempty" doc:"ID of the entry that this one takes back"`
	Run      string `json:"run"`
	Attempt  int    `json:"attempt"`
	Project  string `json:"project"`
	Pool     string `json:"pool"`
	Provider string `json:"provider"`

	Region       string `json:"region,omitempty"`
	InstanceType string `json:"instance_type,omitempty"`
	Option       string `json:"option,omitempty" doc:"purchase option"`

	Chipmaker string    `json:"chipmaker"`
	Chip      string    `json:"chip"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Nodes     int       `json:"nodes"`
	Chips     int       `json:"chips"`
	Rate      Money     `json:"rate" doc:"per node-hour; of a charge the list price"`
	Imputed   bool      `json:"imputed"`
	Cost      Money     `json:"cost" doc:"of use at the rate of its placement; of a charge what is billed"`
	Booked    time.Time `json:"booked"`
	Note      string    `json:"note,omitempty"`

	Billed bool          `json:"billed" doc:"charges stand for this use: they count and this entry's cost does not"`
	Charge *LedgerCharge `json:"charge,omitempty" doc:"of entries of a bill"`
}

// LedgerCharge is what billing under contracts made of use.
type LedgerCharge struct {
	Contract  string  `json:"contract,omitempty" doc:"absent for the list price"`
	Clause    string  `json:"clause,omitempty"`
	Kind      string  `json:"kind,omitempty" doc:"of the clause, as in contract files"`
	Charge    string  `json:"charge" doc:"what the charge is: usage, covered, unused, fee, discount, …"`
	Quantity  Decimal `json:"quantity" doc:"to twelve decimals"`
	List      Money   `json:"list" doc:"the quantity at list price"`
	Effective Money   `json:"effective" doc:"with purchases spread over what they pay for"`
}

// LedgerEntries is lines of the ledger in order.
type LedgerEntries struct {
	Entries []LedgerEntry `json:"entries"`
}

// LedgerLine is a line of the ledger's stream: an entry, or its end.
type LedgerLine struct {
	Entry *LedgerEntry `json:"entry,omitempty"`
	End   *int         `json:"end,omitempty" doc:"how many entries were sent; a stream without it was cut short"`
}

// LedgerGroup is what one run, project, pool, … used and cost. Money is one
// amount for each currency; what is imputed, not paid, is apart.
type LedgerGroup struct {
	Group     string  `json:"group"`
	Entries   int     `json:"entries" doc:"lines, reversals included"`
	NodeHours Decimal `json:"node_hours"`
	ChipHours Decimal `json:"chip_hours"`
	Cost      []Money `json:"cost" doc:"of use at the rates of its placements"`
	Billed    []Money `json:"billed" doc:"what contracts make of it; the cost where nothing is billed"`
	Effective []Money `json:"effective" doc:"billed, with purchases spread over what they pay for"`
	Imputed   []Money `json:"imputed"`
}

// LedgerSummary is the ledger added up by one dimension.
type LedgerSummary struct {
	By     string        `json:"by"`
	Groups []LedgerGroup `json:"groups"`
	Total  LedgerGroup   `json:"total"`
}

// LedgerVerdict is the result of proving the ledger.
type LedgerVerdict struct {
	Entries  int      `json:"entries"`
	Charges  int      `json:"charges" doc:"of the entries: those of bills"`
	Attempts int      `json:"attempts" doc:"attempts whose use was compared"`
	Booked   []Money  `json:"booked" doc:"the sum of all entries of use"`
	Computed []Money  `json:"computed" doc:"what the use that stands costs, computed anew"`
	Problems []string `json:"problems" doc:"gaps, overlaps and wrong sums; empty where all is well"`
}

// SiteReconciliation is the ledger compared with a site's own accounting.
type SiteReconciliation struct {
	Site     string    `json:"site"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until" doc:"when the site was asked"`
	Attempts []SiteUse `json:"attempts" doc:"in order of their beginning"`
}

// SiteUse is one attempt, compared. Node-time is in node-seconds, summed over the
// attempt's nodes.
type SiteUse struct {
	Verdict string   `json:"verdict" enum:"matched,missing,extra,different" doc:"missing: booked, and not in the site's accounting; extra: there, and not booked"`
	Key     string   `json:"key" doc:"of the attempt, as the site knows it"`
	Run     string   `json:"run,omitempty" doc:"absent for a gang that yard does not know"`
	Attempt int      `json:"attempt,omitempty"`
	Jobs    []string `json:"jobs" doc:"what the site calls them"`
	Live    bool     `json:"live" doc:"it runs, and is compared up to where its use is booked"`
	Booked  Decimal  `json:"booked_node_seconds" doc:"in the ledger"`
	Used    Decimal  `json:"site_node_seconds" doc:"by the site's accounting"`
	Apart   Decimal  `json:"apart_node_seconds" doc:"the site's less the ledger's"`
	AtStake *Money   `json:"at_stake,omitempty" doc:"what is apart at the rate of its placement; absent where no rate is known"`
}
