package v1

import "time"

// Checkpoint is a checkpoint of a run.
type Checkpoint struct {
	Name    string    `json:"name"`
	Step    int64     `json:"step"`
	Epoch   int       `json:"epoch" doc:"of the attempt that wrote it; 0 where nobody knows"`
	State   string    `json:"state" doc:"complete, partial, damaged or superseded; local where it is in a directory of this machine alone"`
	Reason  string    `json:"reason,omitempty"`
	Size    int64     `json:"size" doc:"bytes"`
	Parts   int       `json:"parts" doc:"nodes that write parts of it"`
	Format  string    `json:"format,omitempty"`
	Written time.Time `json:"written,omitzero"`
	Store   string    `json:"store" doc:"URL without its options, or the directory"`
}

// Unread is a store that could not be read.
type Unread struct {
	Store  string `json:"store"`
	Reason string `json:"reason"`
}

// Reported is a checkpoint that a program says it wrote, where none can be seen.
type Reported struct {
	Attempt int       `json:"attempt"`
	Pool    string    `json:"pool"`
	Step    int64     `json:"step"`
	At      time.Time `json:"at,omitzero"`
	Where   string    `json:"where,omitempty" doc:"where it would be: a store without its options, or a directory of this machine; left out where the attempt has no store"`
}

// CheckpointList is the answer of listing a run's checkpoints.
type CheckpointList struct {
	Checkpoints []Checkpoint `json:"checkpoints" doc:"of the store of the newest attempt first, in each the newest first"`
	Unread      []Unread     `json:"unread,omitempty"`
	Reported    []Reported   `json:"reported,omitempty" doc:"the newest that the program says it wrote, by place, where none is listed"`
}
