package server

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/reconcile"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// Metrics is what Prometheus scrapes: counts kept by this process, and the
// state read from the store at each scrape.
type Metrics struct {
	registry *prometheus.Registry
	passes   *prometheus.CounterVec
	duration prometheus.Histogram
	restarts prometheus.Counter
}

// NewMetrics returns metrics of the state in the store.
func NewMetrics(source store.Store) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		passes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "yard_reconcile_passes_total", Help: "Passes of the reconcile loop, by result.",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "yard_reconcile_seconds", Help: "How long passes of the reconcile loop take.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9),
		}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "yard_restarts_total", Help: "Attempts that failed or were lost and whose run was queued again.",
		}),
	}
	m.registry.MustRegister(m.passes, m.duration, m.restarts, newStateCollector(source),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Passed counts a pass of the loop.
func (m *Metrics) Passed(pass reconcile.Pass) {
	result := "ok"
	if pass.Err != nil {
		result = "error"
	}
	m.passes.WithLabelValues(result).Inc()
	m.duration.Observe(pass.Took.Seconds())
	m.restarts.Add(float64(pass.Restarts))
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// scrapeTimeout bounds the reading of the store for one scrape.
const scrapeTimeout = 5 * time.Second

// stateCollector reads the store when Prometheus asks, so that the figures are
// those of the single source of truth, also after a restart.
type stateCollector struct {
	store                                            store.Store
	runs, queued, attempts, chips, slow, spend, hour *prometheus.Desc
}

func newStateCollector(source store.Store) *stateCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &stateCollector{
		store:    source,
		runs:     desc("yard_runs", "Runs, by state.", "state"),
		queued:   desc("yard_queue_length", "Runs that wait for a place."),
		attempts: desc("yard_live_attempts", "Attempts that are recorded or running, by pool.", "pool"),
		chips:    desc("yard_chips_held", "Chips held by live attempts, by pool.", "pool"),
		slow:     desc("yard_slow_ranks", "Ranks of live attempts that are slower than the others of theirs, by pool.", "pool"),
		spend:    desc("yard_ledger_cost", "Cost in the ledger; for reading, not for accounts: see yard ledger.", "provider", "currency", "imputed"),
		hour:     desc("yard_ledger_node_hours", "Node-hours in the ledger, by provider.", "provider"),
	}
}

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.runs, c.queued, c.attempts, c.chips, c.slow, c.spend, c.hour} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	err := c.store.View(ctx, func(tx store.Tx) error {
		runs, err := tx.Runs(store.RunFilter{})
		if err != nil {
			return err
		}
		live, err := tx.LiveAttempts()
		if err != nil {
			return err
		}
		c.collectRuns(runs, live, gauge)
		return c.collectLedger(tx, gauge)
	})
	if err != nil {
		out <- prometheus.NewInvalidMetric(c.runs, err)
	}
}

type gauge func(d *prometheus.Desc, value float64, labels ...string)

func (c *stateCollector) collectRuns(runs []fleet.Run, live []fleet.Attempt, set gauge) {
	states := map[fleet.RunState]float64{
		fleet.Queued: 0, fleet.Running: 0, fleet.Succeeded: 0, fleet.Failed: 0, fleet.Stopped: 0,
	}
	for _, run := range runs {
		states[run.State]++
	}
	for state, count := range states {
		set(c.runs, count, string(state))
	}
	set(c.queued, states[fleet.Queued])
	attempts, chips, slow := map[string]float64{}, map[string]float64{}, map[string]float64{}
	for _, a := range live {
		attempts[a.Pool]++
		chips[a.Pool] += float64(a.Chips)
		for _, s := range a.Slow {
			if s.IsSlow() {
				slow[a.Pool]++
			}
		}
	}
	for pool := range attempts {
		set(c.attempts, attempts[pool], pool)
		set(c.chips, chips[pool], pool)
		set(c.slow, slow[pool], pool)
	}
}

func (c *stateCollector) collectLedger(tx store.Tx, set gauge) error {
	type money struct{ provider, currency, imputed string }
	micros, hours := map[money]int64{}, map[string]float64{}
	err := tx.Entries(store.EntryFilter{}, func(e ledger.Entry) error {
		imputed := "false"
		if e.Imputed {
			imputed = "true"
		}
		micros[money{e.Provider, string(e.Cost.Currency), imputed}] += e.Cost.Micros
		sign := 1.0
		if e.Reverses != 0 {
			sign = -1
		}
		hours[e.Provider] += sign * e.To.Sub(e.From).Hours() * float64(e.Nodes)
		return nil
	})
	for m, sum := range micros {
		set(c.spend, float64(sum)/1e6, m.provider, m.currency, m.imputed)
	}
	for provider, sum := range hours {
		set(c.hour, sum, provider)
	}
	return err
}
