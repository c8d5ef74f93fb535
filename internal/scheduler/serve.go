package scheduler

import (
	"math"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// ServiceSpeed is what one instance type does for a service: the replicas that
// its peak traffic needs at the SLO, and how they are spread.
type ServiceSpeed struct {
	Type        *catalog.InstanceType
	Nodes       int
	Replicas    int
	Layout      Parallelism // of one replica
	PerReplica  float64     // requests/s at which a replica still keeps the SLO
	TTFT, TPOT  float64     // s, median at the peak
	PrefillTime float64     // share of the time that goes into input tokens
	Wide        float64     // factor around PerReplica that holds 80% of measurements
	Parts       []Part      // of one decoding step
	Status      string
	Infeasible  string
}

// Served are the figures of a candidate for a service.
type Served struct {
	Replicas         int     `json:"replicas"`
	RequestsPerSec   float64 `json:"requests_per_second"` // that all replicas can take at the SLO
	TTFT             float64 `json:"ttft_seconds"`        // median at the peak
	TPOT             float64 `json:"tpot_seconds"`        // median at the peak
	CostPerMillionIn Decimal `json:"cost_per_million_input_tokens"`
	CostPerMillionOu Decimal `json:"cost_per_million_output_tokens"`
}

// Traffic is what a service serves, on average over a busy hour.
type Traffic struct {
	Requests      float64 // per second
	Input, Output float64 // tokens per request
}

// RankServices joins service speeds with offers and prices. The cost of a
// candidate is that of one hour of all its nodes, and its cost per million
// tokens counts the tokens of the mean traffic: capacity for peaks is paid for.
func RankServices(w *workload.Workload, file string, traffic Traffic, speeds []ServiceSpeed, offers []catalog.Offer, prices Prices) []*RankedCandidate {
	byType := map[*catalog.InstanceType]*ServiceSpeed{}
	for i := range speeds {
		byType[speeds[i].Type] = &speeds[i]
	}
	var ranked []*RankedCandidate
	for _, offer := range offers {
		speed := byType[offer.Type]
		if speed == nil {
			continue
		}
		ranked = append(ranked, judgeService(traffic, offer, speed, prices(offer), Exclusions(w, file, offer)))
	}
	SortMerit(ranked)
	return ranked
}

func judgeService(traffic Traffic, offer catalog.Offer, speed *ServiceSpeed, price Price, excluded []string) *RankedCandidate {
	c := newCandidate(offer, speed.Nodes, price, excluded)
	c.Parallelism, c.Status, c.Step = speed.Layout, speed.Status, speed.Parts
	if speed.Infeasible != "" {
		c.Reasons = append(c.Reasons, speed.Infeasible)
		return c
	}
	c.TokensPerSecond = traffic.Requests * (traffic.Input + traffic.Output)
	c.Seconds = time.Hour.Seconds()
	c.Cost = price.Marginal.ForHours(c.Nodes, time.Hour)
	// A wider interval of the speed means more or fewer nodes.
	scaled := func(factor float64) int { return max(1, int(math.Ceil(float64(c.Nodes)*factor))) }
	c.CostLow = price.Marginal.ForHours(scaled(1/speed.Wide), time.Hour)
	c.CostHigh = price.Marginal.ForHours(scaled(speed.Wide), time.Hour)
	served := &Served{
		Replicas: speed.Replicas, RequestsPerSec: speed.PerReplica * float64(speed.Replicas), TTFT: speed.TTFT, TPOT: speed.TPOT,
	}
	perMillion := func(share, tokensPerHour float64) Decimal {
		if tokensPerHour <= 0 {
			return Decimal{c.Cost.Per(decimal.NewFromInt(1))}
		}
		rate := c.Cost.Per(decimal.NewFromFloat(tokensPerHour / 1e6))
		return Decimal{rate.Scale(decimal.NewFromFloat(share).Round(6))}
	}
	hourly := traffic.Requests * 3600
	served.CostPerMillionIn = perMillion(speed.PrefillTime, hourly*traffic.Input)
	served.CostPerMillionOu = perMillion(1-speed.PrefillTime, hourly*traffic.Output)
	c.CostPerMillion = perMillion(1, hourly*(traffic.Input+traffic.Output))
	c.Served = served
	if offer.Option == catalog.CapacityBlock && c.Nodes > blockMaxNodes {
		c.Reasons = append(c.Reasons, "a capacity block holds at most 64 instances")
	}
	c.Feasible = len(c.Reasons) == 0
	if price.Reason != "" {
		c.Reasons = append(c.Reasons, price.Reason)
	}
	return c
}
