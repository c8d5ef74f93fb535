// Package ring owns how the ranks of a data-parallel training find each other and add up their gradients: a rendezvous at
// rank 0, then a ring of TCP connections over which sums travel (Patarasuk and Yuan, 2009). It refuses to retry: when a
// peer goes away, the attempt is over, and whoever supervises it starts the next one.
package ring

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
)

// Ring connects a rank to its neighbours. A ring of one rank does nothing. It belongs to one goroutine.
type Ring struct {
	Rank, Size int

	next, prev net.Conn
	out, in    []byte
}

// AllReduce replaces x, in all ranks, by the sum of their x. All ranks end with the same bits: each part is summed in one
// place, in the order of the ring, and then passed around.
func (r *Ring) AllReduce(x []float32) error {
	if r.Size == 1 {
		return nil
	}
	for step := range r.Size - 1 {
		if err := r.exchange(r.part(x, r.Rank-step), r.part(x, r.Rank-step-1), true); err != nil {
			return err
		}
	}
	for step := range r.Size - 1 {
		if err := r.exchange(r.part(x, r.Rank+1-step), r.part(x, r.Rank-step), false); err != nil {
			return err
		}
	}
	return nil
}

// part is the i-th of Size nearly equal parts of x, i taken around the ring.
func (r *Ring) part(x []float32, i int) []float32 {
	i = (i%r.Size + r.Size) % r.Size
	return x[i*len(x)/r.Size : (i+1)*len(x)/r.Size]
}

// exchange sends one part on while it receives another, which it adds to what is there or puts in its place.
func (r *Ring) exchange(send, receive []float32, add bool) error {
	r.out = encode(r.out[:0], send)
	sent := make(chan error, 1)
	go func() {
		_, err := r.next.Write(r.out)
		sent <- err
	}()
	err := r.receive(receive, add)
	if err != nil {
		r.Close() // frees the sender
	}
	if sendErr := <-sent; err == nil && sendErr != nil {
		err = fmt.Errorf("rank %d lost the rank after it: %w", r.Rank, sendErr)
	}
	return err
}

func (r *Ring) receive(x []float32, add bool) error {
	if cap(r.in) < 4*len(x) {
		r.in = make([]byte, 4*len(x))
	}
	r.in = r.in[:4*len(x)]
	if _, err := io.ReadFull(r.prev, r.in); err != nil {
		return fmt.Errorf("rank %d lost the rank before it: %w", r.Rank, err)
	}
	for i := range x {
		v := math.Float32frombits(binary.LittleEndian.Uint32(r.in[4*i:]))
		if add {
			v += x[i]
		}
		x[i] = v
	}
	return nil
}

func encode(to []byte, x []float32) []byte {
	for _, v := range x {
		to = binary.LittleEndian.AppendUint32(to, math.Float32bits(v))
	}
	return to
}

// broadcastPart is how many elements travel at a time, so that ranks pass on while they receive.
const broadcastPart = 1 << 16

// Broadcast replaces x, in all ranks, by rank 0's.
func (r *Ring) Broadcast(x []float32) error {
	if r.Size == 1 {
		return nil
	}
	for len(x) > 0 {
		part := x[:min(broadcastPart, len(x))]
		x = x[len(part):]
		if r.Rank > 0 {
			if err := r.receive(part, false); err != nil {
				return err
			}
		}
		if r.Rank < r.Size-1 {
			r.out = encode(r.out[:0], part)
			if _, err := r.next.Write(r.out); err != nil {
				return fmt.Errorf("rank %d lost the rank after it: %w", r.Rank, err)
			}
		}
	}
	return nil
}

// Close ends the connections. Closing twice is harmless.
func (r *Ring) Close() {
	for _, c := range []net.Conn{r.next, r.prev} {
		if c != nil {
			c.Close()
		}
	}
}
