package ring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Place is where a rank belongs and where its gang meets.
type Place struct {
	Rank, Size int
	Master     string // host:port at which rank 0 listens
	Job        string // what all ranks must agree on, compared at the rendezvous

	Slow      func()        // called once if the others are not met after SlowAfter; may be nil
	SlowAfter time.Duration // the time a healthy gang meets in
}

// hello is what a rank tells rank 0.
type hello struct {
	Protocol string `json:"protocol"`
	Rank     int    `json:"rank"`
	Size     int    `json:"size"`
	Job      string `json:"job"`
	Addr     string `json:"addr"` // where the rank before it may connect
}

// welcome is rank 0's answer when all are there: everyone's address, or why not.
type welcome struct {
	Addrs []string `json:"addrs,omitempty"`
	Error string   `json:"error,omitempty"`
}

const (
	protocol   = "switchyard-ring-1"
	retryEvery = 50 * time.Millisecond
	maxMessage = 1 << 20 // bytes of a hello or welcome
)

// Join meets the other ranks and returns when the ring is closed, or when ctx ends.
func Join(ctx context.Context, p Place) (*Ring, error) {
	if p.Size == 1 {
		return &Ring{Size: 1}, nil
	}
	if p.Rank < 0 || p.Rank >= p.Size {
		return nil, fmt.Errorf("rank %d of %d: ranks count from 0", p.Rank, p.Size)
	}
	if p.Slow != nil {
		defer time.AfterFunc(p.SlowAfter, p.Slow).Stop()
	}
	r, err := join(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("rank %d of %d meeting at %s: %w", p.Rank, p.Size, p.Master, err)
	}
	return r, nil
}

func join(ctx context.Context, p Place) (*Ring, error) {
	var own net.Listener
	var addrs []string
	var err error
	if p.Rank == 0 {
		own, addrs, err = host(ctx, p)
	} else {
		own, addrs, err = visit(ctx, p)
	}
	if own != nil {
		defer own.Close()
	}
	if err != nil {
		return nil, err
	}
	return connect(ctx, p, own, addrs)
}

// host collects the hellos of all other ranks and answers them.
func host(ctx context.Context, p Place) (net.Listener, []string, error) {
	master, err := listen(ctx, p.Master)
	if err != nil {
		return nil, nil, err
	}
	defer master.Close()
	at, _, err := net.SplitHostPort(master.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	own, err := listen(ctx, net.JoinHostPort(at, "0"))
	if err != nil {
		return nil, nil, err
	}
	addrs := make([]string, p.Size)
	addrs[0] = own.Addr().String()
	var guests []net.Conn
	defer func() {
		for _, g := range guests {
			g.Close()
		}
	}()
	for len(guests) < p.Size-1 {
		guest, h, err := greet(ctx, master)
		if err != nil {
			return own, nil, fmt.Errorf("%d of %d other ranks came: %w", len(guests), p.Size-1, err)
		}
		if h == nil {
			continue
		}
		guests = append(guests, guest)
		if fault := p.refuse(*h, addrs); fault != "" {
			err := answer(guests, welcome{Error: fault})
			return own, nil, errors.Join(errors.New(fault), err)
		}
		addrs[h.Rank] = h.Addr
	}
	return own, addrs, answer(guests, welcome{Addrs: addrs})
}

func (p Place) refuse(h hello, addrs []string) string {
	switch {
	case h.Size != p.Size:
		return fmt.Sprintf("rank %d counts %d ranks, rank 0 counts %d", h.Rank, h.Size, p.Size)
	case h.Rank < 1 || h.Rank >= p.Size:
		return fmt.Sprintf("rank %d is not one of %d", h.Rank, p.Size)
	case addrs[h.Rank] != "":
		return fmt.Sprintf("two ranks say they are rank %d", h.Rank)
	case h.Job != p.Job:
		return fmt.Sprintf("rank %d runs %s, rank 0 %s", h.Rank, h.Job, p.Job)
	}
	return ""
}

// greet accepts one connection; its hello is nil if a stranger called.
func greet(ctx context.Context, master net.Listener) (net.Conn, *hello, error) {
	conn, err := accept(ctx, master)
	if err != nil {
		return nil, nil, err
	}
	var h hello
	if err := read(conn, &h); err != nil || h.Protocol != protocol {
		conn.Close()
		return nil, nil, nil
	}
	return conn, &h, nil
}

func answer(guests []net.Conn, w welcome) error {
	for _, g := range guests {
		if err := json.NewEncoder(g).Encode(w); err != nil {
			return err
		}
	}
	return nil
}

// visit tells rank 0 of this rank and waits for the addresses of all.
func visit(ctx context.Context, p Place) (net.Listener, []string, error) {
	conn, err := dial(ctx, p.Master)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	here, _, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		return nil, nil, err
	}
	own, err := listen(ctx, net.JoinHostPort(here, "0"))
	if err != nil {
		return nil, nil, err
	}
	h := hello{Protocol: protocol, Rank: p.Rank, Size: p.Size, Job: p.Job, Addr: own.Addr().String()}
	if err := json.NewEncoder(conn).Encode(h); err != nil {
		return own, nil, err
	}
	var w welcome
	switch err := json.NewDecoder(io.LimitReader(conn, maxMessage)).Decode(&w); {
	case err != nil:
		return own, nil, fmt.Errorf("rank 0 went away: %w", err)
	case w.Error != "":
		return own, nil, errors.New(w.Error)
	case len(w.Addrs) != p.Size:
		return own, nil, fmt.Errorf("rank 0 named %d ranks", len(w.Addrs))
	}
	return own, w.Addrs, nil
}

// connect dials the next rank and accepts the one before. Connections wait in the listener's queue, so no rank need
// accept before it dials.
func connect(ctx context.Context, p Place, own net.Listener, addrs []string) (*Ring, error) {
	r := &Ring{Rank: p.Rank, Size: p.Size}
	var err error
	if r.next, err = dial(ctx, addrs[(p.Rank+1)%p.Size]); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(r.next).Encode(hello{Protocol: protocol, Rank: p.Rank}); err != nil {
		r.Close()
		return nil, err
	}
	for r.prev == nil {
		conn, h, err := greet(ctx, own)
		switch {
		case err != nil:
			r.Close()
			return nil, err
		case h != nil && h.Rank == (p.Rank+p.Size-1)%p.Size:
			r.prev = conn
		case conn != nil:
			conn.Close()
		}
	}
	return r, nil
}

// read takes one line byte by byte, so that nothing of what follows it is swallowed.
func read(conn net.Conn, into any) error {
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	var line []byte
	for b := make([]byte, 1); len(line) < 4096; {
		if _, err := io.ReadFull(conn, b); err != nil {
			return err
		}
		if b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	if err := json.Unmarshal(line, into); err != nil {
		return err
	}
	return conn.SetReadDeadline(time.Time{})
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", addr)
}

func accept(ctx context.Context, l net.Listener) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	conn, err := l.Accept()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return conn, err
}

// dial tries until ctx ends: ranks start in any order.
func dial(ctx context.Context, addr string) (net.Conn, error) {
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(retryEvery):
		}
	}
}
