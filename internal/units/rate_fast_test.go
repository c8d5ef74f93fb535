package units

import (
	"math/big"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

// TestForHoursAgreesWithExactArithmetic compares the 128-bit path with rationals.
func TestForHoursAgreesWithExactArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := Rate{decimal.New(rapid.Int64Range(0, 1e15).Draw(t, "coefficient"), -rapid.Int32Range(0, 12).Draw(t, "decimals")), USD}
		nodes := rapid.IntRange(0, 1_000).Draw(t, "nodes")
		span := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "span"))
		micros, ok := rate.fastForHours(nodes, span)
		if !ok {
			return
		}
		hours := big.NewRat(int64(span), int64(time.Hour))
		if exact := rate.Times(hours.Mul(hours, big.NewRat(int64(nodes), 1))); exact.Micros != micros {
			t.Fatalf("%s × %d × %s: %d, exactly %d", rate, nodes, span, micros, exact.Micros)
		}
	})
}
