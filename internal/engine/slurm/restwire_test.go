package slurm

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// What slurmrestd of Slurm 22.05 answered, cut to what is read and something that
// is not.
const (
	restJobs = `{"meta":{"Slurm":{"release":"22.05.8"}},"errors":[],"jobs":[
{"account":"root","current_working_directory":"/shared/gangs/key","end_time":1795326645,"flags":["JOB_WAS_RUNNING"],"job_id":1,"job_resources":{"nodes":"n[1-2]"},"job_state":"RUNNING","name":"key","nodes":"n[1-2]","allocation_nodes":null,"partition":"main","start_time":1795326345,"state_reason":"None"},
{"current_working_directory":"/home/other","job_id":2,"job_state":"PENDING","start_time":0}]}`
	restPast  = `{"errors":[],"jobs":[{"allocation_nodes":2,"job_id":1,"name":"key","nodes":"n[1-2]","partition":"main","state":{"current":"COMPLETED","reason":"None"},"time":{"elapsed":30,"end":1795326375,"start":1795326345},"working_directory":"/shared/gangs/key"}]}`
	restNodes = `{"errors":[],"nodes":[
{"name":"n1","cpus":8,"features":"rack1,ib","gres":"gpu:h100:8(S:0-1),neuron:16","partitions":["main","gpu"],"real_memory":16000,"state":"idle","state_flags":["DRAIN"]},
{"name":"n2","cpus":8,"features":"","gres":"","partitions":[],"real_memory":1,"state":"mixed","state_flags":[]}]}`
	restRefusal = `{"errors":[{"error":"Requested node configuration is not available","error_code":2014}]}`
	restPaths   = `{"paths":{"/slurm/v0.0.38/job/submit":{},"/slurm/v0.0.37/job/submit":{},"/slurm/v0.0.39/jobs":{},"/slurmdb/v0.0.38/jobs":{}}}`
)

