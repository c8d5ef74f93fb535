package ring

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// address is a port of this machine that was free a moment ago.
func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// gang runs do in size ranks and returns their errors.
func gang(t *testing.T, size int, job func(rank int) string, do func(*Ring) error) []error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	master, errs := address(t), make([]error, size)
	var wait sync.WaitGroup
	for rank := range size {
		wait.Go(func() {
			r, err := Join(ctx, Place{Rank: rank, Size: size, Master: master, Job: job(rank)})
			if err == nil {
				err = do(r)
				r.Close()
			}
			errs[rank] = err
		})
	}
	wait.Wait()
	return errs
}

func same(int) string { return "job" }

func TestSumAndBroadcast(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5, 16} {
		for _, n := range []int{0, 1, 4, 1000, broadcastPart + 7} {
			errs := gang(t, size, same, func(r *Ring) error { return sumAndBroadcast(r, n) })
			for rank, err := range errs {
				if err != nil {
					t.Fatalf("%d ranks, %d elements, rank %d: %v", size, n, rank, err)
				}
			}
		}
	}
}

func sumAndBroadcast(r *Ring, n int) error {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32((r.Rank + 1) * (i%7 + 1))
	}
	if err := r.AllReduce(x); err != nil {
		return err
	}
	for i := range x {
		if want := float32(r.Size * (r.Size + 1) / 2 * (i%7 + 1)); x[i] != want {
			return fmt.Errorf("sum %d is %g, want %g", i, x[i], want)
		}
		x[i] = float32(r.Rank*1000 + i)
	}
	if err := r.Broadcast(x); err != nil {
		return err
	}
	for i := range x {
		if x[i] != float32(i) {
			return fmt.Errorf("element %d is %g, not rank 0's", i, x[i])
		}
	}
	return nil
}

func TestRanksOfDifferentJobsRefuseEachOther(t *testing.T) {
	errs := gang(t, 2, func(rank int) string { return fmt.Sprint("job-", rank) }, func(*Ring) error { return nil })
	for rank, err := range errs {
		if err == nil || !strings.Contains(err.Error(), "job-1") {
			t.Errorf("rank %d: %v", rank, err)
		}
	}
}

func TestADeadPeerEndsTheExchange(t *testing.T) {
	errs := gang(t, 3, same, func(r *Ring) error {
		if r.Rank == 1 {
			return nil
		}
		return r.AllReduce(make([]float32, 1<<20))
	})
	if errs[0] == nil || errs[2] == nil {
		t.Fatalf("ranks went on without rank 1: %v", errs)
	}
}

func TestStrangersAtTheRendezvousAreIgnored(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	master := address(t)
	var wait sync.WaitGroup
	var hostErr error
	wait.Go(func() {
		r, err := Join(ctx, Place{Rank: 0, Size: 2, Master: master, Job: "job"})
		hostErr = err
		if err == nil {
			defer r.Close()
			hostErr = r.AllReduce([]float32{1, 2})
		}
	})
	stranger, err := dial(ctx, master)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(stranger, "GET / HTTP/1.1\r\n\r\n")
	defer stranger.Close()
	r, err := Join(ctx, Place{Rank: 1, Size: 2, Master: master, Job: "job"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.AllReduce([]float32{1, 2}); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
	if hostErr != nil {
		t.Fatal(hostErr)
	}
}

func TestJoinGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for rank := range 2 {
		if _, err := Join(ctx, Place{Rank: rank, Size: 2, Master: address(t)}); err == nil {
			t.Fatalf("rank %d joined alone", rank)
		}
	}
	if _, err := Join(context.Background(), Place{Rank: 2, Size: 2}); err == nil {
		t.Fatal("rank 2 of 2 joined")
	}
}

// A rank that nobody meets says so once, and gives up when its time is over.
func TestAWaitingRankSaysSo(t *testing.T) {
	for rank := range 2 {
		ctx, giveUp := context.WithCancel(context.Background())
		told := make(chan struct{}, 2)
		slow := func() { told <- struct{}{}; giveUp() }
		r, err := Join(ctx, Place{Rank: rank, Size: 2, Master: address(t), Slow: slow, SlowAfter: time.Millisecond})
		if err == nil {
			r.Close()
			t.Fatalf("rank %d met somebody", rank)
		}
		if n := len(told); n != 1 {
			t.Errorf("rank %d said %d times that it waits", rank, n)
		}
	}
}
