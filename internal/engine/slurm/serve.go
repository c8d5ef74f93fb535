package slurm

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
)

const (
	// serveBound is how long one call of the engine may take there.
	serveBound = 4 * callBound
	// logChunk is how much of a log goes into one answer.
	logChunk = 1 << 20
	// logTail is what must be free in a chunk for another read: the line that
	// tells of cut lines is read whole or not at all.
	logTail = 4096
)

// request is one call of the engine on its way to the cluster, a line of JSON.
type request struct {
	ID      uint64            `json:"id"`
	Method  string            `json:"method"`
	Key     string            `json:"key,omitempty"`
	Gang    *engine.Gang      `json:"gang,omitempty"`
	Secrets map[string]string `json:"secrets,omitempty"`
	Rank    int               `json:"rank,omitempty"`
	Offset  int64             `json:"offset,omitempty"`
	Grace   time.Duration     `json:"grace,omitempty"`
	Since   time.Time         `json:"since,omitzero"`
}

// response is the answer to the request of the same number.
type response struct {
	ID      uint64           `json:"id"`
	Kind    fault.Kind       `json:"kind,omitempty"` // of the failure
	Message string           `json:"message,omitempty"`
	Pools   []fleet.Pool     `json:"pools,omitempty"`
	Status  engine.Status    `json:"status,omitzero"`
	Keys    []string         `json:"keys,omitempty"`
	Points  []fleet.Progress `json:"points,omitempty"`
	Log     []byte           `json:"log,omitempty"`
	Next    int64            `json:"next,omitempty"`
	Used    []fleet.Used     `json:"used,omitempty"`
	Text    string           `json:"text,omitempty"`
	Checked bool             `json:"checked,omitempty"`
}

// Serve runs the engine for another machine, which speaks through in and out:
// first the site, then requests in any number and order, until in ends.
func Serve(ctx context.Context, self []string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	requests, answers := json.NewDecoder(in), json.NewEncoder(out)
	var of site.Site
	if err := requests.Decode(&of); err != nil {
		return fault.Wrap(fault.Invalid, err, "reading the site")
	}
	if of.Slurm == nil {
		return fault.Newf(fault.Invalid, "site %s is none of Slurm", of.Name)
	}
	e := New(of, self, System(of.Slurm.Bin, of.Slurm.Config))
	var writing sync.Mutex
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		var r request
		if err := requests.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fault.Wrap(fault.Transient, err, "reading a request")
		}
		serving.Go(func() {
			bounded, done := context.WithTimeout(ctx, serveBound)
			defer done()
			answer := e.answer(bounded, r)
			writing.Lock()
			defer writing.Unlock()
			if answers.Encode(answer) != nil {
				cancel() // nobody listens any more
			}
		})
	}
}

// answer carries a request out.
func (e *Engine) answer(ctx context.Context, r request) response {
	answer := response{ID: r.ID}
	var err error
	switch r.Method {
	case "pools":
		answer.Pools, err = e.Pools(ctx)
	case "start":
		if r.Gang == nil {
			err = fault.New(fault.Invalid, "a start without a gang")
			break
		}
		r.Gang.Secrets = r.Secrets
		err = e.Start(ctx, *r.Gang)
	case "preview":
		if r.Gang == nil {
			err = fault.New(fault.Invalid, "a preview without a gang")
			break
		}
		answer.Text, answer.Checked, err = e.Preview(ctx, *r.Gang)
	case "observe":
		answer.Status, err = e.Observe(ctx, r.Key)
	case "logs":
		answer.Log, answer.Next, err = e.logChunk(ctx, r)
	case "history":
		answer.Points, err = e.History(ctx, r.Key)
	case "stop":
		err = e.Stop(ctx, r.Key, r.Grace)
	case "dump":
		err = e.Dump(ctx, r.Key, r.Grace)
	case "list":
		answer.Keys, err = e.List(ctx)
	case "forget":
		err = e.Forget(ctx, r.Key)
	case "used":
		answer.Used, err = e.Used(ctx, r.Since)
	default:
		err = fault.Newf(fault.Invalid, "method %q is not known", r.Method)
	}
	if err != nil {
		answer.Kind, answer.Message = fault.KindOf(err), err.Error()
	}
	return answer
}

// logChunk reads a part of a log.
func (e *Engine) logChunk(ctx context.Context, r request) ([]byte, int64, error) {
	log, err := e.Logs(ctx, r.Key, r.Rank, r.Offset)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = log.Close() }()
	chunk := make([]byte, logChunk)
	n := 0
	for len(chunk)-n >= logTail {
		read, err := log.Read(chunk[n:])
		n += read
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, 0, fault.Wrap(fault.Transient, err, "reading a log")
		}
	}
	return chunk[:n], log.Next(), nil
}
