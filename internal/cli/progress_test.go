package cli

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
)

func TestShowMoney(t *testing.T) {
	for amount, want := range map[v1.Decimal]string{
		"0": "$0", "0.000000": "$0", "0.000005": "$0.000005", "0.000045": "$0.000045", "0.000144": "$0.00014", "0.0041": "$0.0041",
		"0.0892": "$0.0892", "0.1": "$0.10", "12.345": "$12.35", "3600": "$3,600.00", "12345.6": "$12,346", "2310000": "$2.31M",
		"38000000000": "$38.00B", "-0.5": "-$0.50",
	} {
		if got := showMoney(v1.Money{Amount: amount, Currency: "USD"}); got != want {
			t.Errorf("%s is shown as %s, want %s", amount, got, want)
		}
	}
	if got := showMoney(v1.Money{Amount: "5", Currency: "EUR"}); got != "5.00 EUR" {
		t.Errorf("got %s", got)
	}
}

func TestShowSpanAndCount(t *testing.T) {
	for span, want := range map[time.Duration]string{
		0: "0s", 9400 * time.Millisecond: "9s", 124 * time.Second: "2m04s", 3*time.Hour + 5*time.Minute: "3h05m", 42 * 24 * time.Hour: "42d",
	} {
		if got := showSpan(span); got != want {
			t.Errorf("%s is shown as %s, want %s", span, got, want)
		}
	}
	for n, want := range map[float64]string{0: "0", 999: "999", 58123: "58.1k", 6.1e6: "6.1M", 15e12: "15.0T"} {
		if got := showCount(n); got != want {
			t.Errorf("%g is shown as %s, want %s", n, got, want)
		}
	}
}

func TestBarAndSpark(t *testing.T) {
	for share, want := range map[float64]string{0: "    ", 0.5: "██  ", 0.53125: "██▏ ", 1: "████"} {
		if got := progressBar(share, 4); got != want {
			t.Errorf("bar of %g: %q, want %q", share, got, want)
		}
	}
	if got := spark([]float64{8, 7, 6, 5, 4, 3, 2, 1}, 4); got != "█▅▃▁" {
		t.Errorf("spark: %s", got)
	}
	if got := spark([]float64{1, 1}, 4); got != "▁▁" {
		t.Errorf("flat spark: %s", got)
	}
}

// A run that diverged reports losses that no curve can hold: they are drawn at
// the edge and told in few digits.
func TestDivergedLossIsShown(t *testing.T) {
	losses := []float64{5e-324, 2, 1e240, math.MaxFloat64, math.MaxFloat64, -math.MaxFloat64}
	var out bytes.Buffer
	d := &display{out: &out, terminal: true, width: func() int { return 100 }, now: func() time.Time { return time.Time{} }}
	var points []v1.Point
	for i, loss := range losses {
		run := detail(1, int64(i+1), time.Unix(int64(i+1), 0))
		run.Progress.Loss = loss
		d.show(run)
		points = append(points, v1.Point{Progress: *run.Progress})
	}
	drawCurve(&out, points)
	for line := range strings.Lines(out.String()) {
		if !strings.Contains(line, "\r") && len([]rune(line)) > 120 {
			t.Errorf("a line of %d characters: %.200s", len([]rune(line)), line)
		}
	}
	for loss, want := range map[float64]string{1.5249: "1.52", -999: "-999.00", 1e240: "1.00e+240", 5e-324: "0.00"} {
		if got := showLoss(loss); got != want {
			t.Errorf("loss %g is shown as %s, want %s", loss, got, want)
		}
	}
}

// detail is a run of one attempt at a step of a hundred.
func detail(attempt int, step int64, at time.Time) v1.RunDetail {
	p := &v1.Progress{At: at, Step: step, Steps: 100, Loss: 5 - float64(step)/25, TokensPerSecond: 58123, CheckpointStep: step / 10 * 10}
	run := v1.RunDetail{Run: v1.Run{Attempts: attempt, Progress: p, Cost: v1.Money{Amount: "0.0034", Currency: "USD"}}}
	run.AttemptList = make([]v1.Attempt, attempt)
	run.AttemptList[attempt-1].Progress = p
	return run
}

func TestLossThatIsNotANumberIsShown(t *testing.T) {
	now := time.Unix(1000, 0)
	run := detail(1, 41, now)
	run.AttemptList[0].Progress.LossNaNSince, run.AttemptList[0].Progress.Loss = 4, 0
	run.Progress = run.AttemptList[0].Progress
	for _, terminal := range []bool{true, false} {
		var out bytes.Buffer
		d := &display{out: &out, terminal: terminal, width: func() int { return 200 }, now: func() time.Time { return now }}
		d.show(run)
		d.flush()
		if !strings.Contains(out.String(), "loss is not a number since step 4") {
			t.Errorf("terminal %v: %q", terminal, out.String())
		}
	}
	if head := runHead(run); !strings.Contains(head, "· loss is not a number since step 4") {
		t.Errorf("yard runs RUN: %q", head)
	}
}

func TestLiveLine(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	d := &display{out: &out, terminal: true, width: func() int { return 200 }, now: func() time.Time { return now }}
	for step := int64(1); step <= 41; step++ {
		now = now.Add(time.Second)
		d.show(detail(1, step, now))
	}
	d.text("half a ")
	d.text("line\nrest")
	now = now.Add(2 * time.Second)
	d.show(detail(1, 41, now.Add(-2*time.Second)))
	d.flush()
	lines := strings.Split(out.String(), "\r\x1b[K")
	want := "step 41/100   █████████▊                41%   loss 3.36 █▇▆▅▄▃▂▁   58.1k tok/s   59s left   $0.0034 so far   checkpoint 3s ago"
	if got := lines[len(lines)-2]; !strings.HasSuffix(got, want) {
		t.Errorf("live line:\n%s\nwant\n%s", got, want)
	}
	if !strings.Contains(out.String(), "\r\x1b[Khalf a line\n") || !strings.HasSuffix(out.String(), "rest\n") {
		t.Errorf("log lines do not stand alone: %q", out.String())
	}
}

func TestPlainLinesComeByTenthsAndTime(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	d := &display{out: &out, width: func() int { return 0 }, now: func() time.Time { return now }}
	for step := int64(0); step <= 100; step++ {
		for range 3 { // the same state is seen more than once
			d.show(detail(1, step, now))
		}
	}
	if got := strings.Count(out.String(), "\n"); got != 11 { // the first step, then each tenth
		t.Errorf("%d lines:\n%s", got, out.String())
	}
	now = now.Add(plainEvery)
	d.show(detail(1, 100, now))
	d.show(detail(2, 1, now)) // a new attempt reports at once
	if got := strings.Count(out.String(), "\n"); got != 13 {
		t.Errorf("%d lines:\n%s", got, out.String())
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("escape sequences in plain output")
	}
}
