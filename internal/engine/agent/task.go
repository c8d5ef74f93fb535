// Package agent owns the keeper of one node's ranks on a cluster: it waits for
// the release of its gang, brings the newest checkpoint, runs the ranks, takes
// their progress and logs, uploads checkpoints, and reports how they ended.
//
// It refuses to know which engine put it there: what it needs is in its task.
//
// It ends with the exit code of its ranks: of the first that failed, else 0. Where
// it was stopped, and its ranks ended well on that, it ends with 143, so that
// nothing around takes a stopped gang for one that has done its work; and with
// 125 where it could not do its own part. Its report tells these apart.
package agent

import (
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// Task is what the agent of one node does. Rank r lives on node r ÷ PerNode.
type Task struct {
	Gang    engine.Gang `json:"gang"`     // without the values of secrets
	PerNode int         `json:"per_node"` // ranks on each node, the last node may have fewer
	// SecretFiles are files on this node that hold the values of variables; on
	// engines that set secrets themselves there are none.
	SecretFiles map[string]string `json:"secret_files,omitempty"`
	// Release is a file that the engine writes when all nodes are bound (see
	// Release); no command begins before. "" where the engine starts all nodes
	// at once and Hosts is known from the environment.
	Release string `json:"release,omitempty"`
	// Dir keeps ranks/N.log, progress.json, progress.jsonl, paces.json and report.json of
	// this node; a stop is asked by writing stop.json there. "" makes the
	// agent write log lines to its standard output, each behind "N " for its rank.
	Dir string `json:"dir,omitempty"`
	// Stop is a further file by which a stop may be asked, as stop.json; it is
	// looked at where it can be read.
	Stop string `json:"stop,omitempty"`
	// TermGrace is what the ranks have after SIGTERM to the agent, which is a
	// stop too; 0 is the gang's grace.
	TermGrace  time.Duration `json:"term_grace,omitempty"`
	Report     string        `json:"report,omitempty"`     // further copy of the report, such as /dev/termination-log
	Scratch    string        `json:"scratch"`              // YARD_SCRATCH
	Checkpoint string        `json:"checkpoint,omitempty"` // YARD_CHECKPOINT_DIR on this node
	Shared     bool          `json:"shared,omitempty"`     // all nodes of the gang see the same Checkpoint
	Port       int           `json:"port"`                 // MASTER_PORT
}

// Release tells the agents of a gang that all its nodes are bound.
type Release struct {
	Hosts []string `json:"hosts"` // address of each node, by node of the gang; the first is MASTER_ADDR
}

// Report is what the agent of one node leaves behind, also as far as it is
// known while the ranks run.
type Report struct {
	Node     int            `json:"node"`
	Host     string         `json:"host"`              // name of the node, as the site has it where the agent knows
	Started  time.Time      `json:"started,omitzero"`  // first command began
	Ended    time.Time      `json:"ended,omitzero"`    // last rank of this node ended
	ExitCode int            `json:"exit_code"`         // of the first rank that failed, else 0
	Rank     int            `json:"rank"`              // the rank that ExitCode is from
	Stopped  bool           `json:"stopped,omitempty"` // it ended by SIGTERM to the agent or stop.json, not by itself
	Reason   string         `json:"reason,omitempty"`
	Progress fleet.Progress `json:"progress,omitzero"` // of rank 0, on its node
	LogLost  int64          `json:"log_lost,omitempty"`
	Stored   int64          `json:"stored_step,omitempty"` // of the newest checkpoint in the store, on node 0
}
