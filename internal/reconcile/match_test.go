package reconcile

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
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
