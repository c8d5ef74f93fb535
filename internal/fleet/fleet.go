// Package fleet owns the nouns of what runs where: sites, pools, runs,
// attempts, and decisions with their reasons.
//
// It refuses to decide (scheduler) and to touch the world (engine, store).
package fleet

import (
	"time"

	"github.com/switchyard-ai/switchyard/internal/units"
)

// Site is a place that can run work, through one engine.
type Site struct {
	Name   string `json:"name"`
	Engine string `json:"engine"` // "local", "kubernetes", "slurm"

	Spec     []byte    `json:"-"`              // the site file as added; nil for local
	SpecFile string    `json:"-"`              // its name, for messages
	Draining bool      `json:"draining"`       // takes no new gang; its runs move away
	Added    time.Time `json:"added,omitzero"` //
}

// Pool is a set of like nodes of one instance type and purchase option in one site.
type Pool struct {
	Site         string     `json:"site"`
	Name         string     `json:"name"`
	Provider     string     `json:"provider"`
	Region       string     `json:"region,omitempty"`
	InstanceType string     `json:"instance_type"`
	Option       string     `json:"option"`
	Family       string     `json:"family"` // chip family
	Chip         string     `json:"chip"`
	ChipsPerNode int        `json:"chips_per_node"`
	Nodes        int        `json:"nodes"` // size now
	MaxNodes     int        `json:"max_nodes"`
	Others       int        `json:"others,omitempty"` // of Nodes, those on which others have chips, where the site tells
	Cores        int        `json:"cores"`            // host cores of one node
	Memory       int64      `json:"memory"`           // host bytes of one node
	Rate         units.Rate `json:"rate"`             // per node-hour
	Imputed      bool       `json:"imputed"`
	RateSource   string     `json:"rate_source"`

	Draining bool          `json:"draining"`      // its site drains: no new gang, and those that run move away
	Ends     time.Time     `json:"ends,omitzero"` // when its capacity goes away; zero for never
	Notice   time.Duration `json:"notice"`        // before Ends, from which on it drains; 0 is the default

	Fault    string `json:"-"`        // why its site cannot be observed now: the rest is of before
	Unpriced bool   `json:"unpriced"` // no price is known: the rate is zero and says nothing

	// Interruptions is how often the site took away a gang in the Observed
	// hours that gangs ran there: what a merit order counts on.
	Interruptions int     `json:"interruptions,omitempty"`
	Observed      float64 `json:"observed,omitempty"`
}

// ID names a pool across sites: "site/pool".
func (p Pool) ID() string { return p.Site + "/" + p.Name }

// RunState is where a run is in its life.
type RunState string

// The states of a run. Queued and Running are live, the others final.
const (
	Queued    RunState = "queued"
	Running   RunState = "running"
	Succeeded RunState = "succeeded"
	Failed    RunState = "failed"
	Stopped   RunState = "stopped"
)

// Final reports whether a run in this state never changes again.
func (s RunState) Final() bool { return s == Succeeded || s == Failed || s == Stopped }

// Run is one execution of a workload.
type Run struct {
	ID         string        `json:"id"`
	Name       string        `json:"name"` // of the workload
	Kind       string        `json:"kind"`
	Project    string        `json:"project"`
	Priority   int           `json:"priority"`
	Spec       []byte        `json:"-"` // the workload file as submitted
	SpecFile   string        `json:"-"` // its name, for messages
	Dir        string        `json:"-"` // working directory of the submitter: where the local engine starts ranks
	State      RunState      `json:"state"`
	StopAsked  bool          `json:"stop_asked"`
	StopGrace  time.Duration `json:"-"` // between SIGTERM and SIGKILL when stopped; 0 is the default
	Submitted  time.Time     `json:"submitted"`
	Ended      time.Time     `json:"ended,omitzero"`
	NotBefore  time.Time     `json:"not_before,omitzero"` // backoff: no attempt starts earlier
	Failures   int           `json:"failures"`            // failed attempts that count against the limit
	ExitCode   int           `json:"exit_code"`
	Reason     string        `json:"reason,omitempty"` // why it is in this state, for people
	Submission string        `json:"-"`                // idempotency key of the submission

	// Target is where it goes on next, as SITE or SITE/POOL: set when a move is
	// decided, empty again when the next attempt is placed.
	Target string `json:"target,omitempty"`
	Trial  *Trial `json:"trial,omitempty"` // nil but for a run that qualifies a pool
}

// Trial is what a run measures that qualifies a pool for another run.
type Trial struct {
	Of        string  `json:"of"`        // the other run
	Pool      string  `json:"pool"`      // Pool.ID, the only one that it may use
	From      int64   `json:"from"`      // step of the checkpoint that it goes on from
	Loss      float64 `json:"loss"`      // that the other run reported there
	Tolerance float64 `json:"tolerance"` // by which the loss may differ, as a share of Loss
	Steps     int64   `json:"steps"`     // that are measured
	Epoch     int     `json:"epoch"`     // of the attempt that wrote the checkpoint: those of the trial follow it
}

