package v1

import "time"

// LedgerEntry is one line of the ledger. Entries are never changed; a
// correction is a reversing entry.
type LedgerEntry struct {
	ID        int64     `json:"id"`
	Category  string    `json:"category"`
	Reverses  int64     `json:"reverses,omitempty" doc:"ID of the entry that this one takes back"`
	Run       string    `json:"run"`
	Attempt   int       `json:"attempt"`
	Project   string    `json:"project"`
	Pool      string    `json:"pool"`
	Provider  string    `json:"provider"`
	Chipmaker string    `json:"chipmaker"`
	Chip      string    `json:"chip"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Nodes     int       `json:"nodes"`
	Chips     int       `json:"chips"`
	Rate      Money     `json:"rate" doc:"per node-hour"`
	Imputed   bool      `json:"imputed"`
	Cost      Money     `json:"cost"`
	Booked    time.Time `json:"booked"`
	Note      string    `json:"note,omitempty"`
}

// LedgerEntries is lines of the ledger in order.
type LedgerEntries struct {
	Entries []LedgerEntry `json:"entries"`
}

// LedgerGroup is what one run, project, pool, … used and cost. Money is one
// amount for each currency; what is imputed, not paid, is apart.
type LedgerGroup struct {
	Group     string  `json:"group"`
	Entries   int     `json:"entries" doc:"lines, reversals included"`
	NodeHours Decimal `json:"node_hours"`
	ChipHours Decimal `json:"chip_hours"`
	Cost      []Money `json:"cost"`
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
	Attempts int      `json:"attempts" doc:"attempts whose use was compared"`
	Booked   []Money  `json:"booked" doc:"the sum of all entries"`
	Computed []Money  `json:"computed" doc:"what the use that stands costs, computed anew"`
	Problems []string `json:"problems" doc:"gaps, overlaps and wrong sums; empty where all is well"`
}
