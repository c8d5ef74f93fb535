package slurmlab

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Nodes are the names of the lab's nodes.
func Nodes() []string { return []string{"n1", "n2", "n3", "n4"} }

// What each node of the lab claims to have.
const (
	CPUs   = 8
	Memory = 16000 // MiB
	GPUs   = 8     // of type h100
	Neuron = 16    // Trainium2 chips
)

const (
	gpuMajor, gpuMinor = 1, 3 // /dev/null: the GPUs of the lab

	// slurmdTimeout is how many seconds a node may be silent before it is down.
	slurmdTimeout = 10
	// preemptGrace is how many seconds a job of a lower partition has to leave.
	preemptGrace = 15
)

// ports are those that the daemons listen on.
type ports struct {
	controller, accounting, database int
	nodes                            []int
}

// freePorts finds ports of the loopback interface that nothing listens on.
func freePorts(n int) ([]int, error) {
	var found []int
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }()
		found = append(found, listener.Addr().(*net.TCPAddr).Port)
	}
	return found, nil
}

func choosePorts() (ports, error) {
	found, err := freePorts(3 + len(Nodes()))
	if err != nil {
		return ports{}, err
	}
	return ports{found[0], found[1], found[2], found[3:]}, nil
}

func (l *Lab) slurmConf() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("ClusterName=lab")
	line("SlurmctldHost=%s(127.0.0.1)", l.host)
	line("SlurmctldPort=%d", l.ports.controller)
	line("SlurmUser=root")
	line("SlurmdUser=root")
	line("AuthType=auth/munge")
	line("AuthInfo=socket=%s", l.path("munge.sock"))
	l.jwtConf(line)
	line("StateSaveLocation=%s", l.path("state"))
	line("SlurmctldPidFile=%s", l.path("slurmctld.pid"))
	line("SlurmctldLogFile=%s", l.path("slurmctld.log"))
	line("SlurmdSpoolDir=%s", l.path("spool-%n"))
	line("SlurmdPidFile=%s", l.path("slurmd-%n.pid"))
	line("SlurmdLogFile=%s", l.path("slurmd-%n.log"))
	line("ProctrackType=proctrack/pgid")
	line("TaskPlugin=task/none")
	line("MpiDefault=none")
	line("SelectType=select/cons_tres")
	line("SelectTypeParameters=CR_Core")
	line("SlurmdParameters=config_overrides")
	line("SlurmdTimeout=%d", slurmdTimeout)
	line("ReturnToService=2")
	line("KillWait=5")
	line("SchedulerParameters=sched_interval=1,sched_min_interval=100000,bf_interval=1")
	line("PreemptType=preempt/partition_prio")
	line("PreemptMode=REQUEUE")
	line("AccountingStorageType=accounting_storage/slurmdbd")
	line("AccountingStorageHost=127.0.0.1")
	line("AccountingStoragePort=%d", l.ports.accounting)
	line("AccountingStoragePass=%s", l.path("munge.sock"))
	line("AccountingStorageTRES=gres/gpu,gres/neuron")
	line("AccountingStorageEnforce=associations,limits,qos")
	line("JobAcctGatherType=jobacct_gather/none")
	line("GresTypes=gpu,neuron")
	for i, node := range Nodes() {
		line("NodeName=%s NodeHostname=%s NodeAddr=127.0.0.1 Port=%d CPUs=%d RealMemory=%d Gres=gpu:h100:%d,neuron:%d Feature=%s",
			node, l.host, l.ports.nodes[i], CPUs, Memory, GPUs, Neuron, features(i))
	}
	line("PartitionName=main Nodes=ALL Default=YES State=UP PriorityTier=1 GraceTime=%d", preemptGrace)
	line("PartitionName=urgent Nodes=ALL State=UP PriorityTier=10 PreemptMode=OFF")
	line("PartitionName=gpu Nodes=ALL State=UP PriorityTier=1 GraceTime=%d", preemptGrace)
	line("PartitionName=scavenge Nodes=n3,n4 State=UP PriorityTier=0 GraceTime=%d", preemptGrace)
	line("PartitionName=brief Nodes=n1,n2 State=UP PriorityTier=1 MaxTime=1")
	return b.String()
}

// features puts the first two nodes into one rack and the others into another.
func features(node int) string { return fmt.Sprintf("rack%d,ib", node/2+1) }

func (l *Lab) gresConf() string {
	var b strings.Builder
	for _, node := range Nodes() {
		fmt.Fprintf(&b, "NodeName=%s Name=gpu Type=h100 File=%s[0-%d]\n", node, l.path("dev", "gpu"), GPUs-1)
		fmt.Fprintf(&b, "NodeName=%s Name=neuron Count=%d\n", node, Neuron)
	}
	return b.String()
}

func (l *Lab) slurmdbdConf() string {
	var b strings.Builder
	l.jwtConf(func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) })
	return b.String() + fmt.Sprintf(`AuthType=auth/munge
AuthInfo=socket=%[1]s
DbdHost=%[2]s
DbdAddr=127.0.0.1
DbdPort=%[3]d
SlurmUser=root
PidFile=%[4]s
LogFile=%[5]s
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=%[6]d
StorageUser=slurm
StoragePass=lab
StorageLoc=slurm_acct_db
`, l.path("munge.sock"), l.host, l.ports.accounting, l.path("slurmdbd.pid"), l.path("slurmdbd.log"), l.ports.database)
}

// files writes the configuration and makes the folders and devices.
func (l *Lab) files() error {
	for _, dir := range []string{"state", "dev", "db", "home"} {
		if err := os.MkdirAll(l.path(dir), 0o700); err != nil {
			return err
		}
	}
	for i := range GPUs {
		if err := makeDevice(l.path("dev", fmt.Sprintf("gpu%d", i)), gpuMajor, gpuMinor); err != nil {
			return fmt.Errorf("a device that stands for a GPU: %w", err)
		}
	}
	key := make([]byte, 128)
	for i := range key {
		key[i] = byte(i) // a secret of nobody: the lab listens on this machine alone
	}
	for name, content := range map[string]string{
		"slurm.conf": l.slurmConf(), "gres.conf": l.gresConf(), "slurmdbd.conf": l.slurmdbdConf(), "munge.key": string(key), "jwt.key": string(key),
	} {
		if err := os.WriteFile(l.path(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) path(elements ...string) string {
	return filepath.Join(append([]string{l.Dir}, elements...)...)
}
