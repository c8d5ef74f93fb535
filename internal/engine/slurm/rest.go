package slurm

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// restBound is how much of an answer of slurmrestd is read, entry by entry: it
// tells of every core of a job.
const restBound = 1 << 30

// restVersions are the versions of slurmrestd's interface that rest speaks, the
// newest first. Slurm 22.05 brought v0.0.38; what came after it has other shapes.
func restVersions() []string { return []string{"v0.0.38"} }

// rest is a cluster's slurmrestd. See controller. What it cannot tell is what the
// ranks wrote: that is in the shared directory.
type rest struct {
	of    site.SlurmREST
	gangs string // folders of this site's jobs begin with it
	base  string
	http  *http.Client

	mu      sync.Mutex
	version string // "" until it is agreed on
}

var _ controller = (*rest)(nil)

func newREST(of site.Slurm) *rest {
	r := &rest{of: *of.REST, gangs: path.Join(of.Dir, "gangs") + "/", base: strings.TrimRight(of.REST.URL, "/")}
	dialer := &net.Dialer{Timeout: callBound}
	transport := &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: callBound, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2}
	if socket, isUnix := strings.CutPrefix(of.REST.URL, "unix://"); isUnix {
		r.base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	// A redirection would take the token elsewhere.
	r.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return r
}

// jobs implements controller.
func (r *rest) jobs(ctx context.Context) ([]job, error) {
	return r.listJobs(ctx, "/slurm/%s/jobs")
}

// accounted implements controller.
func (r *rest) accounted(ctx context.Context, of past) ([]job, error) {
	if len(of.ids) == 0 {
		return r.listJobs(ctx, fmt.Sprintf("/slurmdb/%%s/jobs?start_time=uts%d", max(of.since.Unix(), 1)))
	}
	var all []job
	for _, id := range of.ids {
		jobs, err := r.listJobs(ctx, "/slurmdb/%s/job/"+url.PathEscape(id))
		if err != nil {
			return nil, err
		}
		all = append(all, jobs...)
	}
	return all, nil
}

// listJobs keeps the jobs of this site: slurmrestd tells of all that its user may see.
func (r *rest) listJobs(ctx context.Context, path string) ([]job, error) {
	var jobs []job
	err := r.ask(ctx, http.MethodGet, path, nil, entries{"jobs": func(from *json.Decoder) error {
		var told restJob
		err := from.Decode(&told)
		if j := told.job(); strings.HasPrefix(j.Dir, r.gangs) {
			jobs = append(jobs, j)
		}
		return err
	}})
	return jobs, r.notInvalid(err)
}

// nodes implements controller.
func (r *rest) nodes(ctx context.Context, list string) ([]node, error) {
	wanted, err := expandHosts(list)
	if err != nil {
		return nil, err
	}
	var nodes []node
	err = r.ask(ctx, http.MethodGet, "/slurm/%s/nodes", nil, entries{"nodes": func(from *json.Decoder) error {
		var told restNode
		err := from.Decode(&told)
		if list == "" || slices.Contains(wanted, told.Name) {
			nodes = append(nodes, told.node())
		}
		return err
	}})
	return nodes, r.notInvalid(err)
}

// submit implements controller.
func (r *rest) submit(ctx context.Context, o order) (string, error) {
	var id json.Number
	err := r.ask(ctx, http.MethodPost, "/slurm/%s/job/submit", r.submission(o), entries{"job_id": func(from *json.Decoder) error {
		return from.Decode(&id)
	}})
	if err == nil && (id == "" || id == "0") {
		err = fault.Newf(fault.Transient, "%s took a job and told no number", r.where())
	}
	return id.String(), err
}

// cancel implements controller. A job that begins between the look and the
// cancellation is taken away too: it has just begun, and was not to.
func (r *rest) cancel(ctx context.Context, waiting bool, ids ...string) error {
	for _, id := range ids {
		path := "/slurm/%s/job/" + url.PathEscape(id)
		if waiting {
			jobs, err := r.listJobs(ctx, path)
			if err != nil && !isGone(err) {
				return err
			}
			if !slices.ContainsFunc(jobs, job.waiting) {
				continue
			}
		}
		if err := r.ask(ctx, http.MethodDelete, path, nil, nil); err != nil && !isGone(err) {
			return fault.Wrap(fault.Transient, err, "cancelling a job")
		}
	}
	return nil
}

// notInvalid is for questions, in which nothing is anybody's mistake: whatever
// slurmrestd complains of may have passed when it is asked again.
func (r *rest) notInvalid(err error) error {
	if fault.Is(err, fault.Invalid) {
		return fault.Wrap(fault.Transient, err, "asking Slurm")
	}
	return err
}

func (r *rest) where() string { return "slurmrestd at " + r.of.URL }

// ask sends a request, in whose path %s is the version, and has the entries of the
// answer's fields read. It fails with what Slurm says was wrong, or as transient.
func (r *rest) ask(ctx context.Context, method, path string, body any, fields entries) error {
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	version, err := r.agreed(ctx)
	if err != nil {
		return err
	}
	answer, err := r.send(ctx, method, fmt.Sprintf(path, version), body)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusNotFound && !isJSON(answer) {
		if strings.HasPrefix(path, "/slurmdb/") {
			return fault.Newf(fault.NotFound, "%s does not tell of the accounting", r.where())
		}
		r.forget(version)
		return fault.Newf(fault.Transient, "%s offers %s no more", r.where(), version)
	}
	return r.read(ctx, answer, fields)
}

