package slurm

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

var _ controller = client{}

// jobs implements controller.
func (c client) jobs(ctx context.Context) ([]job, error) {
	out, err := c.call(ctx, "", "squeue", "--me", "--states=all", "--noheader", "--format=%i|%T|%r|%S|%e|%N|%P|%j|%Z")
	return parseQueue(out), err
}

// parseQueue reads lines "ID|STATE|REASON|START|END|NODES|PARTITION|NAME|DIR",
// times in seconds since 1970.
func parseQueue(out string) []job {
	var jobs []job
	for line := range strings.Lines(out) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "|", 9)
		if len(f) == 9 {
			jobs = append(jobs, job{
				ID: f[0], State: f[1], Reason: f[2], Start: seconds(f[3]), End: seconds(f[4]),
				Nodes: f[5], Partition: f[6], Name: f[7], Dir: f[8],
			})
		}
	}
	return jobs
}

// accounted implements controller.
func (c client) accounted(ctx context.Context, of past) ([]job, error) {
	args := []string{
		"--noheader", "--parsable2", "--allocations", "--duplicates",
		"--format=NNodes,JobIDRaw,State,Reason,Start,End,NodeList,Partition,JobName,WorkDir",
	}
	if len(of.ids) > 0 {
		args = append(args, "--jobs="+strings.Join(of.ids, ","))
	} else {
		args = append(args, fmt.Sprintf("--starttime=uts%d", max(of.since.Unix(), 1)))
	}
	out, err := c.call(ctx, "", "sacct", args...)
	if err != nil && strings.Contains(err.Error(), "accounting storage is disabled") {
		return nil, fault.Wrap(fault.NotFound, err, "the cluster keeps no accounting")
	}
	return parseAccounted(out), err
}

// parseAccounted reads lines of a number of nodes and what parseQueue reads.
func parseAccounted(out string) []job {
	var jobs []job
	for line := range strings.Lines(out) {
		count, rest, _ := strings.Cut(line, "|")
		for _, j := range parseQueue(rest) {
			j.State, _, _ = strings.Cut(j.State, " ") // "CANCELLED by 1000"
			j.Count, _ = strconv.Atoi(count)
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// seconds reads a time as SLURM_TIME_FORMAT=%s has it; zero for N/A and Unknown.
func seconds(text string) time.Time {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// nodes implements controller.
func (c client) nodes(ctx context.Context, list string) ([]node, error) {
	args := []string{"--oneliner", "show", "node"}
	if list != "" {
		args = append(args, list)
	}
	out, err := c.call(ctx, "", "scontrol", args...)
	return parseNodes(out), err
}

// submit implements controller.
func (c client) submit(ctx context.Context, o order) (string, error) {
	out, err := c.call(ctx, o.script, "sbatch", o.args()...)
	if err != nil {
		return "", err
	}
	id, _, _ := strings.Cut(strings.TrimSpace(out), ";") // ";CLUSTER" follows in federations
	if _, err := strconv.Atoi(id); err != nil {
		return "", fault.Newf(fault.Transient, "sbatch answered %q; want the number of a job", clipText(out))
	}
	return id, nil
}

// test implements tester.
func (c client) test(ctx context.Context, script string) error {
	_, err := c.call(ctx, script, "sbatch", "--test-only")
	return err
}

// args are the options of sbatch for the job.
func (o order) args() []string {
	args := []string{
		"--parsable", "--job-name=" + o.name, "--dependency=singleton", "--no-requeue", "--export=ALL",
		"--chdir=" + o.dir, "--output=" + o.log, "--open-mode=append", "--comment=" + o.comment,
		"--nodes=" + strconv.Itoa(o.nodes), "--ntasks-per-node=1",
		fmt.Sprintf("--signal=B:TERM@%d", int(o.notice/time.Second)),
	}
	for _, option := range []struct{ name, value string }{
		{"account", o.account}, {"qos", o.qos}, {"partition", o.partition}, {"constraint", o.constraint}, {"gres", o.gres}, {"exclude", o.avoid},
	} {
		if option.value != "" {
			args = append(args, "--"+option.name+"="+option.value)
		}
	}
	if o.cores > 0 {
		args = append(args, "--cpus-per-task="+strconv.Itoa(o.cores))
	} else {
		args = append(args, "--exclusive")
	}
	if o.memory > 0 {
		args = append(args, "--mem="+strconv.FormatInt(o.memory, 10)+"M")
	}
	if o.limit > 0 {
		args = append(args, "--time="+strconv.Itoa(o.limit))
	}
	if o.nice > 0 {
		args = append(args, "--nice="+strconv.Itoa(o.nice))
	}
	return args
}

// cancel implements controller.
func (c client) cancel(ctx context.Context, waiting bool, ids ...string) error {
	args := ids
	if waiting {
		args = append([]string{"--state=PENDING"}, ids...)
	}
	_, err := c.call(ctx, "", "scancel", args...)
	if err != nil && (strings.Contains(err.Error(), "Invalid job id") || strings.Contains(err.Error(), "already completing or completed")) {
		return nil
	}
	if fault.Is(err, fault.Invalid) {
		err = fault.Wrap(fault.Transient, err, "cancelling a job")
	}
	return err
}
