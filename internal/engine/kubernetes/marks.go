package kubernetes

import (
	"encoding/json"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
)

// shape is what the engine must remember of a gang to tend it.
type shape struct {
	Key     string        `json:"key"`
	Run     string        `json:"run"`
	Pool    string        `json:"pool"`
	Image   string        `json:"image"`
	Nodes   int           `json:"nodes"`
	Ranks   int           `json:"ranks"`
	PerNode int           `json:"per_node"`
	Grace   time.Duration `json:"grace"`
	Memory  int64         `json:"memory,omitempty"`
	Means   means         `json:"means"`
	Secret  bool          `json:"secret,omitempty"` // there is a Secret to remove once all pods run
}

type releasedMark struct {
	At    time.Time `json:"at"`
	Hosts []string  `json:"hosts"`
	Nodes []string  `json:"nodes"` // their names in the cluster
	// Pods are the UIDs of those that were released, by node of the gang: what
	// the cluster puts in their place later is not let begin.
	Pods []string `json:"pods,omitempty"`
}

type stoppedMark struct {
	At    time.Time     `json:"at"`
	Grace time.Duration `json:"grace"`
	Dump  bool          `json:"dump,omitempty"`
}

// marks are what was decided of a gang, as its record has it.
type marks struct {
	shape    shape
	released *releasedMark
	stopped  *stoppedMark
	ended    *engine.Status
}

// readMarks reads the annotations of a record; ok is false for one that this
// engine did not make.
func readMarks(r record) (m marks, ok bool) {
	if json.Unmarshal([]byte(r.Annotations[noteGang]), &m.shape) != nil || m.shape.Nodes < 1 {
		return m, false
	}
	read(r.Annotations[noteReleased], &m.released)
	read(r.Annotations[noteStopped], &m.stopped)
	read(r.Annotations[noteEnded], &m.ended)
	return m, true
}

// read reads a mark that may not be there. One that somebody spoilt is as good
// as none: it is made again.
func read[T any](text string, into **T) {
	var value T
	if text != "" && json.Unmarshal([]byte(text), &value) == nil {
		*into = &value
	}
}

func toJSON(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		panic("kubernetes: a mark that has no JSON: " + err.Error()) // they are plain structs
	}
	return string(data)
}
