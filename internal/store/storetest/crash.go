package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// WriteForever commits transaction after transaction, going on from the last
// that the store holds, and writes the number of each to out once it is
// acknowledged. It is what the victim process of Crash does.
func WriteForever(ctx context.Context, s store.Store, out io.Writer) error {
	for {
		var n int
		err := s.Update(ctx, func(tx store.Tx) error {
			text, err := tx.Setting("n")
			n, _ = strconv.Atoi(text) // "" counts as 0
			n++
			return errors.Join(err, numbered(tx, n))
		})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, n); err != nil {
			return err
		}
	}
}

// numbered writes transaction n: an object of each kind that knows n.
func numbered(tx store.Tx, n int) error {
	id := fmt.Sprintf("run-%d", n)
	_, err := tx.AppendEntry(entry(id, n))
	return errors.Join(tx.PutRun(queued(id, n)), tx.PutAttempt(recorded(id, 1, n)),
		tx.AppendDecision(fleet.Decision{Run: id, Verb: "place", Reasons: []string{id}}), err,
		tx.PutSetting("n", strconv.Itoa(n)))
}

// Crash kills processes that write to one store, at varied moments, and opens
// the store after each: what was acknowledged must be there, and nothing in
// part. The command of victim runs WriteForever on that store and its stdout.
func Crash(t *testing.T, victim func() *exec.Cmd, open func() store.Store) {
	t.Helper()
	for round := range 6 {
		acknowledged := kill(t, victim(), 1+round*7)
		s := open()
		view(t, s, func(tx store.Tx) error { return whole(t, tx, acknowledged) })
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// kill starts the victim, kills it once it acknowledged some transactions, and
// returns the number of the last it acknowledged at all.
func kill(t *testing.T, victim *exec.Cmd, after int) (last int) {
	t.Helper()
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for count := 1; lines.Scan(); count++ {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Errorf("the victim says %q", lines.Text())
		}
		if count == after {
			if err := victim.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = victim.Wait() // it was killed: an error is right
	if last == 0 {
		t.Fatal("the victim acknowledged nothing")
	}
	return last
}

// whole checks that transactions 1 to n are there, each with all its parts, and
// nothing beyond n, where n is the last acknowledged or the one that was under
// way.
func whole(t *testing.T, tx store.Tx, acknowledged int) error {
	text, err1 := tx.Setting("n")
	n, err2 := strconv.Atoi(text)
	if n != acknowledged && n != acknowledged+1 {
		t.Errorf("the store holds %d transactions, %d were acknowledged", n, acknowledged)
	}
	runs, err3 := tx.Runs(store.RunFilter{})
	live, err4 := tx.LiveAttempts()
	booked := entries(t, tx, store.EntryFilter{})
	if len(runs) != n || len(live) != n || len(booked) != n {
		t.Errorf("%d runs, %d attempts, %d entries; want %d of each", len(runs), len(live), len(booked), n)
	}
	err := errors.Join(err1, err2, err3, err4)
	for i := 1; i <= n && err == nil; i++ {
		id := fmt.Sprintf("run-%d", i)
		var told []fleet.Decision
		if _, err = tx.Run(id); err == nil {
			told, err = tx.Decisions(id)
		}
		if len(told) != 1 || booked[i-1].Run != id {
			t.Errorf("transaction %d is not whole", i)
		}
	}
	return err
}
