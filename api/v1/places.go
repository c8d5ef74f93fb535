package v1

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
	Cores        int    `json:"cores" doc:"host cores of one node"`
	Memory       int64  `json:"memory" doc:"host bytes of one node"`
	Rate         Money  `json:"rate" doc:"per node-hour"`
	Imputed      bool   `json:"imputed" doc:"the rate is a like instance's price, not one that is paid"`
	RateSource   string `json:"rate_source"`
}

// Site is a place that can run work, with its pools.
type Site struct {
	Name   string `json:"name"`
	Engine string `json:"engine" doc:"local, kubernetes or slurm"`
	Fault  string `json:"fault,omitempty" doc:"why its pools could not be observed"`
	Pools  []Pool `json:"pools"`
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
