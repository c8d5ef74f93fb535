// Package client owns the Go client of Switchyard's HTTP API, version 1.
//
// It refuses to retry what is not safe to repeat, to decide, and to keep state:
// each method is one request.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Client talks to one control plane. Its methods are safe for concurrent use.
// Failures are *v1.Problem where the server answered, and of kind transient
// where it could not be reached.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New returns a client of the server at an address such as
// http://127.0.0.1:7700, with its bearer token.
func New(address, token string) (*Client, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fault.Newf(fault.Invalid, "%q is not the address of a server; such as http://127.0.0.1:7700", address)
	}
	return &Client{base: strings.TrimRight(address, "/"), token: token, http: &http.Client{}}, nil
}

// NewUnix returns a client of the control plane that listens on a unix socket.
func NewUnix(socket string) *Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}
	return &Client{base: "http://yard", http: &http.Client{Transport: transport}}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Health asks whether the control plane answers.
func (c *Client) Health(ctx context.Context) (out v1.Health, err error) {
	err = c.call(ctx, http.MethodGet, "/healthz", nil, nil, &out)
	return out, err
}

// Submit queues a run of a workload file. With a key it may be repeated safely.
func (c *Client) Submit(ctx context.Context, s v1.Submission) (out v1.RunDetail, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/runs", nil, s, &out)
	return out, err
}

// Preview asks what a run of a workload file would be on a pool; nothing is started.
func (c *Client) Preview(ctx context.Context, r v1.PreviewRequest) (out v1.Preview, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/previews", nil, r, &out)
	return out, err
}

// RunFilter selects runs; zero fields select all.
type RunFilter struct {
	Live    bool // queued and running ones only
	Project string
	Limit   int
}

// Runs lists runs, newest first.
func (c *Client) Runs(ctx context.Context, f RunFilter) ([]v1.Run, error) {
	query := url.Values{}
	if f.Live {
		query.Set("live", "true")
	}
	if f.Project != "" {
		query.Set("project", f.Project)
	}
	if f.Limit > 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	var out v1.RunList
	err := c.call(ctx, http.MethodGet, "/v1/runs", query, nil, &out)
	return out.Runs, err
}

// Run returns a run with its attempts and decisions.
func (c *Client) Run(ctx context.Context, id string) (out v1.RunDetail, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/runs/"+url.PathEscape(id), nil, nil, &out)
	return out, err
}

// Stop asks a run to end. A negative grace is the server's default.
func (c *Client) Stop(ctx context.Context, id string, grace time.Duration) (out v1.RunDetail, err error) {
	request := v1.StopRequest{}
	if grace >= 0 {
		seconds := int(grace.Round(time.Second) / time.Second)
		request.GraceSeconds = &seconds
	}
	err = c.call(ctx, http.MethodPost, "/v1/runs/"+url.PathEscape(id)+"/stop", nil, request, &out)
	return out, err
}

// History returns the progress that a run reported, oldest first.
func (c *Client) History(ctx context.Context, id string) ([]v1.Point, error) {
	var out v1.History
	err := c.call(ctx, http.MethodGet, "/v1/runs/"+url.PathEscape(id)+"/history", nil, nil, &out)
	return out.Points, err
}

// Checkpoints lists the checkpoints of a run.
func (c *Client) Checkpoints(ctx context.Context, id string) (out v1.CheckpointList, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/runs/"+url.PathEscape(id)+"/checkpoints", nil, nil, &out)
	return out, err
}

// Queue lists the runs that wait, next first, and why.
func (c *Client) Queue(ctx context.Context) ([]v1.Waiting, error) {
	var out v1.Queue
	err := c.call(ctx, http.MethodGet, "/v1/queue", nil, nil, &out)
	return out.Waiting, err
}

// Sites lists the connected sites with their pools.
func (c *Client) Sites(ctx context.Context) ([]v1.Site, error) {
	var out v1.SiteList
	err := c.call(ctx, http.MethodGet, "/v1/sites", nil, nil, &out)
	return out.Sites, err
}

// Site returns a site with its pools.
func (c *Client) Site(ctx context.Context, name string) (out v1.Site, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/sites/"+url.PathEscape(name), nil, nil, &out)
	return out, err
}

// Price asks what nodes of a pool cost a run that comes to it.
func (c *Client) Price(ctx context.Context, request v1.PriceRequest) (out v1.PriceAnswer, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/prices", nil, request, &out)
	return out, err
}

// AddSite connects the site of a file, or changes it, and returns what it looks
// like; with DryRun nothing is kept.
func (c *Client) AddSite(ctx context.Context, file v1.SiteFile) (out v1.Site, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/sites", nil, file, &out)
	return out, err
}

// DrainSite makes a site drain, or take runs again.
func (c *Client) DrainSite(ctx context.Context, name string, drain bool) (out v1.Site, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/sites/"+url.PathEscape(name)+"/drain", nil, v1.SiteDrain{Drain: drain}, &out)
	return out, err
}

// RemoveSite disconnects a site where no run is live and returns the others.
func (c *Client) RemoveSite(ctx context.Context, name string) ([]v1.Site, error) {
	var out v1.SiteList
	err := c.call(ctx, http.MethodDelete, "/v1/sites/"+url.PathEscape(name), nil, nil, &out)
	return out.Sites, err
}

