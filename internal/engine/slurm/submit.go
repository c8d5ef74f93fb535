package slurm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/engine/whole"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

const (
	// leaseAge is when a lease counts for nothing: longer than a starter can hold
	// it, whose calls are bounded.
	leaseAge = 4 * callBound
	// leaseRetry is how often others look whether a starter is through.
	leaseRetry = 20 * time.Millisecond

	defaultGrace = 10 * time.Second // between SIGTERM and SIGKILL where the gang sets none
	// noticeMargin is what a job has beyond its ranks' grace between the warning
	// and its time limit, to take the last checkpoint away.
	noticeMargin = 60 * time.Second
)

// lease is lease.json: who submits a gang just now.
type lease struct {
	Host    string        `json:"host"`
	Process ranks.Process `json:"process"`
}

// ensureJob returns when there is a job for the gang, or it has ended. Many may
// call it at once: they take turns, and whoever comes later finds the job. Should
// two jobs come to be all the same, one claims the gang and the other does
// nothing (see RunBatch), after it in time (singleton).
func (e *Engine) ensureJob(ctx context.Context, key string) error {
	dir := e.gangDir(key)
	for !dir.settledOrSubmitted() {
		taken, err := dir.takeLease()
		if err != nil {
			return storageFault(err, "taking the lease of gang "+key)
		}
		if !taken {
			select {
			case <-ctx.Done():
				return fault.Wrap(fault.Transient, ctx.Err(), "waiting for another start of gang "+key)
			case <-time.After(leaseRetry):
			}
			continue
		}
		err = e.submitLeased(ctx, key, dir)
		if dropped := os.Remove(dir.file(leaseFile)); err == nil && dropped != nil && !errors.Is(dropped, os.ErrNotExist) {
			err = storageFault(dropped, "dropping the lease of gang "+key)
		}
		return err
	}
	return nil
}

func (d gangDir) settledOrSubmitted() bool {
	return d.has(jobFile) || d.has(claimFile) || d.has(exitFile) || d.has(stopFile)
}

