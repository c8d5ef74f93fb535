// Package ledger owns the append-only record of what was used and what it
// cost: entries, their balance, and the proof that nothing is missing.
//
// It refuses to change an entry: a correction is a reversing entry beside it.
package ledger

import (
	"time"

	"github.com/switchyard-ai/switchyard/internal/units"
)

// Category says what an entry books.
type Category string

// The categories of entries.
const (
	Usage Category = "usage" // node-hours of an attempt at the offer in force
)

// Entry is one line of the ledger. Entries are never changed.
type Entry struct {
	ID       int64    `json:"id"`  // assigned on append, ascending
	Key      string   `json:"key"` // unique: the same fact is booked once
	Category Category `json:"category"`
	Reverses int64    `json:"reverses,omitempty"` // ID of the entry that this one takes back

	Run       string `json:"run"`
	Attempt   int    `json:"attempt"`
	Project   string `json:"project"`
	Pool      string `json:"pool"`
	Provider  string `json:"provider"`
	Chipmaker string `json:"chipmaker"`
	Chip      string `json:"chip"`

	From    time.Time    `json:"from"` // the span of use: [From, To)
	To      time.Time    `json:"to"`
	Nodes   int          `json:"nodes"`
	Chips   int          `json:"chips"`
	Rate    units.Rate   `json:"rate"` // per node-hour
	Imputed bool         `json:"imputed"`
	Cost    units.Amount `json:"cost"`
	Booked  time.Time    `json:"booked"`
	Note    string       `json:"note,omitempty"`
}
