package slurm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/agent"
	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/engine/whole"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// gangDir is the folder of one gang.
type gangDir string

const (
	gangFile    = "gang.json"
	fencedFile  = "fenced"
	secretsDir  = "secrets"
	leaseFile   = "lease.json"
	jobFile     = "job"
	claimFile   = "claim"
	releaseFile = "release.json"
	stopFile    = "stop.json"
	endingFile  = "ending.json"
	logFile     = "job.log"
	exitFile    = "exit.json"
	nodesDir    = "nodes"
)

// accepted is gang.json: the gang, and what its job needs to know of the site.
type accepted struct {
	Gang    engine.Gang       `json:"gang"`
	Secrets map[string]string `json:"secret_files,omitempty"` // variable → file
	Notice  time.Duration     `json:"notice"`                 // between the warning and the time limit
	Self    []string          `json:"self"`                   // how the program is called on the nodes
	Shared  string            `json:"shared"`                 // the shared directory
	Caches  string            `json:"caches,omitempty"`       // the site's, of compilers

	Containers site.Containers `json:"containers,omitempty"` // what runs the gang's image
}

// perNode is how many ranks each node has; the last may have fewer.
func (a accepted) perNode() int { return (a.Gang.Ranks + nodesOf(a.Gang) - 1) / nodesOf(a.Gang) }

func nodesOf(gang engine.Gang) int { return max(gang.Nodes, 1) }

// stopRecord is stop.json, which the agents read as a ranks.Stop.
type stopRecord struct {
	Grace time.Duration `json:"grace"`
	Dump  bool          `json:"dump,omitempty"`
	At    time.Time     `json:"at"` // first asked
}

// endingRecord is ending.json.
type endingRecord struct {
	Cause  string        `json:"cause"` // failed, told
	Node   int           `json:"node"`
	Code   int           `json:"code,omitempty"`
	Rank   int           `json:"rank"`
	Reason string        `json:"reason,omitempty"`
	Grace  time.Duration `json:"grace"` // of the other ranks
}

// The causes of an end from within the job.
const (
	causeFailed = "failed" // a rank, or the keeper of a node's ranks
	causeTold   = "told"   // the batch script got SIGTERM: the time limit is near
)

// jobRecord is the file job.
type jobRecord struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (d gangDir) file(name string) string { return filepath.Join(string(d), name) }

func (d gangDir) has(name string) bool { return whole.Exists(d.file(name)) }

func (d gangDir) node(n int) string { return filepath.Join(string(d), nodesDir, strconv.Itoa(n)) }

func (d gangDir) accepted() (accepted, error) {
	var a accepted
	found, err := whole.ReadJSON(d.file(gangFile), &a)
	if err == nil && !found {
		err = fs.ErrNotExist
	}
	return a, err
}

// once writes a file that is not there yet, whole, and reports whether it did:
// of any number of writers on any number of nodes one does.
func once(path string, data []byte) (bool, error) {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return false, err
	}
	err = os.Link(temp.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err == nil {
		err = whole.SyncDir(filepath.Dir(path))
	}
	return err == nil, err
}

// text reads a file of one word; "" where it is not there.
func (d gangDir) text(name string) (string, error) {
	data, err := os.ReadFile(d.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(data)), err
}

// reports reads what the agents of all nodes left; a node without a report has
// the zero one.
func (d gangDir) reports(nodes int) ([]agent.Report, error) {
	reports := make([]agent.Report, nodes)
	for n := range reports {
		report, _, err := agent.ReadReport(d.node(n))
		if err != nil && !isDamage(err) {
			return nil, err
		}
		reports[n] = report
	}
	return reports, nil
}

// isDamage tells a record that cannot be decoded from one that cannot be read.
func isDamage(err error) bool {
	var path *fs.PathError
	return !errors.As(err, &path)
}

// dropSecrets removes the values of the gang's secrets.
func (d gangDir) dropSecrets() error { return os.RemoveAll(d.file(secretsDir)) }

// lastSign is when anything of the gang was last written by a node.
func (d gangDir) lastSign(nodes int) time.Time {
	var last time.Time
	note := func(path string) {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	note(d.file(claimFile))
	for n := range nodes {
		note(filepath.Join(d.node(n), agent.ReportFile))
		note(ranks.LogPath(d.node(n), 0))
	}
	return last.UTC()
}
