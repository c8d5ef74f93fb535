package units

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

func rates() *rapid.Generator[Rate] {
	return rapid.Custom(func(t *rapid.T) Rate {
		return Rate{decimal.New(rapid.Int64().Draw(t, "coefficient"), rapid.Int32Range(-20, 3).Draw(t, "exponent")), USD}
	})
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]*big.Rat{
		"35.7608": big.NewRat(357608, 10000), " 1 ": big.NewRat(1, 1), "-0.5": big.NewRat(-1, 2), "1e3": big.NewRat(1000, 1),
		"0.000000000001": big.NewRat(1, 1e12),
	} {
		if r, err := ParseRate(text, eur); err != nil || r.Rat().Cmp(want) != 0 || r.Currency != eur {
			t.Errorf("ParseRate(%q) = %v, %v", text, r, err)
		}
	}
	for _, text := range []string{"", "x", "$5", "1,5", "NaN", "Inf", "1e31", "1e-31", "1e999999999", "1/3"} {
		if r, err := ParseRate(text, USD); !fault.Is(err, fault.Invalid) {
			t.Errorf("ParseRate(%q) = %v, %v", text, r, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("MustRate read nonsense")
		}
	}()
	MustRate("nonsense", USD)
}

func TestRateTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rates().Draw(t, "rate")
		if back, err := ParseRate(r.Decimal(), USD); err != nil || back.Cmp(r) != 0 {
			t.Fatalf("%s is read as %v, %v", r.Decimal(), back, err)
		}
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back Rate
		if err := json.Unmarshal(data, &back); err != nil || back.Cmp(r) != 0 || back.Currency != USD {
			t.Fatalf("%s is read as %v, %v", data, back, err)
		}
	})
}

// TestRatesAreExact compares with rationals: nothing is lost before the one
// rounding at the end, which is at most half a micro-unit.
func TestRatesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate{decimal.New(rapid.Int64Range(0, 1e12).Draw(t, "coefficient"), -rapid.Int32Range(0, 12).Draw(t, "decimals")), USD}
		nodes, span := rapid.IntRange(0, 10_000).Draw(t, "nodes"), time.Duration(rapid.Int64Range(0, int64(100*24*time.Hour)).Draw(t, "span"))
		hours := big.NewRat(int64(span), int64(time.Hour))
		exact := new(big.Rat).Mul(r.Rat(), hours.Mul(hours, big.NewRat(int64(nodes), 1)))
		if bound := big.NewRat(1e12, 1); exact.Cmp(bound) > 0 {
			return // out of the range of an amount soon after
		}
		off := new(big.Rat).Sub(exact, r.ForHours(nodes, span).Rat())
		if off.Abs(off).Cmp(big.NewRat(1, 2_000_000)) > 0 {
			t.Fatalf("%s × %d × %s = %s, booked %s", r, nodes, span, exact.FloatString(9), r.ForHours(nodes, span))
		}
	})
}

func TestScaleIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, factor := rates().Draw(t, "rate"), decimal.New(rapid.Int64Range(-1000, 1000).Draw(t, "factor"), -2)
		want := new(big.Rat).Mul(r.Rat(), factor.Rat())
		if got := r.Scale(factor); got.Rat().Cmp(want) != 0 || got.Currency != USD {
			t.Fatalf("%s × %s = %s", r, factor, got)
		}
	})
}

func TestRateOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rates().Draw(t, "a"), rates().Draw(t, "b")
		if a.Cmp(b) != a.Rat().Cmp(b.Rat()) || a.Sign() != a.Rat().Sign() || a.IsZero() != (a.Rat().Sign() == 0) {
			t.Fatalf("%s and %s: %d", a, b, a.Cmp(b))
		}
	})
}

func TestRateText(t *testing.T) {
	r := MustRate("35.7608", USD)
	if r.String() != "35.7608 USD" || r.Decimal() != "35.7608" || r.Float64() != 35.7608 {
		t.Errorf("got %s, %s, %g", r, r.Decimal(), r.Float64())
	}
	if got := RateOfRat(big.NewRat(1, 3), USD).Decimal(); got != "0."+strings.Repeat("3", 12) {
		t.Errorf("1/3 is %s", got)
	}
	if data, err := json.Marshal(r); err != nil || string(data) != `{"amount":35.7608,"currency":"USD"}` {
		t.Errorf("got %s, %v", data, err)
	}
}

func FuzzParseRate(f *testing.F) {
	for _, seed := range []string{"35.7608", " 1 ", "-0.5", "1e30", "1e-31", "0x1p3", "1_000", "..", "+"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRate(text, USD)
		if err != nil {
			return
		}
		if back, err := ParseRate(r.Decimal(), USD); err != nil || back.Cmp(r) != 0 {
			t.Errorf("%q is written %s and read as %v, %v", text, r.Decimal(), back, err)
		}
	})
}
