package billing

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/units"
)

func anyNum(t *rapid.T, name string) (num, *big.Rat) {
	n := rapid.OneOf(rapid.Int64Range(-1000, 1000), rapid.Int64Range(math.MinInt64+1, math.MaxInt64)).Draw(t, name)
	d := rapid.OneOf(rapid.Int64Range(1, 1000), rapid.Int64Range(1, math.MaxInt64)).Draw(t, name+"/")
	r := big.NewRat(n, d)
	return numOf(r), r
}

// Every operation agrees with big.Rat, over the borders of the machine word too.
func TestNumAgreesWithRat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, ra := anyNum(t, "a")
		b, rb := anyNum(t, "b")
		for _, c := range []struct {
			name string
			got  num
			want *big.Rat
		}{
			{"add", a.add(b), new(big.Rat).Add(ra, rb)},
			{"sub", a.sub(b), new(big.Rat).Sub(ra, rb)},
			{"mul", a.mul(b), new(big.Rat).Mul(ra, rb)},
			{"neg", a.neg(), new(big.Rat).Neg(ra)},
		} {
			if c.got.rat().Cmp(c.want) != 0 {
				t.Fatalf("%s of %s and %s = %s, want %s", c.name, ra, rb, c.got.rat(), c.want)
			}
		}
		if a.cmp(b) != ra.Cmp(rb) || a.sign() != ra.Sign() {
			t.Fatalf("%s and %s compare as %d", ra, rb, a.cmp(b))
		}
		if rb.Sign() != 0 && a.div(b).rat().Cmp(new(big.Rat).Quo(ra, rb)) != 0 {
			t.Fatalf("%s ÷ %s = %s", ra, rb, a.div(b).rat())
		}
		bounded := new(big.Rat).Quo(ra, big.NewRat(microsPerUnit, 1))
		if got, want := numOf(bounded).micros(), units.AmountOfRat(bounded, units.USD).Micros; got != want {
			t.Fatalf("%s rounds to %d micros, want %d", bounded, got, want)
		}
	})
}

func TestShareLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(-1e15, 1e15).Draw(t, "total")
		weights := make([]num, rapid.IntRange(1, 12).Draw(t, "parts"))
		for i := range weights {
			weights[i] = numOf(big.NewRat(rapid.Int64Range(0, 1e9).Draw(t, "w"), rapid.Int64Range(1, 1e6).Draw(t, "d")))
		}
		sum := int64(0)
		var of num
		for _, w := range weights {
			of = of.add(w)
		}
		for i, part := range share(total, weights) {
			sum += part
			if of.sign() > 0 {
				off := whole(part).sub(whole(total).mul(weights[i]).div(of))
				if off.cmp(whole(1)) >= 0 || off.cmp(whole(-1)) <= 0 {
					t.Fatalf("part %d of %d is %d, a unit or more off", i, total, part)
				}
			}
		}
		if sum != total {
			t.Fatalf("the parts of %d sum to %d", total, sum)
		}
	})
}
