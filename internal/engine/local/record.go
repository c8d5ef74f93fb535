package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/engine/whole"
)

const (
	reservedBase    = 4096 // bytes of exit.json besides the ranks
	reservedPerRank = 192  // bytes of exit.json for one rank: times, code, id
	recordRetry     = time.Second
	reasonLimit     = 2000 // bytes
)

// reserve takes room for exit.json now, so that a disk that is full by then
// cannot keep the end from being recorded.
func reserve(dir gangDir, ranks int) (*os.File, error) {
	file, err := os.OpenFile(dir.file(reservedFile), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = file.Write(bytes.Repeat([]byte{' '}, reservedBase+reservedPerRank*ranks))
	if err = errors.Join(err, file.Sync()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// record writes exit.json into the reserved room, over and over until it is
// there: the shim's one duty. It gives up only where the folder itself is gone.
func (s *shim) record(why ranks.Outcome) error {
	exit := exitRecord{
		ExitCode: why.Code, Rank: why.Rank, Stopped: why.Stopped, Reason: why.Reason,
		Progress: s.progress.Last(), Ended: time.Now().UTC(),
	}
	if s.ranks != nil {
		exit.Started, exit.Ended = s.ranks.Started(), s.ranks.Ended()
		exit.LogLost, exit.Ranks = s.ranks.LogLost(), s.ranks.Exits()
	}
	return s.write(exit)
}

func (s *shim) write(exit exitRecord) error {
	s.dropSecrets()
	exit.Reason = exit.Reason[:min(len(exit.Reason), reasonLimit)]
	slices.SortFunc(exit.Ranks, func(a, b ranks.Exit) int { return a.Rank - b.Rank })
	data, err := json.Marshal(exit)
	if err != nil {
		return err
	}
	for {
		err := s.tryWrite(append(data, '\n'))
		if err == nil || !s.dir.has(gangFile) {
			return err
		}
		fmt.Fprintln(os.Stderr, "exit.json:", err)
		time.Sleep(recordRetry)
	}
}

func (s *shim) tryWrite(data []byte) error {
	if _, err := s.reserved.WriteAt(data, 0); err != nil {
		return err
	}
	if err := errors.Join(s.reserved.Truncate(int64(len(data))), s.reserved.Sync()); err != nil {
		return err
	}
	if err := os.Rename(s.dir.file(reservedFile), s.dir.file(exitFile)); err != nil {
		return err
	}
	return whole.SyncDir(string(s.dir))
}

// lastBeat is when the gang's shim was last seen alive.
func lastBeat(dir gangDir) time.Time {
	info, err := os.Stat(dir.file(lockFile))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime().UTC()
}

// settle ends a gang whose shim died: no rank of it goes on, and its end is the
// last that is known of it.
func (s *shim) settle(beat time.Time) error {
	started, _, err := s.dir.started()
	if err != nil {
		return err
	}
	progress, logLost, _ := ranks.ReadProgress(string(s.dir))
	exit := exitRecord{
		Started: started.At, Ended: beat, ExitCode: 128 + int(syscall.SIGKILL), Lost: true,
		Reason:   "lost: the shim died and its ranks with it (it was killed, or the machine restarted)",
		Progress: progress, LogLost: logLost,
	}
	if left := killRanks(s.dir, started.Boot) + ranks.KillStrays(s.scratchEntry()); left > 0 {
		exit.Ended = time.Now().UTC()
		exit.Reason = fmt.Sprintf("lost: the shim died; %d processes that outlived it were killed", left)
	}
	if exit.Ended.Before(exit.Started) { // no beat yet, or the clock was set back
		exit.Ended = exit.Started
	}
	return s.write(exit)
}

// killRanks kills the groups of those ranks that are still the processes that
// were started, and returns how many there were.
func killRanks(dir gangDir, boot string) int {
	file, err := os.Open(dir.file(ranksFile))
	if err != nil || boot != ranks.BootID() {
		return 0
	}
	defer func() { _ = file.Close() }()
	killed := 0
	decoder := json.NewDecoder(file)
	for {
		var p ranks.Process
		if err := decoder.Decode(&p); err != nil {
			return killed // the end, or a line that was being written
		}
		if p.Kill() {
			killed++
		}
	}
}
