package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// gangDir is the folder of one gang.
type gangDir string

const (
	gangFile     = "gang.json"
	secretsFile  = "secrets.json"
	stopFile     = "stop.json"
	lockFile     = "shim.lock"
	startedFile  = "started.json"
	ranksFile    = "ranks.jsonl"
	progressFile = "progress.json"
	historyFile  = "progress.jsonl"
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

type rankRecord struct {
	Rank  int    `json:"rank"`
	PID   int    `json:"pid"`   // of its process group too
	Birth string `json:"birth"` // tells this process from a later one with the same id
}

type stopRecord struct {
	Grace time.Duration `json:"grace"`
}

type progressRecord struct {
	Progress fleet.Progress `json:"progress"`
	LogLost  int64          `json:"log_lost"`
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
	Ranks    []rankExit     `json:"ranks,omitempty"`
}

type rankExit struct {
	Rank     int       `json:"rank"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	ExitCode int       `json:"exit_code"`
}

func (d gangDir) file(name string) string { return filepath.Join(string(d), name) }

func (d gangDir) has(name string) bool { return exists(d.file(name)) }

func (d gangDir) rankLog(rank int) string {
	return filepath.Join(string(d), ranksDir, strconv.Itoa(rank)+".log")
}

func (d gangDir) gang() (engine.Gang, error) {
	var gang engine.Gang
	_, err := readJSON(d.file(gangFile), &gang)
	return gang, err
}

// secrets reads the gang's secrets, which are there until its commands begin.
func (d gangDir) secrets() (map[string]string, error) {
	var secrets map[string]string
	_, err := readJSON(d.file(secretsFile), &secrets)
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
	found, err := readJSON(d.file(startedFile), &started)
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
	found, err := readJSON(d.file(exitFile), &exit)
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
	var progress progressRecord
	if found, err := readJSON(d.file(progressFile), &progress); err != nil && !found {
		return engine.Status{}, err
	}
	return engine.Status{
		State: engine.Running, Started: started.At,
		Progress: progress.Progress, LogLost: progress.LogLost,
	}, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// readJSON reports whether there is such a file, and decodes it. A failure with
// a file is damage: what it holds is no such record.
func readJSON(path string, into any) (bool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(data, into)
}

// durability says whether a file must survive a crash of the machine.
type durability bool

const (
	durable  durability = true
	volatile durability = false
)

// replaceJSON writes the file whole or not at all.
func replaceJSON(path string, value any, keep durability) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return replaceFile(path, append(data, '\n'), keep)
}

func replaceFile(path string, data []byte, keep durability) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err == nil && keep == durable {
		err = temp.Sync()
	}
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	if keep == durable {
		return syncDir(filepath.Dir(path))
	}
	return nil
}

// syncDir makes renames in a folder survive a crash of the machine.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