// restOver is a rest to a server that answers with these, by path.
func restOver(t *testing.T, answers map[string]string) *rest {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, found := answers[r.Method+" "+r.URL.Path]
		if !found {
			http.Error(w, "Unable find requested URL.", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return newREST(site.Slurm{Dir: "/shared", REST: &site.SlurmREST{URL: server.URL}})
}

func TestRESTReads(t *testing.T) {
	r := restOver(t, map[string]string{
		"GET /openapi/v3": restPaths, "GET /slurm/v0.0.38/jobs": restJobs, "GET /slurmdb/v0.0.38/jobs": restPast, "GET /slurm/v0.0.38/nodes": restNodes,
	})
	at := func(unix int64) time.Time { return time.Unix(unix, 0).UTC() }
	running := job{ID: "1", Name: "key", State: "RUNNING", Reason: "None", Start: at(1795326345), End: at(1795326645), Nodes: "n[1-2]", Partition: "main", Dir: "/shared/gangs/key"}
	if got, err := r.jobs(t.Context()); err != nil || !reflect.DeepEqual(got, []job{running}) {
		t.Errorf("jobs %+v, %v; want %+v alone", got, err, running)
	}
	over := running
	over.State, over.End, over.Count = "COMPLETED", at(1795326375), 2
	if got, err := r.accounted(t.Context(), past{since: at(1)}); err != nil || !reflect.DeepEqual(got, []job{over}) {
		t.Errorf("accounted %+v, %v; want %+v", got, err, over)
	}
	drained := node{
		name: "n1", partitions: []string{"main", "gpu"}, features: []string{"rack1", "ib"}, gres: []gres{{"gpu", "h100", 8}, {"neuron", "", 16}}, cores: 8, memory: 16000 << 20,
	}
	got, err := r.nodes(t.Context(), "")
	if err != nil || len(got) != 2 || !reflect.DeepEqual(got[0], drained) || !got[1].up {
		t.Errorf("nodes %+v, %v; want %+v, and another that is up", got, err, drained)
	}
	if got, err := r.nodes(t.Context(), "n[2-4]"); err != nil || len(got) != 1 || got[0].name != "n2" {
		t.Errorf("nodes of n[2-4]: %+v, %v; want n2", got, err)
	}
}

// A cluster without accounting has a slurmrestd without its part; one that offers
// nothing that yard speaks says what it offers.
func TestRESTLacks(t *testing.T) {
	r := restOver(t, map[string]string{"GET /openapi/v3": restPaths})
	if _, err := r.accounted(t.Context(), past{ids: []string{"7"}}); !fault.Is(err, fault.NotFound) {
		t.Errorf("accounted: %v; want it not found", err)
	}
	if _, err := r.jobs(t.Context()); !fault.Is(err, fault.Transient) || !strings.Contains(err.Error(), "offers v0.0.38 no more") || r.version != "" {
		t.Errorf("jobs: %v; want that the version is gone, and forgotten", err)
	}
	r = restOver(t, map[string]string{"GET /openapi/v3": strings.ReplaceAll(restPaths, "v0.0.38", "v0.0.42")})
	if _, err := r.jobs(t.Context()); !fault.Is(err, fault.Transient) || !strings.Contains(err.Error(), "offers v0.0.37, v0.0.42; wanted is v0.0.38") {
		t.Errorf("jobs: %v; want what is offered and what is wanted", err)
	}
}

// A refusal of a job is what its message says; the same message as the answer to
// a question is no fault of the run.
func TestRESTRefuses(t *testing.T) {
	r := restOver(t, map[string]string{
		"GET /openapi/v3": restPaths, "POST /slurm/v0.0.38/job/submit": restRefusal, "GET /slurm/v0.0.38/jobs": restRefusal,
		"DELETE /slurm/v0.0.38/job/7": `{"errors":[{"error":"Invalid job id specified","error_number":2017}]}`,
		"DELETE /slurm/v0.0.38/job/8": `{"errors":[{"error":"Unspecified error","error_number":-1}]}`,
		"GET /slurm/v0.0.38/job/9":    `{"errors":[],"jobs":[{"job_id":9,"job_state":"RUNNING","current_working_directory":"/shared/gangs/key"}]}`,
	})
	if _, err := r.submit(t.Context(), order{}); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "node configuration is not available") {
		t.Errorf("submit: %v; want it invalid", err)
	}
	if _, err := r.jobs(t.Context()); !fault.Is(err, fault.Transient) {
		t.Errorf("jobs: %v; want it transient", err)
	}
	if err := r.cancel(t.Context(), false, "7"); err != nil {
		t.Errorf("cancelling what is gone: %v", err)
	}
	if err := r.cancel(t.Context(), false, "8"); !fault.Is(err, fault.Transient) {
		t.Errorf("cancelling in vain: %v; want it transient", err)
	}
	if err := r.cancel(t.Context(), true, "9"); err != nil {
		t.Errorf("one that waits no more is cancelled: %v", err)
	}
}

// The token goes nowhere but to slurmrestd: not where a redirection leads, and not
// into the environment of jobs.
func TestRESTTokenStays(t *testing.T) {
	t.Setenv("MY_TOKEN", "SLURM_JWT=e30.eyJzdW4iOiJ5YXJkIn0.eA")
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked with %v", r.Header) }))
	defer elsewhere.Close()
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	r := newREST(site.Slurm{Dir: "/shared", REST: &site.SlurmREST{URL: server.URL, Token: &site.FromPlace{Env: "MY_TOKEN"}}})
	if _, err := r.jobs(t.Context()); !fault.Is(err, fault.Transient) {
		t.Errorf("jobs: %v; want it transient", err)
	}
	if header.Get(userHeader) != "yard" || header.Get(tokenHeader) != "e30.eyJzdW4iOiJ5YXJkIn0.eA" {
		t.Errorf("asked with %v; want the token, and whom it names", header)
	}
	if got := r.environ(); got["MY_TOKEN"] != "" || len(got) == 0 {
		t.Errorf("environment of jobs %v; want it without the token", got)
	}
}

func FuzzReadObject(f *testing.F) {
	for _, seed := range []string{restJobs, restPast, restNodes, restRefusal, restPaths, `{"jobs":null}`, `{"jobs":[{}`, `[]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var jobs []job
		err := readObject(json.NewDecoder(strings.NewReader(text)), entries{"jobs": func(from *json.Decoder) error {
			var told restJob
			err := from.Decode(&told)
			jobs = append(jobs, told.job())
			return err
		}, "nodes": func(from *json.Decoder) error {
			var told restNode
			err := from.Decode(&told)
			told.node()
			return err
		}})
		if err == nil && !json.Valid([]byte(strings.TrimSpace(text))) && json.NewDecoder(strings.NewReader(text)).Decode(&map[string]any{}) != nil {
			t.Errorf("%q is read as %d jobs", text, len(jobs))
		}
	})
}
