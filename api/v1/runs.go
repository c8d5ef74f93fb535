package v1

import "time"

// Submission asks for a run of a workload file.
type Submission struct {
	Key      string `json:"key,omitempty" maxLength:"256" doc:"idempotency key: the same key submits once, however often it is sent; with another content, project or priority it is a conflict"`
	File     string `json:"file" maxLength:"4096" doc:"name of the workload file, for messages"`
	Content  string `json:"content" doc:"the workload file itself (YAML)"`
	Dir      string `json:"dir,omitempty" maxLength:"4096" doc:"absolute directory where engines on this machine start the ranks"`
	Project  string `json:"project,omitempty" doc:"overrides the file's project"`
	Priority *int   `json:"priority,omitempty" doc:"overrides the file's priority"`
	Wait     bool   `json:"wait,omitempty" doc:"queue it also where no pool that is connected now can ever take it; otherwise that is refused"`
}

// PreviewRequest asks what a run of a workload file would be on a pool.
type PreviewRequest struct {
	File     string `json:"file" maxLength:"4096" doc:"name of the workload file, for messages"`
	Content  string `json:"content" doc:"the workload file itself (YAML)"`
	Dir      string `json:"dir,omitempty" maxLength:"4096" doc:"absolute directory where engines on this machine start the ranks"`
	Project  string `json:"project,omitempty" doc:"overrides the file's project"`
	Priority *int   `json:"priority,omitempty" doc:"overrides the file's priority"`
	On       string `json:"on,omitempty" maxLength:"200" doc:"SITE/POOL, or SITE for its best pool; by default the best of all"`
}

// Preview is what a run would be on a pool. Nothing was started.
type Preview struct {
	Pool    string `json:"pool" doc:"site/pool"`
	Engine  string `json:"engine"`
	Nodes   int    `json:"nodes"`
	Ranks   int    `json:"ranks"`
	Reason  string `json:"reason" doc:"why this pool"`
	Text    string `json:"text" doc:"what the engine would hand to the site: manifests (YAML), a batch script, or on this machine the command of a rank"`
	Checked bool   `json:"checked" doc:"the site has taken it, in a dry run"`
}

// Run is one execution of a workload.
type Run struct {
	ID        string    `json:"id"`
	Name      string    `json:"name" doc:"of the workload"`
	Kind      string    `json:"kind" doc:"Training, Service or Batch"`
	Project   string    `json:"project"`
	Priority  int       `json:"priority"`
	State     string    `json:"state" doc:"queued, running, succeeded, failed or stopped"`
	StopAsked bool      `json:"stop_asked"`
	Submitted time.Time `json:"submitted"`
	Started   time.Time `json:"started,omitzero" doc:"when its first attempt's first rank began, by the engine's clock"`
	Ended     time.Time `json:"ended,omitzero"`
	NotBefore time.Time `json:"not_before,omitzero" doc:"no attempt starts earlier (backoff after a failure)"`
	ExitCode  int       `json:"exit_code"`
	Failures  int       `json:"failures" doc:"failed attempts since the last progress"`
	Reason    string    `json:"reason,omitempty" doc:"why it is in this state"`

	Attempts    int       `json:"attempts" doc:"how many tries so far"`
	Pool        string    `json:"pool,omitempty" doc:"of the last attempt: site/pool"`
	Chip        string    `json:"chip,omitempty"`
	Chips       int       `json:"chips"`
	Cost        Money     `json:"cost" doc:"of all attempts until now"`
	CostImputed bool      `json:"cost_imputed" doc:"the rate is a like instance's price, not one that is paid"`
	Target      string    `json:"target,omitempty" doc:"where it goes on next, while it moves: SITE or SITE/POOL"`
	Rate        Money     `json:"rate" doc:"what the attempt costs an hour, all nodes"`
	Progress    *Progress `json:"progress,omitempty"`
	Checkpoints string    `json:"checkpoints,omitempty" doc:"where its last attempt keeps checkpoints: the URL of a store, or a directory of this machine; left out where that is not known"`

	SlowRanks []SlowRank `json:"slow_ranks,omitempty" doc:"of the attempt that runs: ranks that are slower than the others now"`
}

