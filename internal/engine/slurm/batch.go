package slurm

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine/agent"
	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/engine/whole"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// causeEvery is how often the keeper of a node looks whether the gang is ending.
const causeEvery = 250 * time.Millisecond

// releaseRecord is release.json: an agent.Release, with the port of rank 0.
type releaseRecord struct {
	agent.Release
	Port int `json:"port"`
}

// RunBatch is the batch script of a gang's job, on its first node: it claims the
// gang, says where its nodes are, and starts the agent on each. A job that
// cannot claim does nothing: the gang is another job's, or had begun before.
func RunBatch(ctx context.Context, folder string) error {
	dir := gangDir(folder)
	crashAt("batch:unclaimed")
	if dir.has(stopFile) || dir.has(exitFile) || dir.has(fencedFile) {
		return nil
	}
	a, err := dir.accepted()
	if err != nil {
		return fault.Wrap(fault.Internal, err, "reading the gang")
	}
	claimed, err := once(dir.file(claimFile), []byte(os.Getenv("SLURM_JOB_ID")+"\n"))
	if err != nil || !claimed {
		return fault.Wrap(fault.Transient, err, "claiming the gang")
	}
	crashAt("batch:claimed")
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	err = a.fetchImage(ctx, dir, signals)
	if err == nil {
		err = release(ctx, dir)
	}
	if err != nil {
		_, _ = once(dir.file(endingFile), marshal(endingRecord{Cause: causeFailed, Code: 1, Reason: "not started: " + err.Error()}))
		return err
	}
	crashAt("batch:released")
	err = runSteps(dir, a, signals)
	crashAt("batch:ended")
	return errors.Join(err, dir.dropSecrets())
}

// release writes the addresses of the job's nodes: by name where a name tells,
// else as Slurm itself reaches them.
func release(ctx context.Context, dir gangDir) error {
	list := os.Getenv("SLURM_JOB_NODELIST")
	names, err := agent.ExpandHosts(list)
	if err != nil {
		return err
	}
	run := System("", os.Getenv("SLURM_CONF"))
	out, err := client{run, callBound}.call(ctx, "", "scontrol", "--oneliner", "show", "node", list)
	if err != nil {
		return err
	}
	addresses := map[string]string{}
	for _, node := range parseRecords(out) {
		addresses[node["NodeName"]] = node["NodeAddr"]
	}
	record := releaseRecord{}
	for _, name := range names {
		if address := addresses[name]; address != "" {
			name = address
		}
		record.Hosts = append(record.Hosts, name)
	}
	if record.Port, err = ranks.FreePort(); err != nil {
		return err
	}
	return whole.WriteJSON(dir.file(releaseFile), record, whole.Durable)
}

// runSteps runs the keepers of all nodes to their end.
func runSteps(dir gangDir, a accepted, signals <-chan os.Signal) error {
	cmd := exec.Command("srun", a.stepArgs(dir, a.workDir())...)
	cmd.Stdout = os.Stdout
	said, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	// A group of its own: signals to the batch script are not for srun, which
	// would end the steps at the first.
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		watchSteps(said, dir, a)
		ended <- cmd.Wait()
	}()
	for {
		select {
		case err := <-ended:
			return err
		case got := <-signals:
			if got == syscall.SIGTERM {
				a.told(dir)
			}
		}
	}
}

// told notes that Slurm asks the job to leave.
func (a accepted) told(dir gangDir) {
	_, _ = once(dir.file(endingFile), marshal(endingRecord{Cause: causeTold, Grace: max(a.Notice-noticeMargin/2, a.Notice/2)}))
}

// stepArgs are what srun is told: one keeper on each node.
func (a accepted) stepArgs(dir gangDir, workDir string) []string {
	nodes := strconv.Itoa(nodesOf(a.Gang))
	args := []string{
		"--nodes=" + nodes, "--ntasks=" + nodes, "--ntasks-per-node=1", "--kill-on-bad-exit=0", "--wait=0", "--mpi=none",
		"--cpu-bind=none", "--input=none", "--export=ALL",
	}
	return slices.Concat(args, a.pyxisArgs(workDir), a.Self, []string{"node", string(dir)})
}

