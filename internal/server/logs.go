package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

const (
	logChunk  = 1 << 20                // most bytes of log in one answer
	logPoll   = 100 * time.Millisecond // between looks at a log that is followed
	logMaxAge = 60                     // seconds that an answer may be held back
)

func (s *server) routeLogs(api huma.API) {
	route(api, http.MethodGet, "/v1/runs/{id}/logs", "read-log", "A part of the log of one rank, held back until there is some", s.readLog)
	operation := huma.Operation{
		OperationID: "stream-log", Method: http.MethodGet, Path: "/v1/runs/{id}/logs/stream",
		Summary: "The log of one rank as a stream that ends with the attempt",
	}
	huma.Register(api, operation, s.streamLog)
}

// LogQuery says which log to read, and from where.
type LogQuery struct {
	RunPath
	Attempt int   `query:"attempt" minimum:"0" doc:"0 is the last one"`
	Rank    int   `query:"rank" minimum:"0"`
	Offset  int64 `query:"offset" minimum:"0" doc:"bytes, as given by Yard-Log-Next of an earlier answer"`
}

// logAnswer is a part of a log and where it goes on.
type logAnswer struct {
	ContentType string `header:"Content-Type"`
	Attempt     int    `header:"Yard-Log-Attempt" doc:"the attempt; 0 while there is none"`
	Next        int64  `header:"Yard-Log-Next" doc:"the offset from which to read on"`
	Ended       bool   `header:"Yard-Log-Ended" doc:"the attempt is over and this is the end of its log"`
	Body        []byte
}

func (s *server) readLog(ctx context.Context, in *struct {
	LogQuery
	Wait int `query:"wait" minimum:"0" maximum:"60" doc:"seconds to wait for something to read"`
}) (*logAnswer, error) {
	deadline := time.Now().Add(time.Duration(min(in.Wait, logMaxAge)) * time.Second)
	for {
		out, err := s.logPart(ctx, in.LogQuery)
		if err != nil || len(out.Body) > 0 || out.Ended || !time.Now().Before(deadline) {
			return out, err
		}
		if !pause(ctx, logPoll) {
			return out, nil
		}
	}
}

// logPart reads what there is of a log from the offset, up to logChunk.
func (s *server) logPart(ctx context.Context, in LogQuery) (*logAnswer, error) {
	out := &logAnswer{ContentType: "text/plain; charset=utf-8", Next: in.Offset, Body: []byte{}}
	attempt, err := s.logAttempt(ctx, in)
	if err != nil || attempt == nil {
		return out, err
	}
	// The end is decided before reading: what a final attempt wrote is complete.
	out.Attempt = attempt.Number
	final := attempt.State.Final()
	eng, err := s.Sites.Engine(attempt.Site)
	if err != nil {
		return nil, err
	}
	log, err := eng.Logs(ctx, attempt.Key(), in.Rank, in.Offset)
	if fault.Is(err, fault.Lost) {
		out.Ended = final // not started yet, or past its retention
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	var text bytes.Buffer
	n, err := io.Copy(&text, io.LimitReader(log, logChunk))
	if err != nil {
		return nil, fault.Wrap(fault.Transient, err, "reading the log")
	}
	out.Body, out.Next, out.Ended = text.Bytes(), log.Next(), final && n < logChunk
	return out, nil
}

// logAttempt finds the attempt whose log is asked for, or nil while the run has none.
func (s *server) logAttempt(ctx context.Context, in LogQuery) (*fleet.Attempt, error) {
	attempts, err := s.attempts(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if in.Attempt > len(attempts) {
		return nil, fault.Newf(fault.NotFound, "run %s has %d attempts, not %d", in.ID, len(attempts), in.Attempt)
	}
	if len(attempts) == 0 {
		return nil, nil
	}
	if in.Attempt == 0 {
		return &attempts[len(attempts)-1], nil
	}
	return &attempts[in.Attempt-1], nil
}

func (s *server) streamLog(ctx context.Context, in *LogQuery) (*huma.StreamResponse, error) {
	first, err := s.logPart(ctx, *in)
	if err != nil {
		return nil, Problem(err)
	}
	return &huma.StreamResponse{Body: func(stream huma.Context) {
		stream.SetHeader("Content-Type", "text/plain; charset=utf-8")
		w := stream.BodyWriter()
		for part := first; ; {
			if _, err := w.Write(part.Body); err != nil || part.Ended {
				return
			}
			if flusher, ok := w.(http.Flusher); ok {
				flusher.Flush()
			}
			if len(part.Body) == 0 && !pause(stream.Context(), logPoll) {
				return
			}
			in.Offset, in.Attempt = part.Next, part.Attempt
			if part, err = s.logPart(stream.Context(), *in); err != nil {
				return // the headers are sent: the stream ends early and the caller reads on from its offset
			}
		}
	}}, nil
}

// pause waits and reports whether ctx still holds.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
