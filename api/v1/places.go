package v1

import "time"

// Pool is a set of like nodes of one instance type in a site.
type Pool struct {
	ID           string `json:"id" doc:"site/pool"`
	Site         string `json:"site"`
	Name         string `json:"name"`
	Provider     string `json:"provider"`
	Region       string `json:"region,omitempty"`
	InstanceType string `json:"instance_type"`
	Option       string `json:"option"`
	Family       string `json:"family" doc:"chip family: cuda, neuron, rocm, tpu, gaudi or cpu"`
	Chip         string `json:"chip"`
	ChipsPerNode int    `json:"chips_per_node"`
	Nodes        int    `json:"nodes" doc:"size now"`
	MaxNodes     int    `json:"max_nodes"`
	UsedNodes    int    `json:"used_nodes" doc:"held by live attempts"`
	UsedCores    int    `json:"used_cores" doc:"held by live attempts that share a node"`
	OthersNodes  int    `json:"others_nodes" doc:"on which others have chips, where the site tells"`
	FreeNodes    int    `json:"free_nodes" doc:"held by no live attempt and no others, of those that are there now"`
	Cores        int    `json:"cores" doc:"host cores of one node"`
	Memory       int64  `json:"memory" doc:"host bytes of one node"`
	Rate         Money  `json:"rate" doc:"per node-hour"`
	Imputed      bool   `json:"imputed" doc:"the rate is a like instance's price, not one that is paid"`
	Unpriced     bool   `json:"unpriced" doc:"no price is known: the rate is zero and says nothing"`
	RateSource   string `json:"rate_source"`

	DispatchRate   Money    `json:"dispatch_rate" doc:"what a node adds to the bill in the next hour, contracts in force considered; the rate where none touches it"`
	DispatchReason string   `json:"dispatch_reason,omitempty" doc:"why that is not the rate"`
	Contracts      []string `json:"contracts,omitempty" doc:"in force, that touch the price"`

	Draining bool       `json:"draining" doc:"its site drains: it takes no new run"`
	Ends     *time.Time `json:"ends,omitempty" doc:"when its capacity goes away"`
}

// Site is a place that can run work, with its pools.
type Site struct {
	Name        string     `json:"name"`
	Engine      string     `json:"engine" doc:"local, kubernetes or slurm"`
	Health      string     `json:"health" doc:"ok, or away: it cannot be observed now"`
	Fault       string     `json:"fault,omitempty" doc:"why its pools could not be observed"`
	Draining    bool       `json:"draining" doc:"it takes no new run, and those that run there move away"`
	Live        int        `json:"live" doc:"attempts that are live there"`
	File        string     `json:"file,omitempty" doc:"the file that it was added from"`
	Added       *time.Time `json:"added,omitempty"`
	Checkpoints string     `json:"checkpoints,omitempty" doc:"its own store of checkpoints"`
	Pools       []Pool     `json:"pools"`
}

// SiteFile connects the site that a file describes.
type SiteFile struct {
	File    string `json:"file" maxLength:"4096" doc:"its name, for messages"`
	Content string `json:"content"`
	DryRun  bool   `json:"dry_run,omitempty" doc:"look at the site and keep nothing"`
}

// SiteDrain makes a site drain, or take runs again.
type SiteDrain struct {
	Drain bool `json:"drain"`
}

// SiteList is all connected sites.
type SiteList struct {
	Sites []Site `json:"sites"`
}

// Quota is the most chips that a project may hold at once.
type Quota struct {
	Project string `json:"project"`
	Chips   int    `json:"chips" doc:"the limit"`
	Used    int    `json:"used" doc:"held by live attempts now"`
}

// QuotaList is all quotas, by project.
type QuotaList struct {
	Quotas []Quota `json:"quotas"`
}

// QuotaChange sets or removes the quota of a project.
type QuotaChange struct {
	Chips int `json:"chips" minimum:"-1" doc:"-1 removes the quota"`
}

// Health says that the control plane answers, and who it is.
type Health struct {
	Status  string `json:"status" doc:"ok"`
	Version string `json:"version"`
	PID     int    `json:"pid"`
}