// watchSteps passes on what srun says, and takes from it that the keeper of a
// node has died: who ends in order has written why before.
func watchSteps(said io.Reader, dir gangDir, a accepted) {
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(os.Stderr, line)
		if dir.keeperDied(line) {
			_, _ = once(dir.file(endingFile), marshal(endingRecord{
				Cause: causeFailed, Node: nodesOf(a.Gang), Code: keeperCode(line), Grace: graceOf(a.Gang),
				Reason: "the keeper of a node died: " + strings.TrimPrefix(line, "srun: error: "),
			}))
		}
	}
	_, _ = io.Copy(io.Discard, said)
}

// keeperDied reports whether srun says of a node's keeper (task N is the one of
// node N) that it ended, and it left no report of its end: a keeper that ends
// with its ranks' exit code is one more error to srun.
func (d gangDir) keeperDied(line string) bool {
	rest, found := strings.CutPrefix(line, "srun: error: ")
	_, rest, isTask := strings.Cut(rest, "task")
	if !found || !isTask {
		return false
	}
	list, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(rest, "s"), " "), ":")
	tasks, err := agent.ExpandHosts("[" + strings.TrimSpace(list) + "]")
	if err != nil {
		return false
	}
	return slices.ContainsFunc(tasks, func(task string) bool {
		node, err := strconv.Atoi(task)
		if err != nil {
			return false
		}
		report, _, _ := agent.ReadReport(d.node(node))
		return report.Ended.IsZero()
	})
}

// keeperCode is how a keeper died, as srun says it. One that SIGTERM ends had no
// time yet to take it for a request: the job was just then taken away.
func keeperCode(line string) int {
	if strings.HasSuffix(strings.TrimSpace(line), ": Terminated") {
		return codeTermed
	}
	return codeKilled
}

// RunNode keeps the ranks of one node of the job to their end, and returns the
// exit code for this process.
func RunNode(folder string, stdout io.Writer) (int, error) {
	dir := gangDir(folder)
	node, err := agent.Node()
	if err != nil {
		return agent.ExitOwn, err
	}
	task, err := dir.task(node)
	if err != nil {
		dir.blame(node, agent.ExitOwn, err, defaultGrace)
		return agent.ExitOwn, err
	}
	over := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		dir.watchEnding(node, over)
	}()
	code, err := agent.Run(task, node, stdout)
	close(over)
	<-watched
	if code != 0 {
		dir.blame(node, code, err, graceOf(task.Gang))
	}
	return code, err
}

// task is what the agent of the node does.
func (d gangDir) task(node int) (agent.Task, error) {
	a, err := d.accepted()
	if err != nil {
		return agent.Task{}, fault.Wrap(fault.Transient, err, "reading the gang")
	}
	var begin releaseRecord
	if _, err := whole.ReadJSON(d.file(releaseFile), &begin); err != nil {
		return agent.Task{}, fault.Wrap(fault.Transient, err, "reading the release")
	}
	task := agent.Task{
		Gang: a.Gang, PerNode: a.perNode(), SecretFiles: a.Secrets, Release: d.file(releaseFile), Dir: d.node(node), Stop: d.file(stopFile),
		TermGrace: a.Notice, Scratch: filepath.Join(d.node(node), "scratch"), Port: begin.Port,
		Checkpoint: filepath.Join(a.Shared, "checkpoints", a.Gang.Run), Shared: true,
	}
	task.Gang.Dir = cmp.Or(a.workDir(), task.Scratch)
	return task, a.enter(&task)
}

// watchEnding asks the node's agent to stop when the gang ends for a cause from
// elsewhere within the job.
func (d gangDir) watchEnding(node int, over <-chan struct{}) {
	tick := time.NewTicker(causeEvery)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		data, err := os.ReadFile(d.file(endingFile))
		var cause endingRecord
		if err != nil || json.Unmarshal(data, &cause) != nil {
			continue
		}
		if err := ranks.RequestStop(d.node(node), cause.Grace); err == nil {
			return
		}
	}
}

// blame says that this node failed, where no other cause of the end is known. A
// node that only stopped because it was told to failed not.
func (d gangDir) blame(node, code int, failed error, grace time.Duration) {
	report, _, _ := agent.ReadReport(d.node(node))
	if report.Stopped {
		return
	}
	cause := endingRecord{Cause: causeFailed, Node: node, Code: code, Rank: report.Rank, Reason: report.Reason, Grace: grace}
	if failed != nil {
		cause.Reason = failed.Error()
	}
	_, _ = once(d.file(endingFile), marshal(cause))
}