// ReconcileSite compares the ledger with a site's own accounting since a time; the
// zero time is the server's default.
func (c *Client) ReconcileSite(ctx context.Context, name string, since time.Time) (out v1.SiteReconciliation, err error) {
	query := url.Values{}
	if !since.IsZero() {
		query.Set("since", since.UTC().Format(time.RFC3339))
	}
	err = c.call(ctx, http.MethodGet, "/v1/ledger/sites/"+url.PathEscape(name), query, nil, &out)
	return out, err
}

// Quotas lists the quotas of all projects.
func (c *Client) Quotas(ctx context.Context) ([]v1.Quota, error) {
	var out v1.QuotaList
	err := c.call(ctx, http.MethodGet, "/v1/quotas", nil, nil, &out)
	return out.Quotas, err
}

// SetQuota sets the most chips that a project may hold; −1 removes the quota.
func (c *Client) SetQuota(ctx context.Context, project string, chips int) ([]v1.Quota, error) {
	var out v1.QuotaList
	err := c.call(ctx, http.MethodPut, "/v1/quotas/"+url.PathEscape(project), nil, v1.QuotaChange{Chips: chips}, &out)
	return out.Quotas, err
}

// Budgets says where each budget stands.
func (c *Client) Budgets(ctx context.Context) (out v1.BudgetList, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/budgets", nil, nil, &out)
	return out, err
}

// LedgerEntries returns lines of the ledger, of one run unless it is "".
func (c *Client) LedgerEntries(ctx context.Context, run string) ([]v1.LedgerEntry, error) {
	var out v1.LedgerEntries
	err := c.call(ctx, http.MethodGet, "/v1/ledger/entries", url.Values{"run": {run}}, nil, &out)
	return out.Entries, err
}

// EachLedgerEntry calls fn with each line of the ledger in order, of one run
// unless it is "", and holds none of them. All are of one moment.
func (c *Client) EachLedgerEntry(ctx context.Context, run string, fn func(v1.LedgerEntry) error) error {
	response, err := c.send(ctx, http.MethodGet, "/v1/ledger/stream", url.Values{"run": {run}}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	lines := json.NewDecoder(response.Body)
	for {
		var line v1.LedgerLine
		if err := lines.Decode(&line); err != nil {
			return &unreachable{err}
		}
		if line.Entry == nil {
			return nil
		}
		if err := fn(*line.Entry); err != nil {
			return err
		}
	}
}

// LedgerSummary adds the ledger up by run, project, pool, provider, chipmaker, chip or day.
func (c *Client) LedgerSummary(ctx context.Context, by string) (out v1.LedgerSummary, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/ledger/summary", url.Values{"by": {by}}, nil, &out)
	return out, err
}

// VerifyLedger proves the ledger.
func (c *Client) VerifyLedger(ctx context.Context) (out v1.LedgerVerdict, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/ledger/verify", nil, nil, &out)
	return out, err
}

// Backup writes a consistent copy of the state to w.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	response, err := c.send(ctx, http.MethodGet, "/v1/backup", nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(w, response.Body); err != nil {
		return &unreachable{err}
	}
	return nil
}

// Call makes any request of the API: body and out are JSON, either may be nil.
func (c *Client) Call(ctx context.Context, method, path string, body, out any) error {
	return c.call(ctx, method, path, nil, body, out)
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values, body, out any) error {
	response, err := c.send(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(out); err != nil {
		return &unreachable{err}
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, target, payload)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &unreachable{err}
	}
	if response.StatusCode >= http.StatusBadRequest {
		defer func() { _ = response.Body.Close() }()
		return nil, problem(response)
	}
	return response, nil
}

// unreachable says that no server answered.
type unreachable struct{ cause error }

func (e *unreachable) Error() string { return "the control plane does not answer: " + e.cause.Error() }

// Unwrap returns why.
func (e *unreachable) Unwrap() error { return e.cause }

// FaultKind classifies the error.
func (e *unreachable) FaultKind() fault.Kind { return fault.Transient }

// Unreachable reports whether a request failed because no server answered, or
// it died before it had answered in full.
func Unreachable(err error) bool {
	var u *unreachable
	return errors.As(err, &u)
}

// maxProblem bounds how much of a failed answer is read, in bytes.
const maxProblem = 16 << 20

func problem(response *http.Response) error {
	data, _ := io.ReadAll(io.LimitReader(response.Body, maxProblem)) // what arrived is what there is to say
	var answer struct {
		v1.Problem
		Errors []struct { // of a request that does not fit the API's schema
			Message  string `json:"message"`
			Location string `json:"location"`
		} `json:"errors"`
	}
	err := json.Unmarshal(data, &answer)
	p := &answer.Problem
	for _, e := range answer.Errors {
		p.Detail += "; " + e.Location + ": " + e.Message
	}
	if err != nil || p.Detail == "" {
		p = &v1.Problem{Detail: fmt.Sprintf("the server answered %s: %.200s", response.Status, strings.TrimSpace(string(data)))}
	}
	p.Status = response.StatusCode
	return p
}
