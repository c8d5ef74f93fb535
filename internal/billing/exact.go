package billing

import (
	"math"
	"math/big"
	"math/bits"
	"sort"
)

// num is an exact rational number. It stays in two machine words while it
// fits, which money and quantities nearly always do, and moves to big.Rat when
// it does not. The zero num is 0.
type num struct {
	n, d int64    // n/d in lowest terms with d > 0; d = 0 stands for 1
	big  *big.Rat // set where n/d would overflow; never modified
}

func whole(n int64) num { return num{n: n, d: 1} }

func numOf(r *big.Rat) num {
	if r.Num().IsInt64() && r.Denom().IsInt64() && r.Num().Int64() != math.MinInt64 {
		return num{n: r.Num().Int64(), d: r.Denom().Int64()}
	}
	return num{big: r}
}

func (a num) den() int64 {
	if a.d == 0 {
		return 1
	}
	return a.d
}

// rat returns the number as a rational that the caller must not modify.
func (a num) rat() *big.Rat {
	if a.big != nil {
		return a.big
	}
	return big.NewRat(a.n, a.den())
}

func (a num) sign() int {
	switch {
	case a.big != nil:
		return a.big.Sign()
	case a.n > 0:
		return 1
	case a.n < 0:
		return -1
	}
	return 0
}

func (a num) neg() num {
	if a.big != nil {
		return numOf(new(big.Rat).Neg(a.big))
	}
	return num{n: -a.n, d: a.den()}
}

func (a num) add(b num) num {
	if a.big == nil && b.big == nil {
		if a.n == 0 {
			return b
		}
		if b.n == 0 {
			return a
		}
		if sum, ok := addSmall(a, b); ok {
			return sum
		}
	}
	return numOf(new(big.Rat).Add(a.rat(), b.rat()))
}

func addSmall(a, b num) (num, bool) {
	ad, bd := a.den(), b.den()
	if ad == bd {
		sum, ok := plus(a.n, b.n)
		if !ok {
			return num{}, false
		}
		return lowest(sum, ad), true
	}
	g := gcd(ad, bd)
	x, ok1 := times(a.n, bd/g)
	y, ok2 := times(b.n, ad/g)
	sum, ok3 := plus(x, y)
	d, ok4 := times(ad/g, bd)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return num{}, false
	}
	return lowest(sum, d), true
}

func (a num) sub(b num) num { return a.add(b.neg()) }

func (a num) mul(b num) num {
	if a.big == nil && b.big == nil {
		if a.n == 0 || b.n == 0 {
			return num{}
		}
		ad, bd := a.den(), b.den()
		g, h := gcd(a.n, bd), gcd(b.n, ad)
		n, ok1 := times(a.n/g, b.n/h)
		d, ok2 := times(ad/h, bd/g)
		if ok1 && ok2 {
			return num{n: n, d: d}
		}
	}
	return numOf(new(big.Rat).Mul(a.rat(), b.rat()))
}

// div returns a ÷ b; b must not be zero.
func (a num) div(b num) num {
	if b.big == nil && b.n != 0 {
		inverse := num{n: b.den(), d: b.n}
		if b.n < 0 {
			inverse = num{n: -b.den(), d: -b.n}
		}
		return a.mul(inverse)
	}
	return numOf(new(big.Rat).Quo(a.rat(), b.rat()))
}

func (a num) cmp(b num) int {
	if a.big == nil && b.big == nil {
		if a.den() == b.den() {
			switch {
			case a.n < b.n:
				return -1
			case a.n > b.n:
				return 1
			}
			return 0
		}
		x, ok1 := times(a.n, b.den())
		y, ok2 := times(b.n, a.den())
		if ok1 && ok2 {
			switch {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		}
	}
	return a.rat().Cmp(b.rat())
}

func lesser(a, b num) num {
	if b.cmp(a) < 0 {
		return b
	}
	return a
}

// micros rounds the number of currency units to whole micro-units, half to
// even. It panics outside the int64 range (nine trillion units), a broken
// invariant of the caller.
func (a num) micros() int64 {
	scaled := a.mul(whole(microsPerUnit))
	if scaled.big != nil {
		return roundBig(scaled.big)
	}
	q, r := scaled.n/scaled.den(), scaled.n%scaled.den()
	if r < 0 {
		r = -r
	}
	twice := uint64(r) * 2
	if d := uint64(scaled.den()); twice > d || (twice == d && q&1 == 1) {
		if scaled.n < 0 {
			q--
		} else {
			q++
		}
	}
	return q
}

const microsPerUnit = 1_000_000

func roundBig(r *big.Rat) int64 {
	quotient, remainder := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	twice := remainder.Abs(remainder)
	twice.Lsh(twice, 1)
	if c := twice.Cmp(r.Denom()); c > 0 || (c == 0 && quotient.Bit(0) == 1) {
		quotient.Add(quotient, big.NewInt(int64(r.Sign())))
	}
	if !quotient.IsInt64() {
		panic("billing: an amount is out of range")
	}
	return quotient.Int64()
}

// ofMicros returns micro-units as a number of currency units.
func ofMicros(micros int64) num { return lowest(micros, microsPerUnit) }

func lowest(n, d int64) num {
	if d == 1 {
		return num{n: n, d: 1}
	}
	if n == 0 {
		return num{}
	}
	g := gcd(n, d)
	return num{n: n / g, d: d / g}
}

func gcd(a, b int64) int64 {
	if a < 0 {
		a = -a
	}
	if b < 0 {
		b = -b
	}
	for b != 0 {
		a, b = b, a%b
	}
	if a == 0 {
		return 1
	}
	return a
}

func plus(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (b >= 0) == (sum >= a) && sum != math.MinInt64
}

func times(a, b int64) (int64, bool) {
	negative := (a < 0) != (b < 0)
	x, y := uint64(a), uint64(b)
	if a < 0 {
		x = uint64(-a)
	}
	if b < 0 {
		y = uint64(-b)
	}
	high, low := bits.Mul64(x, y)
	if high != 0 || low > math.MaxInt64 {
		return 0, false
	}
	if negative {
		return -int64(low), true
	}
	return int64(low), true
}

// share splits whole micro-units by weights by largest remainder. The parts
// sum to the total; equal remainders go to the earlier part. Weights are not
// negative; where all are zero the first part takes the total.
func share(total int64, weights []num) []int64 {
	parts := make([]int64, len(weights))
	if len(parts) == 0 {
		return parts
	}
	if len(parts) == 1 {
		parts[0] = total
		return parts
	}
	var sum num
	for _, w := range weights {
		sum = sum.add(w)
	}
	if sum.sign() == 0 {
		parts[0] = total
		return parts
	}
	remainders := make([]num, len(weights))
	left := total
	for i, w := range weights {
		exact := whole(total).mul(w).div(sum)
		parts[i] = exact.truncated()
		remainders[i] = exact.sub(whole(parts[i]))
		left -= parts[i]
	}
	if left == 0 {
		return parts
	}
	step := int64(1)
	if left < 0 {
		step = -1
	}
	// Less than one is left of each part: none is rounded up twice.
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool {
		return remainders[order[i]].mul(whole(step)).cmp(remainders[order[j]].mul(whole(step))) > 0
	})
	for _, i := range order[:left*step] {
		parts[i] += step
	}
	return parts
}

func (a num) truncated() int64 {
	if a.big == nil {
		return a.n / a.den()
	}
	return new(big.Int).Quo(a.big.Num(), a.big.Denom()).Int64()
}
