package reconcile

import (
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// gang makes what the engine is asked to start for an attempt.
func (l *Loop) gang(run fleet.Run, attempt fleet.Attempt, pool fleet.Pool) (engine.Gang, error) {
	w, err := l.workload(run)
	if err != nil {
		return engine.Gang{}, err
	}
	return l.gangOf(w, run, attempt, pool)
}

func (l *Loop) gangOf(w *workload.Workload, run fleet.Run, attempt fleet.Attempt, pool fleet.Pool) (engine.Gang, error) {
	family := chip.Family(pool.Family)
	variant, ok := w.Variants[family]
	if !ok {
		return engine.Gang{}, fault.Newf(fault.Invalid, "no %s variant for pool %s", family, pool.ID())
	}
	place, err := l.Sites.Find(attempt.Site)
	if err != nil {
		return engine.Gang{}, err
	}
	gang := engine.Gang{
		Key: attempt.Key(), Run: run.ID, Pool: pool.Name, Nodes: attempt.Nodes, Ranks: attempt.Ranks,
		Command: variant.Command, Image: variant.Image, Dir: run.Dir, Env: map[string]string{}, Secrets: map[string]string{}, SecretRefs: map[string]string{},
		LogCap: l.Policy.LogCap, Grace: l.Policy.Grace,
		Family: pool.Family, Priority: run.Priority, Mounts: mounts(w, variant), CacheKey: cacheKey(w, family),
	}
	size(&gang, attempt, variant)
	if gang.Checkpoint, err = l.checkpoint(place, attempt, w.CheckpointOf(family)); err != nil {
		return engine.Gang{}, err
	}
	if err := l.secrets(&gang, place, variant); err != nil {
		return engine.Gang{}, err
	}
	l.environment(&gang, place, attempt, variant, w.CheckpointOf(family))
	return gang, nil
}

// size sets what the gang holds of each node. A node's chips are all its own
// unless the variant says less of the host.
func size(gang *engine.Gang, attempt fleet.Attempt, variant workload.Variant) {
	nodes := max(1, attempt.Nodes)
	perNode := (attempt.Ranks + nodes - 1) / nodes
	if chip.Family(gang.Family) != chip.CPU {
		gang.Chips = attempt.Chips / nodes
	}
	gang.Cores = variant.Cores * perNode
	gang.Memory = int64(variant.Memory) * int64(perNode)
}

func mounts(w *workload.Workload, variant workload.Variant) []engine.Mount {
	var mounts []engine.Mount
	for _, m := range variant.Mounts {
		from := m.From
		for _, data := range w.Data {
			if data.Name == m.Data {
				from = data.URI
			}
		}
		mounts = append(mounts, engine.Mount{Path: m.Path, From: from, ReadOnly: m.ReadOnly})
	}
	return mounts
}

// cacheKey names the compile cache of a workload on a chip family: that of its
// model, or where it names none its own. It is the name of a directory.
func cacheKey(w *workload.Workload, family chip.Family) string {
	name := modelOf(w)
	if name == "" {
		name = w.Name
	}
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	return plain + "-" + string(family)
}

// checkpoint is where an attempt's checkpoints are kept beyond its nodes: in
// the store of its site, or else in that of the settings; nil for nowhere.
func (l *Loop) checkpoint(place Place, attempt fleet.Attempt, policy workload.VariantCheckpoint) (*engine.Checkpoint, error) {
	store, err := l.store(place, attempt.Run)
	if err != nil || store == "" {
		return nil, err
	}
	return &engine.Checkpoint{
		URL: store, Epoch: attempt.Epoch, Keep: policy.Keep, Format: policy.Writes, Reads: policy.Reads, Sharded: policy.Sharded,
	}, nil
}

// store is the URL of a run's checkpoints on a site, "" where they have none.
func (l *Loop) store(place Place, run string) (string, error) {
	base := l.CheckpointStore
	if place.File != nil && place.File.Checkpoints != "" {
		base = place.File.Checkpoints
	}
	if base == "" {
		return "", nil
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "the checkpoint store of site "+place.Name)
	}
	return u.JoinPath(run).String(), nil
}

// storeOf is store for a site by its name; one that is gone has none.
func (l *Loop) storeOf(name, run string) string {
	place, err := l.Sites.Find(name)
	if err != nil {
		return ""
	}
	store, err := l.store(place, run)
	if err != nil {
		return "" // gang tells of it
	}
	return store
}

// secrets gives the gang the values of its secrets on this machine, and
// elsewhere references alone: a value never leaves the site's own store.
func (l *Loop) secrets(gang *engine.Gang, place Place, variant workload.Variant) error {
	if place.Name != site.Local {
		for _, secret := range variant.Secrets {
			gang.SecretRefs[secret.Name] = secret.From
		}
		return nil
	}
	for _, secret := range variant.Secrets {
		value, err := l.Secret(secret.From)
		if err != nil {
			return err
		}
		gang.Secrets[secret.Name] = value
	}
	return nil
}

// siteEnvironment is what the site's file sets for every gang, but for what
// the workload sets itself.
func siteEnvironment(gang *engine.Gang, file *site.Site, variant workload.Variant) {
	own := maps.Clone(variant.Env)
	if own == nil {
		own = map[string]string{}
	}
	for _, secret := range variant.Secrets {
		own[secret.Name] = ""
	}
	for name, value := range file.Env {
		if _, set := own[name]; !set {
			gang.Env[name] = value
		}
	}
	for _, secret := range file.Secrets {
		if _, set := own[secret.Name]; !set {
			gang.SecretRefs[secret.Name] = secret.From
		}
	}
}

// environment sets the variables of every rank. The directory of checkpoints is
// this machine's alone to name: elsewhere the engine knows the nodes' disks.
func (l *Loop) environment(gang *engine.Gang, place Place, attempt fleet.Attempt, variant workload.Variant, policy workload.VariantCheckpoint) {
	env := gang.Env
	if place.File != nil {
		siteEnvironment(gang, place.File, variant)
	}
	maps.Copy(env, variant.Env)
	env["YARD_RUN"] = attempt.Run
	env["YARD_ATTEMPT"] = strconv.Itoa(attempt.Number)
	env["YARD_EPOCH"] = strconv.Itoa(attempt.Epoch)
	if place.Name == site.Local {
		env["YARD_CHECKPOINT_DIR"] = l.Checkpoints(attempt.Run)
	}
	if policy.Every > 0 {
		env["YARD_CHECKPOINT_EVERY"] = time.Duration(policy.Every).String()
	}
	if policy.Keep > 0 {
		env["YARD_CHECKPOINT_KEEP"] = strconv.Itoa(policy.Keep)
	}
}
