package slurm

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// answering is an engine whose squeue is a function.
func answering(squeue func(context.Context) (string, error)) *Engine {
	return New(site.Site{Slurm: &site.Slurm{Dir: "/x"}}, []string{"yard"}, func(ctx context.Context, _, _ string, _ ...string) (string, string, error) {
		out, err := squeue(ctx)
		return out, "", err
	})
}

const queueLine = "7|RUNNING|None|1795313352|N/A|n1|main|key|/x/gangs/key\n"

// A controller that hangs holds everyone up for as long as one call may take, not
// one after the other.
func TestHangingQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		e := answering(func(ctx context.Context) (string, error) {
			calls.Add(1)
			<-ctx.Done()
			return "", ctx.Err()
		})
		began, failed := time.Now(), make(chan error)
		for range 50 {
			go func() {
				_, err := e.jobsOf(t.Context(), e.gangDir("key"), time.Time{})
				failed <- err
			}()
		}
		for range 50 {
			if err := <-failed; !fault.Is(err, fault.Transient) {
				t.Errorf("jobs: %v; want it transient", err)
			}
		}
		if took := time.Since(began); took > callBound || calls.Load() != 1 {
			t.Errorf("%d calls in %v; want one", calls.Load(), took)
		}
	})
}

// Who asks with a call that is given up fails alone; who needs an answer from after
// a moment waits for one.
func TestQueueIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		e := answering(func(ctx context.Context) (string, error) {
			calls.Add(1)
			select {
			case <-ctx.Done():
				return "", ctx.Err()
			case <-time.After(time.Second):
				return queueLine, nil
			}
		})
		dir := e.gangDir("key")
		hasty, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		left := make(chan error)
		go func() {
			_, err := e.jobsOf(hasty, dir, time.Time{})
			left <- err
		}()
		synctest.Wait()
		if jobs, err := e.jobsOf(t.Context(), dir, time.Time{}); err != nil || len(jobs) != 1 || calls.Load() != 2 {
			t.Errorf("after a call that was given up: %v, %v, %d calls; want the job, by another call", jobs, err, calls.Load())
		}
		if err := <-left; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who gave up: %v", err)
		}
		go func() {
			_, err := e.jobsOf(t.Context(), dir, time.Now())
			left <- err
		}()
		synctest.Wait()
		time.Sleep(500 * time.Millisecond) // of the bubble: the call goes on
		before := calls.Load()
		if jobs, err := e.jobsOf(t.Context(), dir, time.Now()); err != nil || len(jobs) != 1 || calls.Load() != before+1 {
			t.Errorf("%v, %v, %d further calls; want one that began after it was asked for", jobs, err, calls.Load()-before)
		}
		if err := <-left; err != nil {
			t.Error(err)
		}
		before = calls.Load()
		if jobs, err := e.jobsOf(t.Context(), dir, time.Time{}); err != nil || len(jobs) != 1 || calls.Load() != before {
			t.Errorf("%v, %v, %d further calls; want what was told just now", jobs, err, calls.Load()-before)
		}
	})
}