// takeLease reports whether this process may submit the gang. The lease of one
// that died, or that is too old, is put away.
func (d gangDir) takeLease() (bool, error) {
	host, err := os.Hostname()
	if err != nil {
		return false, err
	}
	own := lease{host, ranks.Identify(0, os.Getpid())}
	taken, err := once(d.file(leaseFile), marshal(own))
	if err != nil || taken {
		return taken, err
	}
	info, err := os.Stat(d.file(leaseFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var holder lease
	if _, err := whole.ReadJSON(d.file(leaseFile), &holder); err != nil {
		return false, err
	}
	dead := holder.Host == host && holder.Process.Birth != "" && ranks.Identify(0, holder.Process.PID).Birth != holder.Process.Birth
	if dead || time.Since(info.ModTime()) > leaseAge {
		return false, d.breakLease(holder)
	}
	return false, nil
}

// breakLease puts a lease away by renaming it, which only one of many can do,
// and looks that it was not yet another's.
func (d gangDir) breakLease(of lease) error {
	aside := d.file(leaseFile + "-" + strconv.Itoa(os.Getpid()))
	if err := os.Rename(d.file(leaseFile), aside); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	var moved lease
	if _, err := whole.ReadJSON(aside, &moved); err == nil && moved != of {
		_ = os.Link(aside, d.file(leaseFile))
	}
	return os.Remove(aside)
}

// submitLeased submits the gang unless Slurm has a job for it: a starter may
// have died between the submission and writing that down.
func (e *Engine) submitLeased(ctx context.Context, key string, dir gangDir) error {
	crashAt("start:leased")
	if dir.settledOrSubmitted() {
		return nil
	}
	a, err := dir.accepted()
	if err != nil {
		return storageFault(err, "reading gang "+key)
	}
	jobs, err := e.jobsOf(ctx, dir, time.Now())
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(jobs, func(j job) bool { return !j.ended() }); i >= 0 {
		return dir.recordJob(jobs[i].ID, key)
	}
	id, err := e.slurm.submit(ctx, e.order(dir, a))
	if fault.Is(err, fault.Invalid) {
		if len(a.Gang.Avoid) > 0 && strings.Contains(err.Error(), "node configuration is not available") {
			return fault.Newf(fault.NoCapacity, "%v without %s, which the run avoids", err, strings.Join(a.Gang.Avoid, ", "))
		}
		return errors.Join(err, dir.refuse())
	}
	if err != nil {
		return err
	}
	crashAt("start:submitted")
	err = dir.recordJob(id, key)
	crashAt("start:recorded")
	if err == nil && dir.has(stopFile) { // asked meanwhile; whoever asked saw no job
		err = e.slurm.cancel(ctx, true, id)
	}
	return err
}

// refuse takes back what accept did: the gang was never submitted, and never can be.
func (d gangDir) refuse() error {
	aside := string(d) + ".refused-" + strconv.Itoa(os.Getpid())
	if err := os.Rename(string(d), filepath.Join(filepath.Dir(filepath.Dir(string(d))), "."+filepath.Base(aside))); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(filepath.Dir(filepath.Dir(string(d))), "."+filepath.Base(aside)))
}

func (d gangDir) recordJob(id, name string) error {
	return storageFault(whole.WriteJSON(d.file(jobFile), jobRecord{id, name}, whole.Durable), "recording the job")
}

// batchScript runs on the first node of the job.
func batchScript(self []string, dir gangDir) string {
	words := append(slices.Clone(self), "batch", string(dir))
	for i, word := range words {
		words[i] = quote(word)
	}
	return "#!/bin/sh\nexec " + strings.Join(words, " ") + "\n"
}

func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// order is the gang's job.
func (e *Engine) order(dir gangDir, a accepted) order {
	gang, pool := a.Gang, e.pool(a.Gang.Pool)
	o := order{
		name: gang.Key, script: batchScript(a.Self, dir), dir: string(dir), log: dir.file(logFile), comment: "yard run " + gang.Run,
		account: e.site.Slurm.Account, qos: e.site.Slurm.QOS,
		partition: pool.Partition, constraint: pool.Constraint, gres: gresOf(pool.GRES, gang.Chips), avoid: strings.Join(gang.Avoid, ","),
		nodes: nodesOf(gang), cores: gang.Cores, memory: (gang.Memory + 1<<20 - 1) >> 20, notice: a.Notice,
	}
	if limit := e.limit(gang); limit > 0 {
		o.limit = int((limit + time.Minute - 1) / time.Minute)
	}
	if gang.Priority < 0 { // only operators may raise theirs
		o.nice = -gang.Priority
	}
	return o
}

func (e *Engine) limit(gang engine.Gang) time.Duration {
	if gang.TimeLimit > 0 {
		return gang.TimeLimit
	}
	return time.Duration(e.site.Slurm.Limit)
}

// notice is how long before its time limit a job is warned. Slurm counts it in
// seconds, and may give it up to a minute early.
func (e *Engine) notice(gang engine.Gang) time.Duration {
	notice := graceOf(gang) + noticeMargin
	if limit := e.limit(gang); limit > 0 {
		notice = min(notice, limit/2)
	}
	return min(notice.Round(time.Second), 65535*time.Second)
}

func graceOf(gang engine.Gang) time.Duration {
	if gang.Grace > 0 {
		return gang.Grace
	}
	return defaultGrace
}

// gresOf is what a job asks for on each node: the pool's, or so many of them.
func gresOf(gres string, chips int) string {
	if gres == "" || chips == 0 {
		return gres
	}
	first, _, _ := strings.Cut(gres, ",")
	fields := strings.Split(first, ":")
	if _, err := strconv.Atoi(fields[len(fields)-1]); err == nil {
		fields = fields[:len(fields)-1]
	}
	return strings.Join(append(fields, strconv.Itoa(chips)), ":")
}

// program remembers where this program is on the cluster.
type program struct {
	mu   sync.Mutex
	path string
}

// program returns the path of this program in the shared directory, where it is
// put under the hash of its content, once.
func (e *Engine) program(context.Context) (string, error) {
	p := e.names
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.path != "" && whole.Exists(p.path) {
		return p.path, nil
	}
	path, err := putProgram(e.self[0], filepath.Join(e.shared(), "bin"))
	if err != nil {
		return "", storageFault(err, "putting yard into the shared directory")
	}
	p.path = path
	return path, nil
}

// programPath is where a program is put.
func programPath(from, dir string) (string, error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, in); err != nil {
		return "", err
	}
	return filepath.Join(dir, "yard-"+hex.EncodeToString(hash.Sum(nil))[:16]), nil
}

// putProgram copies a program to where it is named by its content.
func putProgram(from, dir string) (string, error) {
	path, err := programPath(from, dir)
	if err != nil || whole.Exists(path) {
		return path, err
	}
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	out, err := os.CreateTemp(dir, ".yard-*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(0o755), out.Sync(), out.Close()); err == nil {
		err = os.Rename(out.Name(), path)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(out.Name()))
	}
	return path, nil
}
