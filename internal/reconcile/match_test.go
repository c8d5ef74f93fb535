package reconcile

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

func TestWhyAPoolCannotTakeARun(t *testing.T) {
	for _, c := range []struct{ file, why string }{
		{"variants: {cuda: {command: [x]}}", "local/cpu: needs a cpu variant in the file"},
		{"place: {nodes: 3}\nvariants: {cpu: {command: [x]}}", "local/cpu: has 1 nodes and the run needs 3"},
		{"variants: {cpu: {command: [x], ranks: 5, cores: 2}}", "local/cpu: has 8 cores a node and the run needs 10"},
		{"variants: {cpu: {command: [x], memory: 2TiB}}", "local/cpu: has 1024 GB of memory a node and the run needs 2048"},
		{"variants: {cpu: {image: x}}", "local/cpu: runs commands, without images and mounts"},
		{"place: {allow: {providers: [aws]}}\nvariants: {cpu: {command: [x]}}", "local/cpu: provider local is not among the allowed (aws)"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 1, always(script{}))
			_, err := r.loop.Submit(context.Background(), Request{File: "w.yaml", Content: []byte("kind: Training\nname: w\n" + c.file + "\n"), Wait: true})
			if err != nil {
				t.Fatal(err)
			}
			queue, err := r.loop.Queue(context.Background())
			if err != nil || len(queue) != 1 || !strings.Contains(strings.Join(queue[0].Reasons, "; "), c.why) {
				t.Errorf("%s: %v %v", c.file, queue, err)
			}
		})
	}
}

func TestWhatIsNotRunYetIsRefused(t *testing.T) {
	r := &rig{t: t, store: newMemStore()}
	r.engine = newFakeEngine(r.now, 1, always(script{}))
	r.restart()
	service := "kind: Service\nname: s\nmodel: {preset: llama-3-8b}\ntraffic: {requests_per_second: 1}\n" +
		"request: {input_tokens: 10, output_tokens: 10}\nvariants: {cpu: {command: [x]}}\n"
	_, err := r.loop.Submit(context.Background(), Request{File: "s.yaml", Content: []byte(service)})
	if err == nil || !strings.Contains(err.Error(), "Service is quoted (yard quote) but not run yet") {
		t.Errorf("%v", err)
	}
	if len(r.store.state.runs) != 0 {
		t.Error("something was queued")
	}
}

// What an engine does not run of a variant is said before anything starts.
func TestForeign(t *testing.T) {
	r := newRig(t, 1, always(script{}))
	for name, text := range map[string]string{
		"bare": "engine: slurm\nslurm: {dir: /shared}\n", "boxed": "engine: slurm\nslurm: {dir: /shared, containers: apptainer}\n",
		"kube": "engine: kubernetes\n",
	} {
		text = "kind: Site\nname: " + name + "\n" + text
		engine, _, _ := strings.Cut(strings.SplitAfter(text, "engine: ")[1], "\n")
		r.loop.Sites.put(fleet.Site{Name: name, Engine: engine, SpecFile: name + ".yaml", Spec: []byte(text)})
	}
	moved := []workload.Mount{{Path: "/data", From: "/srv/data"}}
	for _, tt := range []struct {
		site    string
		variant workload.Variant
		want    string
	}{
		{"bare", workload.Variant{Command: []string{"a"}, Image: "i"}, ""},
		{"bare", workload.Variant{Image: "i"}, ownCommand},
		{"bare", workload.Variant{Command: []string{"a"}, Image: "i", Mounts: moved}, "mounts nothing: /data must be there under its own path"},
		{"boxed", workload.Variant{Command: []string{"a"}, Image: "i", Mounts: moved}, ""},
		{"boxed", workload.Variant{Command: []string{"a"}, Mounts: moved}, "mounts nothing: /data must be there under its own path"},
		{"boxed", workload.Variant{Image: "i"}, ownCommand},
		{"kube", workload.Variant{Image: "i"}, ownCommand},
		{"kube", workload.Variant{Command: []string{"a"}}, "runs images, and the variant has none"},
		{"kube", workload.Variant{Command: []string{"a"}, Image: "i", Mounts: moved}, ""},
	} {
		if got := r.loop.foreign(tt.variant, fleet.Pool{Site: tt.site, Name: "p"}); got != tt.want {
			t.Errorf("%s, %+v: %q; want %q", tt.site, tt.variant, got, tt.want)
		}
	}
}
