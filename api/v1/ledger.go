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

// LedgerGroup is what one run, project, pool, … used and cost.
type LedgerGroup struct {
	Group     string  `json:"group"`
	NodeHours Decimal `json:"node_hours"`
	ChipHours Decimal `json:"chip_hours"`
	Cost      Money   `json:"cost"`
	Imputed   bool    `json:"imputed" doc:"some of the cost is at an imputed rate"`
	Entries   int     `json:"entries"`
}

// LedgerSummary is the ledger added up by one dimension.
type LedgerSummary struct {
	By     string        `json:"by"`
	Groups []LedgerGroup `json:"groups"`
	Total  []Money       `json:"total" doc:"one amount for each currency"`
}

// LedgerVerdict is the result of proving the ledger.
type LedgerVerdict struct {
	Entries  int      `json:"entries"`
	Attempts int      `json:"attempts" doc:"attempts whose usage was compared"`
	Faults   []string `json:"faults" doc:"gaps, overlaps and wrong sums; empty where it balances"`
}
