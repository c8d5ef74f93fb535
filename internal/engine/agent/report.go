package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/engine/whole"
)

const (
	// ReportFile is the report in the task's folder.
	ReportFile = "report.json"
	// mostReport is the size that Kubernetes keeps of a termination message.
	mostReport  = 4096
	mostReason  = 2000 // bytes
	reportEvery = time.Second
	reportTries = 30 // a disk that is full for longer costs the report
)

// poll does what is due from time to time while the ranks run.
func (k *keeper) poll() {
	if k.task.Dir != "" {
		k.book.Flush(k.task.Dir, k.ranks.LogLost())
	}
	k.ranks.Note(k.takeNotes()...)
	if time.Since(k.reported) < reportEvery {
		return
	}
	ranks.Reap(k.ranks)
	k.report.Progress, k.report.LogLost = k.book.Last(), k.ranks.LogLost()
	k.report.Stored = k.storedStep()
	_ = k.write()
}

// finish writes the report for good.
func (k *keeper) finish(outcome ranks.Outcome) {
	r := &k.report
	r.ExitCode, r.Rank, r.Stopped, r.Reason = outcome.Code, outcome.Rank, outcome.Stopped, outcome.Reason
	r.Progress, r.Stored, r.Ended = k.book.Last(), k.storedStep(), time.Now().UTC()
	if k.ranks != nil {
		r.Ended = k.ranks.Ended()
		k.ranks.Note(k.takeNotes()...)
		r.LogLost = k.ranks.LogLost()
	}
	for _, note := range k.takeNotes() { // no rank began
		fmt.Fprintln(os.Stderr, "[yard] "+note)
	}
	for try := 1; k.write() != nil && try < reportTries; try++ {
		time.Sleep(reportEvery)
	}
}

// write leaves the report as it is now; what fails is tried again next time.
func (k *keeper) write() error {
	k.reported = time.Now()
	data, err := k.report.encode()
	if err != nil {
		return err
	}
	var errs []error
	if k.task.Dir != "" {
		errs = append(errs, whole.Write(filepath.Join(k.task.Dir, ReportFile), data, whole.Durable))
	}
	if k.task.Report != "" {
		errs = append(errs, overwrite(k.task.Report, data))
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, "writing the report:", err)
		return err
	}
	return nil
}

// encode gives the report in no more bytes than are kept of it anywhere, its
// reason cut where need be.
func (r Report) encode() ([]byte, error) {
	for most := mostReason; ; most /= 2 {
		r.Reason = clip(r.Reason, most)
		data, err := json.Marshal(r)
		if err != nil || len(data) < mostReport || r.Reason == "" {
			return append(data, '\n'), err
		}
	}
}

// overwrite writes into a file that cannot be replaced, being mounted by itself.
// At every moment it begins with a whole report, the new one or the old.
func overwrite(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(data, 0)
	if err == nil {
		err = file.Truncate(int64(len(data)))
	}
	return errors.Join(err, file.Close())
}

// ParseReport reads a report; what follows it is not looked at.
func ParseReport(data []byte) (Report, error) {
	var r Report
	err := json.NewDecoder(bytes.NewReader(data)).Decode(&r)
	return r, err
}

// ReadReport reads the report in a task's folder, and reports whether there is one.
func ReadReport(dir string) (Report, bool, error) {
	var r Report
	found, err := whole.ReadJSON(filepath.Join(dir, ReportFile), &r)
	return r, found, err
}

// clip cuts a text that is too long, between letters.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}

// hostName is the node as the site names it, where the environment tells.
func hostName() string {
	for _, name := range []string{"YARD_NODE_NAME", "SLURMD_NODENAME"} {
		if host := os.Getenv(name); host != "" {
			return host
		}
	}
	host, _ := os.Hostname()
	return host
}
