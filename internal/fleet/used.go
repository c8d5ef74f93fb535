package fleet

import "time"

// Used is a span for which a site, by its own accounting, gave nodes to a gang.
// One gang may have several.
type Used struct {
	Key   string    `json:"key"`   // of the attempt; see AttemptKey
	Job   string    `json:"job"`   // what the site calls it
	State string    `json:"state"` // in the site's own word
	Start time.Time `json:"start"`
	End   time.Time `json:"end,omitzero"` // zero while it runs
	Nodes int       `json:"nodes"`
}