// send makes one exchange; a refusal of who asks is a failure.
func (r *rest) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(marshal(body))
	}
	request, err := http.NewRequestWithContext(ctx, method, r.base+path, content)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, r.where())
	}
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if err := r.authenticate(request.Header); err != nil {
		return nil, err
	}
	answer, err := r.http.Do(request)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fault.Newf(fault.Transient, "%s did not answer in %v", r.where(), callBound)
	case err != nil:
		var failed *url.Error // tells the address again
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, fault.Wrap(fault.Transient, err, r.where())
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		_ = answer.Body.Close()
		return nil, fault.Newf(fault.Transient, "%s takes %s not for %s (%d): a token that has expired must be made anew (scontrol token)",
			r.where(), r.credential(), cmp.Or(request.Header.Get(userHeader), "anyone"), answer.StatusCode)
	}
	return answer, nil
}

// read reads the answer, which is one object.
func (r *rest) read(ctx context.Context, answer *http.Response, fields entries) error {
	var said []restError
	readers := entries{"errors": func(from *json.Decoder) error {
		var one restError
		err := from.Decode(&one)
		said = append(said, one)
		return err
	}}
	maps.Copy(readers, fields)
	err := readObject(json.NewDecoder(&rationed{reader: answer.Body, left: restBound}), readers)
	switch {
	case len(said) > 0:
		return r.failure(said)
	case ctx.Err() != nil:
		return fault.Newf(fault.Transient, "%s did not answer in %v", r.where(), callBound)
	case err != nil:
		return fault.Wrap(fault.Transient, err, r.where()+" answered "+answer.Status)
	case answer.StatusCode >= http.StatusMultipleChoices:
		return fault.Newf(fault.Transient, "%s answered %s", r.where(), answer.Status)
	}
	return nil
}

// The headers by which slurmrestd knows who asks.
const (
	userHeader  = "X-SLURM-USER-NAME"
	tokenHeader = "X-SLURM-USER-TOKEN"
)

// authenticate adds the token, read anew, and the user.
func (r *rest) authenticate(header http.Header) error {
	user := r.of.User
	if r.of.Token != nil {
		token, err := r.token()
		if err != nil {
			return err
		}
		claims := claimsOf(token)
		if expired := instant(claims.Expires); !expired.IsZero() && time.Now().After(expired) {
			return fault.Newf(fault.Transient, "the token in %s for %s expired at %s: make another (scontrol token)", r.credential(), r.where(), expired.Format(time.RFC3339))
		}
		header.Set(tokenHeader, token)
		user = cmp.Or(user, claims.User)
	}
	if user != "" {
		header.Set(userHeader, user)
	}
	return nil
}

func (r *rest) token() (string, error) {
	text := os.Getenv(r.of.Token.Env)
	if r.of.Token.File != "" {
		data, err := os.ReadFile(r.of.Token.File)
		if err != nil {
			return "", fault.Wrap(fault.Transient, err, "reading the token for "+r.where())
		}
		text = string(data)
	}
	text = strings.TrimPrefix(strings.TrimSpace(text), "SLURM_JWT=") // as scontrol token writes it
	if text == "" {
		return "", fault.Newf(fault.Transient, "%s needs a token, and %s is empty", r.where(), r.credential())
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fault.Newf(fault.Transient, "%s does not hold a token alone", r.credential())
	}
	return text, nil
}

// credential names what is given as proof of who asks.
func (r *rest) credential() string {
	switch {
	case r.of.Token == nil:
		return "a request without a token"
	case r.of.Token.File != "":
		return r.of.Token.File
	}
	return "$" + r.of.Token.Env
}

// claims are what a token of auth/jwt says of itself.
type claims struct {
	User    string `json:"sun"`
	Expires int64  `json:"exp"`
}

// claimsOf reads a token without checking it, which is for Slurm to do.
func claimsOf(token string) claims {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}
	}
	var c claims
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(data, &c) != nil {
		return claims{}
	}
	return c
}

// agreed is the version of the interface: the one that the site declares, else the
// newest that both sides know.
func (r *rest) agreed(ctx context.Context) (string, error) {
	r.mu.Lock()
	agreed := r.version
	r.mu.Unlock()
	if agreed != "" {
		return agreed, nil
	}
	offered, err := r.offered(ctx) // by each who needs it: nobody waits for another's question
	if err != nil {
		return "", err
	}
	for _, version := range restVersions() {
		if slices.Contains(offered, version) && (r.of.Version == "" || r.of.Version == version) {
			r.mu.Lock()
			r.version = version
			r.mu.Unlock()
			return version, nil
		}
	}
	known := strings.Join(restVersions(), ", ")
	if r.of.Version != "" {
		known = r.of.Version + " (slurm.rest.version; yard speaks " + known + ")"
	}
	return "", fault.Newf(fault.Transient, "%s offers %s; wanted is %s", r.where(), cmp.Or(strings.Join(offered, ", "), "no version of Slurm's interface"), known)
}

func (r *rest) forget(version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.version == version {
		r.version = ""
	}
}

// offered lists the versions that slurmrestd describes.
func (r *rest) offered(ctx context.Context) ([]string, error) {
	answer, err := r.send(ctx, http.MethodGet, "/openapi/v3", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	var versions []string
	var paths map[string]json.RawMessage
	err = r.read(ctx, answer, entries{"paths": func(from *json.Decoder) error { return from.Decode(&paths) }})
	for path := range paths {
		if version, of, found := strings.Cut(strings.TrimPrefix(path, "/slurm/"), "/"); found && of == "job/submit" {
			versions = append(versions, version)
		}
	}
	slices.Sort(versions)
	return versions, err
}
