// Package engine owns the port through which Switchyard runs gangs: starting,
// observing, stopping and listing them on one site.
//
// It refuses to decide, retry or keep state of its own: an engine tells what
// is, under the caller's idempotency keys.
package engine

import (
	"context"
	"io"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// Engine runs gangs on one site. Failures are typed with fault.Kind:
// NoCapacity, Quota, Invalid, Transient, Lost, Conflict. All methods are safe
// for concurrent use and may be repeated.
type Engine interface {
	// Pools observes the site's pools and their sizes.
	Pools(ctx context.Context) ([]fleet.Pool, error)
	// Start starts the gang, whole or not at all. It is idempotent by
	// Gang.Key: a repeated start of a known key, ended or not, changes nothing.
	// After an error other than Invalid or Conflict the gang may still come to
	// start: repeat Start, or fence the key with Stop.
	Start(ctx context.Context, gang Gang) error
	// Observe tells the state of a gang; fault.Lost where the key is not known.
	// A gang whose keeper died is ended first, and told of with Status.Lost.
	Observe(ctx context.Context, key string) (Status, error)
	// Logs reads the log of one rank from a byte offset; reading ends at the
	// present end of the log. Offsets count the bytes that the rank wrote
	// before any bound cut them, so they stay valid; see Log.Next. fault.Lost
	// where the key is not known, fault.NotFound where the gang has no such rank.
	Logs(ctx context.Context, key string, rank int, offset int64) (Log, error)
	// History returns what the gang reported of its progress, oldest first,
	// thinned evenly where it is long; no bound on logs cuts it.
	History(ctx context.Context, key string) ([]fleet.Progress, error)
	// Stop asks the gang to end (SIGTERM), and ends it after the grace. It
	// returns at once; Observe tells when it is over. Repeating it is harmless,
	// and can only shorten the grace, counted from the first time. A key that is
	// not known is fenced: a later Start of it is refused.
	Stop(ctx context.Context, key string, grace time.Duration) error
	// List returns the keys of all gangs that the engine knows.
	List(ctx context.Context) ([]string, error)
	// Forget removes what the engine keeps of an ended gang. The key stays
	// used up: Start refuses it with fault.Conflict.
	Forget(ctx context.Context, key string) error
}

// Dumper is an engine that can have the ranks of a gang say where they hang.
type Dumper interface {
	// Dump is Stop with SIGABRT in the place of SIGTERM: runtimes that know it
	// write the stacks of a rank to its log, and end it.
	Dump(ctx context.Context, key string, grace time.Duration) error
}

// Accountant is an engine whose site keeps an accounting of its own, from which it
// charges: what yard booked can be compared with it.
type Accountant interface {
	// Used tells what gangs of the site used since a time, by the site's own
	// clock, whole spans where they began before. fault.NotFound where the site
	// keeps no accounting after all.
	Used(ctx context.Context, since time.Time) ([]fleet.Used, error)
}

// Previewer is an engine that can show what it would hand to its site.
type Previewer interface {
	// Preview returns what Start would submit of a gang, as the site's own tools
	// read it, and whether the site has checked it: not every one can without
	// starting it. Nothing is started or kept. With an error of the site's check
	// comes the text that it refused.
	Preview(ctx context.Context, gang Gang) (text string, checked bool, err error)
}

// Log is the log of one rank, read in order. Where lines were cut by
// Gang.LogCap, one line that tells how many stands in their place.
type Log interface {
	io.ReadCloser
	// Next is the offset from which a later Logs goes on after what has been
	// read so far. It is not the number of bytes read: a line that tells of
	// cut lines counts for all the bytes it stands for.
	Next() int64
}

// Gang is the ranks of one attempt.
type Gang struct {
	Key     string            `json:"key"`
	Run     string            `json:"run"`
	Pool    string            `json:"pool"` // pool name within the site
	Nodes   int               `json:"nodes"`
	Ranks   int               `json:"ranks"`
	Command []string          `json:"command"`
	Image   string            `json:"image,omitempty"`
	Dir     string            `json:"dir,omitempty"` // working directory, for engines on this machine; "" is the scratch folder
	Env     map[string]string `json:"env"`           // rendezvous variables are the engine's to add
	// Secrets are further variables. An engine keeps their values no longer
	// than until the ranks have begun, and never with the rest of the gang.
	Secrets map[string]string `json:"-"`
	LogCap  int64             `json:"log_cap"` // bytes of log kept per rank; what is cut is counted; 0 is the engine's default

	// Grace is the time between SIGTERM and SIGKILL of the other ranks when
	// one rank's failure ends the attempt; 0 is the engine's default.
	Grace time.Duration `json:"grace,omitempty"`

	// What follows is for engines of clusters; the engine of this machine
	// takes the checkpoint store alone.

	// SecretRefs are variables whose values the site's own store holds, as NAME/KEY.
	SecretRefs map[string]string `json:"secret_refs,omitempty"`
	Family     string            `json:"family,omitempty"` // chip family of the variant
	Chips      int               `json:"chips,omitempty"`  // on each node; 0 is all of the node's
	Cores      int               `json:"cores,omitempty"`  // host cores on each node; 0 is all of the node's
	Memory     int64             `json:"memory,omitempty"` // host bytes on each node; 0 asks for none in particular
	Mounts     []Mount           `json:"mounts,omitempty"`
	Priority   int               `json:"priority,omitempty"`   // of the run, from -1000 to 1000
	Avoid      []string          `json:"avoid,omitempty"`      // nodes of the site that the gang must not run on
	CacheKey   string            `json:"cache_key,omitempty"`  // names the site's compile cache for the model on the chip family; "" for none
	Checkpoint *Checkpoint       `json:"checkpoint,omitempty"` // nil: YARD_CHECKPOINT_DIR in Env is all there is
	TimeLimit  time.Duration     `json:"time_limit,omitempty"` // after which the site may end it; 0 is the site's
}

// Mount makes a directory of the node, or a volume that the site knows, visible
// to the ranks.
type Mount struct {
	Path     string `json:"path"` // absolute, as the ranks see it
	From     string `json:"from"` // directory on the node, a volume's name, or the URI of a dataset
	ReadOnly bool   `json:"read_only,omitempty"`
}

// Checkpoint is where a gang's checkpoints are kept beyond its nodes.
type Checkpoint struct {
	URL    string `json:"url"`              // store of this run: file://, s3://, azblob:// or gs://, with a prefix
	Epoch  int    `json:"epoch"`            // of the attempt
	Keep   int    `json:"keep,omitempty"`   // newest checkpoints kept; 0 is 3
	Format string `json:"format,omitempty"` // what the variant writes
	// Reads lists the formats that the variant can resume from; empty reads any.
	Reads []string `json:"reads,omitempty"`
	// Sharded tells that the ranks of every node write a part of each checkpoint;
	// else those of node 0 write all of it.
	Sharded bool `json:"sharded,omitempty"`
}

// State is where a gang is in its life.
type State string

// The states of a gang.
const (
	Starting State = "starting" // accepted; no rank's command has begun
	Running  State = "running"
	Exited   State = "exited" // every rank has ended
)

// Status is what an engine observes of a gang. Times are the engine's own;
// Started never changes once it is set, and Ended is never before it. A gang
// that ended before any command began has no Started: it used nothing.
type Status struct {
	State    State
	Started  time.Time // first rank's command began; zero where none did
	Ended    time.Time // last rank ended
	ExitCode int       // of the first rank that failed, else 0; 128+n for signal n
	Rank     int       // the rank that ExitCode is from
	Stopped  bool      // it ended because Stop was asked
	Lost     bool      // the engine lost sight of it: nothing of it runs, but code and end are its best guess
	// Preempted tells that the site took the gang away, not its program's
	// failure: preemption, eviction, a node drained or lost, the time limit.
	Preempted bool
	// Invalid tells that the gang could never begin on this site: its image
	// cannot be pulled, nothing matches its selector. A retry is of no use.
	Invalid bool
	// Waits is why a gang that is Starting does not run yet, where that is
	// known: fault.NoCapacity or fault.Quota. Reason says more.
	Waits    fault.Kind
	Nodes    []string // of the site, by node of the gang, as far as they are known
	BadNode  string   // the node that the end is due to, where one can be named
	Reason   string   // for people: "rank 3 exited 1", "killed: out of memory", …
	Progress fleet.Progress
	LogLost  int64 // log lines not kept, all ranks: over the bound, or the disk was full
	// Paces are how fast the ranks of a gang of several go, while it runs, as far
	// as they tell and as it is known; on a large site some are of a while ago.
	Paces []fleet.Pace
}
