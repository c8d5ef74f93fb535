package units

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

const eur Currency = "EUR"

func micros() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1000, 1000), rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64, math.MinInt64 + 1}))
}

func TestParseAmount(t *testing.T) {
	for text, want := range map[string]int64{
		"12.50": 12_500_000, "0": 0, "-0.000001": -1, "1e3": 1_000_000_000, "9223372036854.775807": math.MaxInt64, "-9223372036854.775808": math.MinInt64,
	} {
		if a, err := ParseAmount(text, USD); err != nil || a != (Amount{want, USD}) {
			t.Errorf("ParseAmount(%q) = %v, %v", text, a, err)
		}
	}
	for _, text := range []string{
		"", "x", "1.0000001", "9223372036854.775808", "$5", "1,000", "NaN", "Inf", "1e30", "1e999999999", "1e-999999999", strings.Repeat("9", 1000),
	} {
		if a, err := ParseAmount(text, USD); !fault.Is(err, fault.Invalid) {
			t.Errorf("ParseAmount(%.20q) = %v, %v", text, a, err)
		}
	}
}

func TestAmountTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Amount{micros().Draw(t, "micros"), USD}
		if back, err := ParseAmount(a.Decimal(), USD); err != nil || back != a {
			t.Fatalf("%d is written %s and read as %v, %v", a.Micros, a.Decimal(), back, err)
		}
		data, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var back Amount
		if err := json.Unmarshal(data, &back); err != nil || back != a {
			t.Fatalf("%d is written %s and read as %v, %v", a.Micros, data, back, err)
		}
	})
}

func TestSumsAreExactOrRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := Amount{micros().Draw(t, "a"), USD}, Amount{micros().Draw(t, "b"), USD}
		exact := new(big.Int).Add(big.NewInt(a.Micros), big.NewInt(b.Micros))
		checkExact(t, "sum", exact, func() (Amount, error) { return a.Add(b) })
		exact = new(big.Int).Sub(big.NewInt(a.Micros), big.NewInt(b.Micros))
		checkExact(t, "difference", exact, func() (Amount, error) { return a.Sub(b) })

		ab, errAB := a.Add(b)
		ba, errBA := b.Add(a)
		if ab != ba || (errAB == nil) != (errBA == nil) {
			t.Fatalf("%v + %v: %v, %v one way and %v, %v the other", a, b, ab, errAB, ba, errBA)
		}
	})
}

func checkExact(t *rapid.T, what string, exact *big.Int, compute func() (Amount, error)) {
	t.Helper()
	got, err := compute()
	if !exact.IsInt64() {
		if !fault.Is(err, fault.Invalid) {
			t.Fatalf("%s %s is out of range, but got %v, %v", what, exact, got, err)
		}
		return
	}
	if err != nil || got.Micros != exact.Int64() {
		t.Fatalf("%s is %s, but got %v, %v", what, exact, got, err)
	}
}

func TestCurrenciesDoNotMix(t *testing.T) {
	a, b := Amount{1, USD}, Amount{1, eur}
	if _, err := a.Add(b); !fault.Is(err, fault.Invalid) {
		t.Errorf("USD + EUR: %v", err)
	}
	if _, err := a.Sub(b); !fault.Is(err, fault.Invalid) {
		t.Errorf("USD - EUR: %v", err)
	}
	if _, err := a.Cmp(b); !fault.Is(err, fault.Invalid) {
		t.Errorf("USD <> EUR: %v", err)
	}
	if sum, err := (Amount{}).Add(b); err != nil || sum != b {
		t.Errorf("nothing + EUR: %v, %v", sum, err)
	}
	if diff, err := (Amount{}).Sub(b); err != nil || diff != (Amount{-1, eur}) {
		t.Errorf("nothing - EUR: %v, %v", diff, err)
	}
	if _, err := (Amount{0, USD}).Add(b); !fault.Is(err, fault.Invalid) {
		t.Errorf("0 USD + EUR: %v", err)
	}
}

func TestCmp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := micros().Draw(t, "a"), micros().Draw(t, "b")
		got, err := (Amount{a, USD}).Cmp(Amount{b, USD})
		if err != nil || got != big.NewInt(a).Cmp(big.NewInt(b)) {
			t.Fatalf("Cmp(%d, %d) = %d, %v", a, b, got, err)
		}
	})
}

func TestAllocationLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Amount{micros().Draw(t, "amount"), eur}
		weights := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64Range(0, math.MaxInt64)), 1, 12).Draw(t, "weights")
		total := new(big.Int)
		for _, w := range weights {
			total.Add(total, big.NewInt(w))
		}
		parts, err := a.Allocate(weights)
		if total.Sign() == 0 {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("weights of zero: %v, %v", parts, err)
			}
			return
		}
		if err != nil || len(parts) != len(weights) {
			t.Fatalf("%v, %v", parts, err)
		}
		sum := new(big.Int)
		for i, p := range parts {
			sum.Add(sum, big.NewInt(p.Micros))
			if p.Currency != eur {
				t.Fatalf("part %d is in %q", i, p.Currency)
			}
			// each part is less than one micro-unit from its exact share
			share := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(a.Micros), big.NewInt(weights[i])), total)
			off := share.Sub(share, new(big.Rat).SetInt64(p.Micros))
			if off.Abs(off).Cmp(big.NewRat(1, 1)) >= 0 {
				t.Fatalf("part %d is %d, off by %s", i, p.Micros, off.FloatString(3))
			}
			if weights[i] == 0 && p.Micros != 0 {
				t.Fatalf("part %d has weight 0 and gets %d", i, p.Micros)
			}
		}
		if !sum.IsInt64() || sum.Int64() != a.Micros {
			t.Fatalf("the parts of %d sum to %s", a.Micros, sum)
		}
	})
}

func TestAllocationByLargestRemainder(t *testing.T) {
	for _, test := range []struct {
		micros  int64
		weights []int64
		want    []int64
	}{
		{100, []int64{1, 1, 1}, []int64{34, 33, 33}},
		{-100, []int64{1, 1, 1}, []int64{-34, -33, -33}},
		{10, []int64{5, 3, 2}, []int64{5, 3, 2}},
		{1, []int64{1, 2}, []int64{0, 1}},
		{2, []int64{0, 1, 1}, []int64{0, 1, 1}},
	} {
		parts, err := (Amount{test.micros, USD}).Allocate(test.weights)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range parts {
			if p.Micros != test.want[i] {
				t.Errorf("%d by %v: %v, want %v", test.micros, test.weights, parts, test.want)
				break
			}
		}
	}
	for _, weights := range [][]int64{nil, {0}, {1, -1}} {
		if _, err := (Amount{1, USD}).Allocate(weights); !fault.Is(err, fault.Invalid) {
			t.Errorf("weights %v: %v", weights, err)
		}
	}
}

func TestRoundingIsHalfToEven(t *testing.T) {
	for _, test := range []struct {
		num, denom, want int64
	}{
		{1, 2_000_000, 0}, {3, 2_000_000, 2}, {5, 2_000_000, 2}, {-1, 2_000_000, 0}, {-3, 2_000_000, -2},
		{1, 3, 333_333}, {2, 3, 666_667}, {-2, 3, -666_667}, {7, 1, 7_000_000},
	} {
		if got := AmountOfRat(big.NewRat(test.num, test.denom), USD); got.Micros != test.want {
			t.Errorf("%d/%d: %d, want %d", test.num, test.denom, got.Micros, test.want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("an amount out of range was booked")
		}
	}()
	AmountOfRat(new(big.Rat).SetInt64(math.MaxInt64), USD)
}

func TestNegRefusesToOverflow(t *testing.T) {
	if got := (Amount{5, USD}).Neg(); got != (Amount{-5, USD}) {
		t.Errorf("got %v", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("the negative of the smallest amount is out of range")
		}
	}()
	(Amount{math.MinInt64, USD}).Neg()
}

func TestCurrencyForm(t *testing.T) {
	for text, want := range map[Currency]bool{"USD": true, "usd": false, "US": false, "USDT": false, "": false, "U$D": false} {
		if text.Valid() != want {
			t.Errorf("%q valid: %v", text, !want)
		}
	}
}

func TestAmountJSONRefusesWhatCannotBeBooked(t *testing.T) {
	for _, text := range []string{`{"amount":1.0000001,"currency":"USD"}`, `{"amount":1e30,"currency":"USD"}`, `{"amount":"x"}`, `[]`} {
		var a Amount
		if err := json.Unmarshal([]byte(text), &a); err == nil {
			t.Errorf("%s was read as %v", text, a)
		}
	}
}

func FuzzParseAmount(f *testing.F) {
	for _, seed := range []string{"12.50", "-0.000001", "1e3", "1e999999999", "0x10", "١", "+5", "1_000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAmount(text, USD)
		if err != nil {
			return
		}
		if back, err := ParseAmount(a.Decimal(), USD); err != nil || back != a {
			t.Errorf("%q is %d, written %s and read as %v, %v", text, a.Micros, a.Decimal(), back, err)
		}
	})
}

// TestShort: two figures after the zeros also where the last one is a zero, so
// that a column of small prices lines up.
func TestShort(t *testing.T) {
	for decimal, want := range map[string]string{
		"0.0041": "$0.0041", "0.006": "$0.0060", "0.01": "$0.010", "0.07": "$0.070", "0.5": "$0.50", "81.48": "$81.48", "2310000": "$2.31M",
	} {
		amount, err := ParseAmount(decimal, "USD")
		if err != nil {
			t.Fatal(err)
		}
		if got := amount.Short(); got != want {
			t.Errorf("%s is shown as %s; want %s", decimal, got, want)
		}
	}
}