// Qualification is that a model was shown to train on a chip family: how fast,
// and that its loss goes on where it was.
type Qualification struct {
	Model        string    `json:"model"`  // or the workload, where it names no model
	Family       string    `json:"family"` // chip family
	Chip         string    `json:"chip"`
	InstanceType string    `json:"instance_type"`
	Pool         string    `json:"pool"`
	Nodes        int       `json:"nodes"`
	Steps        int64     `json:"steps"`             // measured
	Speed        float64   `json:"tokens_per_second"` // 0 where the steps' tokens are not known
	Loss         float64   `json:"loss"`              // on average over the steps
	Reference    float64   `json:"reference"`         // of the run that was tried, about the same steps
	Of           string    `json:"of"`                // that run
	Trial        string    `json:"trial"`             // the run that measured
	At           time.Time `json:"at"`
}

// AttemptState is where an attempt is in its life.
type AttemptState string

// The states of an attempt. Recorded means the intent is stored and the engine
// may or may not have heard of it.
const (
	AttemptRecorded  AttemptState = "recorded"
	AttemptRunning   AttemptState = "running"
	AttemptSucceeded AttemptState = "succeeded"
	AttemptFailed    AttemptState = "failed"
	AttemptLost      AttemptState = "lost"
	AttemptStopped   AttemptState = "stopped"
)

// Final reports whether an attempt in this state never changes again.
func (s AttemptState) Final() bool { return s != AttemptRecorded && s != AttemptRunning }

// Attempt is one try to run a run on a pool. At most one attempt of a run
// counts: the one with the highest Epoch.
type Attempt struct {
	Run     string       `json:"run"`
	Number  int          `json:"number"` // 1, 2, …
	Epoch   int          `json:"epoch"`  // fences checkpoints: those of a superseded epoch are ignored
	Pool    string       `json:"pool"`   // Pool.ID
	Site    string       `json:"site"`
	Nodes   int          `json:"nodes"`
	Ranks   int          `json:"ranks"`
	Cores   int          `json:"cores,omitempty"` // host cores held on each node, for family cpu
	State   AttemptState `json:"state"`
	Created time.Time    `json:"created"`
	Started time.Time    `json:"started,omitzero"` // the engine's own time
	Ended   time.Time    `json:"ended,omitzero"`   // the engine's own time
	Exit    int          `json:"exit_code"`
	Reason  string       `json:"reason,omitempty"`
	Metered time.Time    `json:"metered,omitzero"` // the ledger holds usage up to here

	Provider  string     `json:"provider"`
	Chipmaker string     `json:"chipmaker"`
	Chip      string     `json:"chip"`
	Chips     int        `json:"chips"`
	Rate      units.Rate `json:"rate"` // per node-hour for the share of each node that it holds, in force when placed
	Imputed   bool       `json:"imputed"`

	// What contracts go by beside the provider, as the pool had it when placed.
	Region       string `json:"region,omitempty"`
	InstanceType string `json:"instance_type,omitempty"`
	Option       string `json:"option,omitempty"`

	Store   string `json:"store,omitempty"`    // URL of its checkpoints; "" where they are a directory of its site alone
	BadNode string `json:"bad_node,omitempty"` // node of the site that its end is due to

	Progress Progress `json:"progress,omitzero"`

	Slow []SlowRank `json:"slow,omitempty"` // ranks that were slower than the others, by number
}

// Key is the idempotency key under which the engine knows the attempt.
func (a Attempt) Key() string { return AttemptKey(a.Run, a.Number) }

// Progress is the last that an attempt reported of itself.
type Progress struct {
	At              time.Time `json:"at,omitzero"`
	Step            int64     `json:"step"`
	Steps           int64     `json:"steps"`
	Loss            float64   `json:"loss"`
	Tokens          int64     `json:"tokens"`
	TokensPerSecond float64   `json:"tokens_per_second"`
	CheckpointStep  int64     `json:"checkpoint_step"`
	EvalLoss        float64   `json:"eval_loss,omitempty"`
	BaselineLoss    float64   `json:"baseline_loss,omitempty"`
	// LossNaNSince is the step since which the loss is reported and is not a
	// number, at least 1; 0 where it is one, or none was reported. Loss is 0 then.
	LossNaNSince int64 `json:"loss_nan_since,omitempty"`
}

// Decision is something Switchyard decided about a run, with its reasons.
type Decision struct {
	Run     string    `json:"run"`
	At      time.Time `json:"at"`
	Verb    string    `json:"verb"` // "place", "wait", "restart", "give up", "stop", …
	Subject string    `json:"subject,omitempty"`
	Reasons []string  `json:"reasons"`
}
