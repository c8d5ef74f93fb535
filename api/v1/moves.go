package v1

import "time"

// MoveRequest asks for a run to go on elsewhere.
type MoveRequest struct {
	To     string `json:"to" minLength:"1" maxLength:"200" doc:"SITE, or SITE/POOL"`
	DryRun bool   `json:"dry_run,omitempty" doc:"weigh the move and change nothing"`
}

// MoveChoice is what a move to one pool would bring.
type MoveChoice struct {
	Pool       string   `json:"pool" doc:"site/pool"`
	RuledOut   []string `json:"ruled_out,omitempty" doc:"why the run cannot go on there; empty where it can"`
	Known      bool     `json:"known" doc:"whether the costs to the end are known"`
	Stay       Money    `json:"stay" doc:"from now to the end where it is"`
	Go         Money    `json:"go" doc:"from now to the end there, with all that the move costs"`
	Egress     Money    `json:"egress" doc:"the way of the checkpoint, in go"`
	Hourly     Money    `json:"hourly" doc:"of the nodes there"`
	Unpriced   bool     `json:"unpriced,omitempty" doc:"no price is known there: hourly says nothing"`
	Saving     float64  `json:"saving" doc:"share of stay"`
	Disruption float64  `json:"disruption_seconds" doc:"until the run is where it was when it left"`
	Score      float64  `json:"score" doc:"share saved ÷ share of the time left that is disrupted"`
	Reasons    []string `json:"reasons"`
}

// MoveAnswer is what was decided about a move that was asked for.
type MoveAnswer struct {
	Run     string       `json:"run"`
	To      string       `json:"to" doc:"the pool that it goes to"`
	DryRun  bool         `json:"dry_run"`
	Choices []MoveChoice `json:"choices" doc:"the pools that were asked for, best first"`
}

// TrialRequest asks for a trial of a run's model on a pool.
type TrialRequest struct {
	On        string  `json:"on" minLength:"1" maxLength:"200" doc:"site/pool"`
	Steps     int64   `json:"steps,omitempty" minimum:"0" maximum:"1000000" doc:"steps to measure; 0 is 50"`
	Tolerance float64 `json:"tolerance,omitempty" minimum:"0" maximum:"1" doc:"share by which the loss may differ; 0 is 0.05"`
}

// Qualification is that a model was shown to train on a chip family.
type Qualification struct {
	Model           string    `json:"model" doc:"or the workload, where it names no model"`
	Family          string    `json:"family" doc:"chip family"`
	Chip            string    `json:"chip"`
	InstanceType    string    `json:"instance_type"`
	Pool            string    `json:"pool"`
	Nodes           int       `json:"nodes"`
	Steps           int64     `json:"steps" doc:"measured"`
	TokensPerSecond float64   `json:"tokens_per_second" doc:"0 where it is not known"`
	Loss            float64   `json:"loss" doc:"on average over the steps"`
	Reference       float64   `json:"reference" doc:"loss of the run that was tried, about the same steps"`
	Of              string    `json:"of" doc:"that run"`
	Trial           string    `json:"trial" doc:"the run that measured"`
	At              time.Time `json:"at"`
}

// QualificationList is all qualifications, by model and chip family.
type QualificationList struct {
	Qualifications []Qualification `json:"qualifications"`
}