// Progress is the last that a run reported of itself.
type Progress struct {
	At              time.Time `json:"at,omitzero"`
	Step            int64     `json:"step"`
	Steps           int64     `json:"steps" doc:"0 where it did not say how many there will be"`
	Loss            float64   `json:"loss"`
	Tokens          int64     `json:"tokens"`
	TokensPerSecond float64   `json:"tokens_per_second"`
	CheckpointStep  int64     `json:"checkpoint_step"`
	EvalLoss        float64   `json:"eval_loss,omitempty"`
	BaselineLoss    float64   `json:"baseline_loss,omitempty"`
	LossNaNSince    int64     `json:"loss_nan_since,omitempty" doc:"step since which the loss is not a number; loss is 0 then"`
}

// Attempt is one try to run a run on a pool.
type Attempt struct {
	Number   int       `json:"number"`
	Epoch    int       `json:"epoch" doc:"fences checkpoints: those of a superseded epoch are ignored"`
	Pool     string    `json:"pool"`
	State    string    `json:"state" doc:"recorded, running, succeeded, failed, lost or stopped"`
	Nodes    int       `json:"nodes"`
	Ranks    int       `json:"ranks"`
	Chip     string    `json:"chip"`
	Chips    int       `json:"chips"`
	Cores    int       `json:"cores,omitempty" doc:"host cores held on each node where it shares them; 0: all"`
	Rate     Money     `json:"rate" doc:"of an hour, all nodes"`
	Created  time.Time `json:"created"`
	Started  time.Time `json:"started,omitzero" doc:"by the engine's clock"`
	Ended    time.Time `json:"ended,omitzero" doc:"by the engine's clock"`
	ExitCode int       `json:"exit_code"`
	Reason   string    `json:"reason,omitempty"`
	Cost     Money     `json:"cost"`
	Imputed  bool      `json:"cost_imputed"`
	Progress *Progress `json:"progress,omitempty"`

	SlowRanks []SlowRank `json:"slow_ranks,omitempty" doc:"ranks that are, or were, slower than the others of it"`
}

// SlowRank is a rank that is, or was, slower than the others of its attempt.
type SlowRank struct {
	Rank    int       `json:"rank"`
	Node    string    `json:"node,omitempty" doc:"of the site; left out where it is the only one"`
	Measure string    `json:"measure" doc:"what ranks are compared by: compute, as they report it, or the whole step"`
	Seconds float64   `json:"seconds" doc:"of a step, the rank's median"`
	Others  float64   `json:"others_seconds" doc:"of a step, the median of the other ranks"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until,omitzero" doc:"when it kept up again; left out while it is slow"`
	Spells  int       `json:"spells" doc:"how often it became slow"`
	Text    string    `json:"text" doc:"the same for people"`
}

// Decision is something that was decided about a run, with its reasons.
type Decision struct {
	At      time.Time `json:"at"`
	Verb    string    `json:"verb" doc:"place, wait, restart, give up, stop, …"`
	Subject string    `json:"subject,omitempty"`
	Reasons []string  `json:"reasons"`
}

// RunDetail is a run with its attempts and all that was decided about it.
type RunDetail struct {
	Run
	AttemptList []Attempt  `json:"attempt_list"`
	Decisions   []Decision `json:"decisions"`
}

// StopRequest asks a run to end.
type StopRequest struct {
	GraceSeconds *int `json:"grace_seconds,omitempty" minimum:"0" maximum:"86400" doc:"between SIGTERM and SIGKILL; by default the server's"`
}

// RunList is a list of runs, newest first.
type RunList struct {
	Runs []Run `json:"runs"`
}

// Waiting is a queued run and why it waits.
type Waiting struct {
	Position  int       `json:"position" doc:"1 is next"`
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Project   string    `json:"project"`
	Priority  int       `json:"priority"`
	Submitted time.Time `json:"submitted"`
	NotBefore time.Time `json:"not_before,omitzero"`
	Reasons   []string  `json:"reasons"`
}

// Queue is the runs that wait, next first.
type Queue struct {
	Waiting []Waiting `json:"waiting"`
}

// Point is one report of progress.
type Point struct {
	Attempt int `json:"attempt"`
	Progress
}

// History is the progress that a run reported, oldest first.
type History struct {
	Points []Point `json:"points"`
}
