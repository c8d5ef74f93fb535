package slurm

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine/agent"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// restJob is a job as slurmrestd's interface v0.0.38 tells it: of the controller
// (the first fields), or of the accounting.
type restJob struct {
	ID     int64  `json:"job_id"`
	Name   string `json:"name"`
	State  string `json:"job_state"`
	Reason string `json:"state_reason"`
	Start  int64  `json:"start_time"`
	End    int64  `json:"end_time"`
	Dir    string `json:"current_working_directory"`

	Nodes     string `json:"nodes"`
	Partition string `json:"partition"`

	Count     int    `json:"allocation_nodes"`
	Directory string `json:"working_directory"`
	Past      struct {
		Current string `json:"current"`
		Reason  string `json:"reason"`
	} `json:"state"`
	Time struct {
		Start int64 `json:"start"`
		End   int64 `json:"end"`
	} `json:"time"`
}

func (r restJob) job() job {
	j := job{
		ID: strconv.FormatInt(r.ID, 10), Name: r.Name, State: r.State, Reason: r.Reason, Start: instant(r.Start), End: instant(r.End),
		Nodes: r.Nodes, Count: r.Count, Partition: r.Partition, Dir: r.Dir,
	}
	if r.State == "" {
		j.State, j.Reason, j.Dir = r.Past.Current, r.Past.Reason, r.Directory
		j.Start, j.End = instant(r.Time.Start), instant(r.Time.End)
	}
	return j
}

func instant(unix int64) time.Time {
	if unix <= 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0).UTC()
}

// restNode is a node as v0.0.38 tells it.
type restNode struct {
	Name       string   `json:"name"`
	State      string   `json:"state"`
	Flags      []string `json:"state_flags"`
	Partitions []string `json:"partitions"`
	Features   string   `json:"features"`
	GRES       string   `json:"gres"`
	CPUs       int      `json:"cpus"`
	Memory     int64    `json:"real_memory"` // MiB
}

func (r restNode) node() node {
	return node{
		name: r.Name, partitions: r.Partitions, features: words(r.Features), gres: parseGRES(r.GRES), cores: r.CPUs, memory: r.Memory << 20,
		up: isUp(strings.ToUpper(strings.Join(append([]string{r.State}, r.Flags...), "+"))),
	}
}

// expandHosts lists the nodes of a list; none of "".
func expandHosts(list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	hosts, err := agent.ExpandHosts(list)
	return hosts, fault.Wrap(fault.Transient, err, "reading a list of nodes")
}

// submission is the job for v0.0.38. Its keys are sbatch's options: some that the
// interface does not describe it takes all the same (exclude_nodes, no_requeue),
// and some that it describes it does not heed (requeue).
func (r *rest) submission(o order) any {
	properties := map[string]any{
		"name": o.name, "dependency": "singleton", "no_requeue": true, "comment": o.comment,
		"current_working_directory": o.dir, "standard_output": o.log, "open_mode": "append", "environment": r.environ(),
		"nodes": o.nodes, "tasks_per_node": 1,
		// To the steps: that the batch script be told, as sbatch's B:, is refused. The
		// agents know what SIGTERM means without it.
		"signal": fmt.Sprintf("TERM@%d", int(o.notice/time.Second)),
	}
	for name, value := range map[string]string{
		"account": o.account, "qos": o.qos, "partition": o.partition, "constraints": o.constraint, "gres": o.gres, "exclude_nodes": o.avoid,
	} {
		if value != "" {
			properties[name] = value
		}
	}
	if o.cores > 0 {
		properties["cpus_per_task"] = o.cores
	} else {
		properties["exclusive"] = "exclusive"
	}
	for name, value := range map[string]int64{"memory_per_node": o.memory, "time_limit": int64(o.limit), "nice": int64(o.nice)} {
		if value > 0 {
			properties[name] = value
		}
	}
	return map[string]any{"script": o.script, "job": properties}
}

// environ is what a job inherits of this process; see jobEnviron.
func (r *rest) environ() map[string]string {
	inherited := map[string]string{}
	for _, entry := range jobEnviron(os.Environ()) {
		if name, value, found := strings.Cut(entry, "="); found && name != "" {
			inherited[name] = value
		}
	}
	if r.of.Token != nil {
		delete(inherited, r.of.Token.Env)
	}
	return inherited
}

// restError is what Slurm complains of; which fields there are is different from
// call to call.
type restError struct {
	Error       string `json:"error"`
	Description string `json:"description"`
	Code        int    `json:"error_code"`
	Number      int    `json:"error_number"`
}

// The numbers of slurm_errno.h for a job that cannot be cancelled because nothing
// of it is left.
const (
	errInvalidJob  = 2017
	errAlreadyDone = 2021
)

// complaint is a failure that slurmrestd reports, with its numbers.
type complaint struct {
	kind    fault.Kind
	text    string
	numbers []int
}

func (c *complaint) Error() string { return c.text }

// FaultKind classifies the failure.
func (c *complaint) FaultKind() fault.Kind { return c.kind }

// unspecified is what slurmrestd says where it knows no more: the controller closes
// the connection of whom it does not know.
const unspecified = "Unspecified error"

func (r *rest) failure(said []restError) error {
	c := &complaint{}
	var texts []string
	for _, one := range said {
		c.numbers = append(c.numbers, max(one.Code, one.Number))
		text := one.Error
		if text == "" || text == unspecified {
			text = cmp.Or(one.Description, unspecified) + " (a token that Slurm refuses is told of in this way)"
		}
		if text != "" && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	all := clipText(strings.Join(texts, "; "))
	c.kind, c.text = kindOf(all), r.where()+": "+all
	return c
}

// isGone reports whether Slurm says that nothing of the job is left.
func isGone(err error) bool {
	var c *complaint
	return errors.As(err, &c) && (slices.Contains(c.numbers, errInvalidJob) || slices.Contains(c.numbers, errAlreadyDone))
}

func isJSON(answer *http.Response) bool {
	return strings.Contains(answer.Header.Get("Content-Type"), "json")
}

// entries are how fields of an answer are read, by name: one by one where the
// field is a list.
type entries map[string]func(*json.Decoder) error

// readObject reads an object, and passes over the fields that are not asked for.
func readObject(from *json.Decoder, fields entries) error {
	if err := wantMark(from, '{'); err != nil {
		return err
	}
	for from.More() {
		name, err := from.Token()
		if err != nil {
			return err
		}
		field, _ := name.(string)
		read := fields[field]
		switch {
		case read == nil:
			err = from.Decode(&json.RawMessage{})
		case slices.Contains([]string{"errors", "jobs", "nodes"}, field):
			err = readList(from, read)
		default:
			err = read(from)
		}
		if err != nil {
			return err
		}
	}
	return wantMark(from, '}')
}

func readList(from *json.Decoder, read func(*json.Decoder) error) error {
	if err := wantMark(from, '['); err != nil {
		return err
	}
	for from.More() {
		if err := read(from); err != nil {
			return err
		}
	}
	return wantMark(from, ']')
}

func wantMark(from *json.Decoder, mark json.Delim) error {
	token, err := from.Token()
	if err == nil && token != mark {
		err = fmt.Errorf("%v stands where %v should", token, mark)
	}
	return err
}
