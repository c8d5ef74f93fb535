package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/engine/whole"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// gangDir is the folder of one gang.
type gangDir string

const (
	gangFile     = "gang.json"
	secretsFile  = "secrets.json"
	stopFile     = ranks.StopFile
	lockFile     = "shim.lock"
	startedFile  = "started.json"
	ranksFile    = "ranks.jsonl"
	exitFile     = "exit.json"
	reservedFile = "exit.json.reserved"
	shimLogFile  = "shim.log"
	ranksDir     = "ranks"
	scratchDir   = "scratch"
)

type startedRecord struct {
	At   time.Time `json:"at"`
	Boot string    `json:"boot,omitempty"` // of the machine: process ids mean nothing in another
	Port int       `json:"port"`           // MASTER_PORT
}

type exitRecord struct {
	Started  time.Time      `json:"started,omitzero"`
	Ended    time.Time      `json:"ended"`
	ExitCode int            `json:"exit_code"`
	Rank     int            `json:"rank"`
	Stopped  bool           `json:"stopped,omitempty"`
	Lost     bool           `json:"lost,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	Progress fleet.Progress `json:"progress,omitzero"`
	LogLost  int64          `json:"log_lost"`
	Ranks    []ranks.Exit   `json:"ranks,omitempty"`
}

func (d gangDir) file(name string) string { return filepath.Join(string(d), name) }

func (d gangDir) has(name string) bool { return whole.Exists(d.file(name)) }

func (d gangDir) gang() (engine.Gang, error) {
	var gang engine.Gang
	_, err := whole.ReadJSON(d.file(gangFile), &gang)
	return gang, err
}

// secrets reads the gang's secrets, which are there until its commands begin.
func (d gangDir) secrets() (map[string]string, error) {
	var secrets map[string]string
	_, err := whole.ReadJSON(d.file(secretsFile), &secrets)
	return secrets, err
}

// dropSecrets removes the gang's secrets. It is called once no command can
// begin any more, and again where a shim died before it could.
func (d gangDir) dropSecrets() error {
	err := os.Remove(d.file(secretsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// started reads when the gang's commands began, and whether they did. A record
// that the disk damaged still tells that they did, and by its age when.
func (d gangDir) started() (startedRecord, bool, error) {
	var started startedRecord
	found, err := whole.ReadJSON(d.file(startedFile), &started)
	if !found || err == nil {
		return started, found, err
	}
	info, err := os.Stat(d.file(startedFile))
	if err != nil {
		return startedRecord{}, true, err
	}
	return startedRecord{At: info.ModTime().UTC()}, true, nil
}

// ended reads how the gang ended, and whether it did. Where the disk damaged the
// record, the gang is lost, and its end the last sign of life of its shim.
func (d gangDir) ended() (exitRecord, bool, error) {
	var exit exitRecord
	found, err := whole.ReadJSON(d.file(exitFile), &exit)
	if !found || err == nil {
		return exit, found, err
	}
	damage := err
	started, _, err := d.started()
	if err != nil {
		return exit, true, err
	}
	exit = exitRecord{
		Started: started.At, Ended: lastBeat(d), ExitCode: 128 + int(syscall.SIGKILL), Lost: true,
		Reason: fmt.Sprintf("lost: how it ended cannot be read: %s: %v", exitFile, damage),
	}
	if exit.Ended.Before(exit.Started) {
		exit.Ended = exit.Started
	}
	return exit, true, nil
}

// status tells what the files say, whether or not a shim still writes them. A
// damaged file must not keep a gang from ever being seen to end.
func (d gangDir) status() (engine.Status, error) {
	if exit, over, err := d.ended(); err != nil || over {
		return engine.Status{
			State: engine.Exited, Started: exit.Started, Ended: exit.Ended,
			ExitCode: exit.ExitCode, Rank: exit.Rank, Stopped: exit.Stopped, Lost: exit.Lost,
			Reason: exit.Reason, Progress: exit.Progress, LogLost: exit.LogLost,
		}, err
	}
	started, began, err := d.started()
	if err != nil || !began {
		return engine.Status{State: engine.Starting}, err
	}
	progress, logLost, err := ranks.ReadProgress(string(d))
	if err != nil {
		return engine.Status{}, err
	}
	paces, err := ranks.ReadPaces(string(d))
	return engine.Status{
		State: engine.Running, Started: started.At,
		Progress: progress, LogLost: logLost, Paces: paces,
	}, err
}
