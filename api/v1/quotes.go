package v1

// QuoteRequest asks for the merit order of a workload file.
type QuoteRequest struct {
	File    string `json:"file" maxLength:"4096" doc:"name of the workload file, for messages"`
	Content string `json:"content" doc:"the workload file itself (YAML)"`
}

// PriceRequest asks what nodes of a pool cost a run that comes to it.
type PriceRequest struct {
	Pool    string  `json:"pool" minLength:"1" maxLength:"200" doc:"site/pool"`
	Project string  `json:"project,omitempty" maxLength:"200"`
	Nodes   int     `json:"nodes" minimum:"1" maximum:"1000000"`
	Seconds float64 `json:"seconds" minimum:"0" maximum:"4e9" doc:"for how long"`
}

// PriceAnswer is the price of a node-hour, on average over nodes and time.
type PriceAnswer struct {
	Rate         Money    `json:"rate" doc:"of the pool"`
	DispatchRate Money    `json:"dispatch_rate" doc:"what a node-hour adds to the bill, contracts in force considered"`
	Reason       string   `json:"reason,omitempty"`
	Contracts    []string `json:"contracts,omitempty" doc:"in force, that touch the price"`
}
