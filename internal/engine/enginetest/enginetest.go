// Package enginetest owns the conformance suite of the engine port: what every
// adapter must do, tested against the real thing.
//
// It refuses what only one engine promises; adapters test that themselves.
package enginetest

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// patience bounds how long a test polls for what must come to be.
const patience = 60 * time.Second

// Site is a place to run gangs on.
type Site interface {
	// Open returns a new engine on the site, as a restarted yard would. It may
	// be called again and again; every engine sees the same gangs.
	Open(t *testing.T) engine.Engine
}

// Run tests the engine of a site that newSite makes, empty, for each test. Ranks
// run `sh` and usual commands of a POSIX system.
func Run(t *testing.T, newSite func(t *testing.T) Site) {
	tests := []struct {
		name string
		test func(*testing.T, Site)
	}{
		{"pools", testPools},
		{"a gang runs and exits", testRunsAndExits},
		{"start is idempotent", testStartIdempotent},
		{"start after the end changes nothing", testStartAfterEnd},
		{"concurrent starts give one gang", testConcurrentStarts},
		{"whole or not at all", testWholeOrNotAtAll},
		{"invalid gangs are refused", testInvalid},
		{"exit codes", testExitCodes},
		{"one rank's failure ends the others", testRankFailure},
		{"a rank may end early with 0", testEarlyEnd},
		{"rendezvous", testRendezvous},
		{"logs by rank and offset", testLogs},
		{"progress", testProgress},
		{"a slow rank is told from the others", testSlowRank},
		{"stop with grace", testStopGrace},
		{"stop ends what ignores it", testStopIgnored},
		{"a dump aborts the ranks", testDump},
		{"a later stop shortens the grace", testStopShortened},
		{"stop after the end changes nothing", testStopAfterEnd},
		{"stop of an unknown key fences it", testStopFences},
		{"a new engine adopts gangs", testAdopt},
		{"list and forget", testForget},
		{"unknown keys are lost", testLost},
		{"a gang over several nodes", testSeveralNodes},
		{"one node's failure ends the others", testNodeFailure},
		{"a slow rank's node is named", testSlowNode},
		{"a stop reaches all nodes", testStopSeveral},
		{"a gang larger than the site", testTooLarge},
		{"deleted behind our back", testDeleted},
		{"the engine's API is away", testOutage},
		{"a clock that is wrong", testSkew},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, newSite(t))
		})
	}
}

// Shell is a gang of so many ranks, each of which runs the script.
func Shell(key string, ranks int, script string) engine.Gang {
	return engine.Gang{
		Key: key, Run: "run-" + key, Pool: "cpu", Nodes: 1, Ranks: ranks,
		Command: []string{"sh", "-c", script}, Grace: 2 * time.Second,
	}
}

// Eventually polls until the condition holds.
func Eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: not yet: %s", patience, what)
		}
	}
}

// Start starts a gang that must be accepted, and stops it with the test.
func Start(t *testing.T, e engine.Engine, gang engine.Gang) {
	t.Helper()
	StopAfter(t, e, gang.Key)
	if err := e.Start(t.Context(), gang); err != nil {
		t.Fatalf("start %s: %v", gang.Key, err)
	}
}

// StopAfter leaves nothing of a gang running after the test.
func StopAfter(t *testing.T, e engine.Engine, key string) {
	t.Cleanup(func() {
		ctx := context.Background() // the test's own has ended
		if err := e.Stop(ctx, key, 0); err != nil {
			t.Errorf("stop %s: %v", key, err)
		}
		Eventually(t, key+" ends", func() bool {
			status, err := e.Observe(ctx, key)
			return fault.Is(err, fault.Lost) || (err == nil && status.State == engine.Exited)
		})
	})
}

// Await waits for a state of the gang.
func Await(t *testing.T, e engine.Engine, key string, state engine.State) engine.Status {
	t.Helper()
	var status engine.Status
	Eventually(t, key+" is "+string(state), func() bool {
		var err error
		if status, err = e.Observe(t.Context(), key); err != nil {
			t.Fatalf("observe %s: %v", key, err)
		}
		if status.State == engine.Exited && state != engine.Exited {
			t.Fatalf("%s has exited: %+v; want it %s", key, status, state)
		}
		return status.State == state
	})
	return status
}

// ReadLog reads a rank's log from the offset, and where to go on.
func ReadLog(t *testing.T, e engine.Engine, key string, rank int, offset int64) (string, int64) {
	t.Helper()
	log, err := e.Logs(t.Context(), key, rank, offset)
	if err != nil {
		t.Fatalf("logs of %s rank %d: %v", key, rank, err)
	}
	data, err := io.ReadAll(log)
	if err != nil {
		t.Fatalf("logs of %s rank %d: %v", key, rank, err)
	}
	next := log.Next()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return string(data), next
}

// AwaitLog waits until a rank has written the text.
func AwaitLog(t *testing.T, e engine.Engine, key string, rank int, text string) {
	t.Helper()
	Eventually(t, "the log of "+key+" has "+text, func() bool {
		log, _ := ReadLog(t, e, key, rank, 0)
		return strings.Contains(log, text)
	})
}

func wantKind(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("error %v is of kind %q; want %q", err, fault.KindOf(err), kind)
	}
}

func wantKeys(t *testing.T, e engine.Engine, want ...string) {
	t.Helper()
	keys, err := e.List(t.Context())
	slices.Sort(keys)
	if err != nil || !slices.Equal(keys, want) {
		t.Errorf("list: %v, %v; want %v", keys, err, want)
	}
}
