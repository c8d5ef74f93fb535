// Package store owns the port to the single source of truth: runs, attempts,
// decisions, the ledger, sites and quotas, in transactions.
//
// It refuses to decide or to interpret: a store keeps what it is given, whole
// or not at all, and survives the death of the process at any instruction.
package store

import (
	"context"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
)

// Store is a transactional store. All methods are safe for concurrent use.
// Failures are typed: NotFound, Conflict, Transient (try again), Internal.
type Store interface {
	// Update runs fn in one serializable read-write transaction, which commits,
	// durably, when fn returns nil and otherwise leaves no trace. Where there is
	// no room to write, it is fault.Transient. fn must not call Update.
	Update(ctx context.Context, fn func(Tx) error) error
	// View runs fn on one consistent snapshot; writes in it fail.
	View(ctx context.Context, fn func(Tx) error) error
	// Backup writes a complete, consistent copy to a new file; a path that
	// exists is fault.Conflict.
	Backup(ctx context.Context, path string) error
	// Close waits for transactions under way and releases the store, which
	// afterwards answers fault.Conflict. A second Close is harmless.
	Close() error
}

// Tx is what a transaction can do, for one goroutine. It must not be used after
// fn returned.
type Tx interface {
	// PutRun inserts or replaces a run by ID. A new run whose Submission is
	// already known is refused with fault.Conflict.
	PutRun(run fleet.Run) error
	Run(id string) (fleet.Run, error) // NotFound
	// RunBySubmission finds the run of a submission's idempotency key.
	RunBySubmission(key string) (fleet.Run, error) // NotFound
	// Runs lists runs, newest submission first.
	Runs(filter RunFilter) ([]fleet.Run, error)

	// PutAttempt inserts or replaces an attempt by run and number. The run must
	// be there (NotFound).
	PutAttempt(attempt fleet.Attempt) error
	// Attempts lists the attempts of a run by number.
	Attempts(run string) ([]fleet.Attempt, error)
	// LiveAttempts lists the attempts that are not final, oldest first.
	LiveAttempts() ([]fleet.Attempt, error)

	// PoolUses sums, by pool, what the attempts did that started from a time on;
	// those that live count until now.
	PoolUses(since, now time.Time) ([]PoolUse, error)

	// AppendDecision appends a decision about a run, which must be there
	// (NotFound).
	AppendDecision(decision fleet.Decision) error
	// DecisionsSince lists the decisions of a verb about all runs from a time
	// on, oldest first.
	DecisionsSince(verb string, since time.Time) ([]fleet.Decision, error)
	// Decisions lists the decisions about a run, oldest first.
	Decisions(run string) ([]fleet.Decision, error)

	// AppendEntry appends to the ledger and assigns the ID. An entry whose Key
	// is already booked changes nothing and reports false. An entry may be
	// reversed once (Conflict), and only if it is there (NotFound).
	AppendEntry(entry ledger.Entry) (booked bool, err error)
	// Entries calls fn for each ledger entry in order of ID until it fails. fn
	// may use the transaction; entries that it appends are not visited.
	Entries(filter EntryFilter, fn func(ledger.Entry) error) error

	PutSite(site fleet.Site) error
	Sites() ([]fleet.Site, error)
	DeleteSite(name string) error // NotFound

	// PutQuota sets the most chips (of any kind) a project may hold at once; a
	// negative limit removes the quota.
	PutQuota(project string, chips int) error
	Quotas() (map[string]int, error)

	Setting(name string) (string, error) // "" where unset
	PutSetting(name, value string) error

	// PutBlob keeps data under a name: what its owner encodes and alone can
	// read. Nil data removes it.
	PutBlob(name string, data []byte) error
	Blob(name string) ([]byte, error) // nil where there is none
}

// PoolUse is what attempts did in a pool.
type PoolUse struct {
	Pool  string // fleet.Pool.ID
	Hours float64
	Lost  int // attempts that the site took away or lost
}

// RunFilter selects runs; zero fields select all.
type RunFilter struct {
	Live    bool // queued or running only
	Project string
	Limit   int
}

// EntryFilter selects ledger entries; zero fields select all.
type EntryFilter struct {
	Run      string
	Project  string
	From, To time.Time // entries whose span begins in [From, To)
	After    int64     // entries of greater ID
}
