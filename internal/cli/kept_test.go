package cli

import (
	"strings"
	"testing"
	"time"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
)

// What a program claims is said, with what yard knows of the place.
func TestReportedCheckpointsAreTold(t *testing.T) {
	at := time.Date(2026, 11, 22, 6, 46, 10, 0, time.Local)
	for name, tt := range map[string]struct {
		list v1.CheckpointList
		want string
	}{
		"none": {v1.CheckpointList{}, "The run has no checkpoint yet.\n"},
		"a site without a store": {
			v1.CheckpointList{Reported: []v1.Reported{{Attempt: 2, Pool: "hpc/nodes", Step: 1200, At: at}}},
			"Attempt 2 on hpc/nodes reported a checkpoint at step 1,200, last at 2026-11-22 06:46:10; it has no store, so only its program knows " +
				"where, and a run that moves begins anew.\nGive its site a store: checkpoints: URL in the site's file, or in yard's config.yaml\n",
		},
		"a store that has none": {
			v1.CheckpointList{Reported: []v1.Reported{{Attempt: 1, Pool: "eks/p5", Step: 5, Where: "s3://b/a"}}},
			"Attempt 1 on eks/p5 reported a checkpoint at step 5; there is none in s3://b/a: it was removed, or its program keeps it elsewhere.\n",
		},
	} {
		if got := afterCheckpoints(tt.list); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, tt.want)
		}
	}
}

// The end of a run names its store, its directory, or the step where its site alone knows.
func TestWhereTheLastCheckpointIs(t *testing.T) {
	for where, want := range map[string]string{"s3://b/a": " · checkpoint s3://b/a", "": " · checkpoint at step 1,200"} {
		run := v1.RunDetail{Run: v1.Run{
			ID: "a", State: "succeeded", Cost: v1.Money{Amount: "1", Currency: "USD"}, Checkpoints: where, Progress: &v1.Progress{CheckpointStep: 1200},
		}}
		if got := summary(run); !strings.HasSuffix(strings.TrimSpace(got), want) {
			t.Errorf("%q ends with %q; want %q", where, got, want)
		}
	}
}

func TestSeveralSlowRanksInTheList(t *testing.T) {
	slow := []v1.SlowRank{{Text: "rank 1 is slow"}, {Text: "rank 2 is slow"}, {Text: "rank 3 is slow"}}
	for want, run := range map[string]v1.Run{
		"":                             {},
		"rank 1 is slow":               {SlowRanks: slow[:1]},
		"rank 1 is slow; 2 more ranks": {SlowRanks: slow},
		"waits":                        {SlowRanks: slow, Reason: "waits"},
	} {
		if got := whyText(run); got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
}
