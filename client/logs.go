package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// LogPosition says which log to read, and from where.
type LogPosition struct {
	Attempt int // 0 is the run's last
	Rank    int
	Offset  int64 // as given by an earlier part
}

// LogPart is some of the log of one rank.
type LogPart struct {
	Text    []byte
	Attempt int   // 0 while the run has none
	Next    int64 // the offset from which to read on
	Ended   bool  // the attempt is over and its log ends here
}

// Log reads what there is of a log from a position; while there is nothing it
// waits up to the given time, at most a minute.
func (c *Client) Log(ctx context.Context, run string, at LogPosition, wait time.Duration) (LogPart, error) {
	query := url.Values{
		"attempt": {strconv.Itoa(at.Attempt)}, "rank": {strconv.Itoa(at.Rank)},
		"offset": {strconv.FormatInt(at.Offset, 10)}, "wait": {strconv.Itoa(int(wait / time.Second))},
	}
	response, err := c.send(ctx, http.MethodGet, "/v1/runs/"+url.PathEscape(run)+"/logs", query, nil)
	if err != nil {
		return LogPart{}, err
	}
	defer func() { _ = response.Body.Close() }()
	part := LogPart{Ended: response.Header.Get("Yard-Log-Ended") == "true"}
	if part.Text, err = io.ReadAll(response.Body); err != nil {
		return LogPart{}, &unreachable{err}
	}
	part.Attempt, err = strconv.Atoi(response.Header.Get("Yard-Log-Attempt"))
	if err == nil {
		part.Next, err = strconv.ParseInt(response.Header.Get("Yard-Log-Next"), 10, 64)
	}
	if err != nil {
		return LogPart{}, fault.Wrap(fault.Internal, err, "the server did not say where its log goes on")
	}
	return part, nil
}
