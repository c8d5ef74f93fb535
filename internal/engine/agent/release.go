package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// releaseEvery is how often the agent looks for its release.
const releaseEvery = 100 * time.Millisecond

// awaitRelease waits until all nodes of the gang are bound and returns their
// addresses, by node of the gang; or tells that the gang was stopped before.
func (k *keeper) awaitRelease(signals <-chan os.Signal) (hosts []string, stopped bool, err error) {
	if k.task.Release == "" {
		_, stopped = k.stopAsked()
		hosts, err = k.hostsAround()
		return hosts, stopped, err
	}
	tick := time.NewTicker(releaseEvery)
	defer tick.Stop()
	for {
		if _, stopped := k.stopAsked(); stopped {
			return nil, true, nil
		}
		hosts, err := k.released()
		if err != nil || hosts != nil {
			return hosts, false, err
		}
		select {
		case <-tick.C:
		case got := <-signals:
			if got == syscall.SIGTERM {
				return nil, true, nil
			}
		}
	}
}

// released reads the release: nil where it is not there yet, or half written.
func (k *keeper) released() ([]string, error) {
	data, err := os.ReadFile(k.task.Release)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESTALE) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var release Release
	if json.Unmarshal(data, &release) != nil || len(release.Hosts) == 0 {
		return nil, nil
	}
	return release.Hosts, k.enough(release.Hosts, "the release")
}

// hostsAround are the gang's nodes as the environment of the agent tells them.
func (k *keeper) hostsAround() ([]string, error) {
	if k.nodes() == 1 {
		return []string{"127.0.0.1"}, nil
	}
	for _, name := range []string{"SLURM_JOB_NODELIST", "SLURM_NODELIST"} {
		if list := os.Getenv(name); list != "" {
			hosts, err := ExpandHosts(list)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return hosts, k.enough(hosts, name)
		}
	}
	return nil, fmt.Errorf("gang %s has %d nodes, but there is neither a release nor SLURM_JOB_NODELIST to tell where rank 0 is",
		k.task.Gang.Key, k.nodes())
}

func (k *keeper) nodes() int {
	if k.task.PerNode == 0 {
		return 1
	}
	return (k.task.Gang.Ranks + k.task.PerNode - 1) / k.task.PerNode
}

func (k *keeper) enough(hosts []string, from string) error {
	if len(hosts) < k.nodes() {
		return fmt.Errorf("%s names %d nodes; gang %s has %d", from, len(hosts), k.task.Gang.Key, k.nodes())
	}
	return nil
}
