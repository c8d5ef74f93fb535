package billing

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/big"
	"slices"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// codec writes what a book remembers, or reads it back: the same calls in the
// same order do both, so the two cannot come apart. Numbers are varints; a
// checksum closes the whole. What is read is checked: a failure stays, and what
// is read after it is zero.
type codec struct {
	data    []byte
	reading bool
	bad     bool
}

const sealSize = 4

// readerOf checks the seal of data.
func readerOf(data []byte) *codec {
	end := len(data) - sealSize
	if end < 0 || binary.LittleEndian.Uint32(data[end:]) != crc32.ChecksumIEEE(data[:end]) {
		return &codec{reading: true, bad: true}
	}
	return &codec{reading: true, data: data[:end]}
}

func (c *codec) sealed() []byte {
	return binary.LittleEndian.AppendUint32(c.data, crc32.ChecksumIEEE(c.data))
}

func (c *codec) fail() { c.bad, c.data = true, nil }

// err is the failure of reading; what is left over is one.
func (c *codec) err(what string) error {
	if c.bad || len(c.data) > 0 {
		return fault.Newf(fault.Invalid, "%s is damaged: it does not read as it was written", what)
	}
	return nil
}

func (c *codec) int(n *int64) {
	if !c.reading {
		c.data = binary.AppendVarint(c.data, *n)
		return
	}
	value, size := binary.Varint(c.data)
	if size <= 0 {
		c.fail()
		*n = 0
		return
	}
	*n, c.data = value, c.data[size:]
}

// index codes an index into n things, or −1 for none.
func index[T int | int32](c *codec, i *T, n int) {
	wide := int64(*i)
	c.int(&wide)
	if c.reading && (wide < -1 || wide >= int64(n)) {
		c.fail()
		wide = -1
	}
	*i = T(wide)
}

// size codes the number of things that follow, each of at least one byte.
func (c *codec) size(n int) int {
	wide := int64(n)
	c.int(&wide)
	if c.reading && (wide < 0 || wide > int64(len(c.data))) {
		c.fail()
		return 0
	}
	return int(wide)
}

func (c *codec) text(s *string) {
	n := c.size(len(*s))
	if !c.reading {
		c.data = append(c.data, *s...)
		return
	}
	*s, c.data = string(c.data[:n]), c.data[n:]
}

func (c *codec) bool(b *bool) {
	n := int64(0)
	if *b {
		n = 1
	}
	c.int(&n)
	*b = n != 0
}

// num codes a denominator and a numerator; the denominator 0 stands before a
// number that is too long for two words.
func (c *codec) num(n *num) {
	d := n.den()
	if n.big != nil {
		d = 0
	}
	c.int(&d)
	switch {
	case d > 0:
		c.int(&n.n)
		n.d = d
		if n.n == math.MinInt64 {
			c.fail()
		}
	case d < 0 || c.bad:
		c.fail()
	default:
		c.long(n)
	}
}

func (c *codec) long(n *num) {
	text := ""
	if n.big != nil {
		text = n.big.RatString()
	}
	c.text(&text)
	if !c.reading {
		return
	}
	if r, ok := new(big.Rat).SetString(text); ok {
		*n = numOf(r)
	} else {
		c.fail()
	}
}

func (c *codec) category(of *Category) {
	known := Categories()
	i := slices.Index(known, *of)
	index(c, &i, len(known))
	if c.reading && i >= 0 {
		*of = known[i]
	}
}

// list codes a slice; an empty one is read as nil.
func list[T any](c *codec, all *[]T, each func(*T)) {
	n := c.size(len(*all))
	if c.reading {
		*all = nil
		if n > 0 {
			*all = make([]T, n)
		}
	}
	for i := range *all {
		each(&(*all)[i])
	}
}
