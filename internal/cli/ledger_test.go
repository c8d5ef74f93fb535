package cli

import (
	"testing"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
)

// A zero of one currency is not told of beside a sum of another.
func TestZeroSumsAreLeftOut(t *testing.T) {
	eur, usd := func(n v1.Decimal) v1.Money { return v1.Money{Amount: n, Currency: "EUR"} }, func(n v1.Decimal) v1.Money { return v1.Money{Amount: n, Currency: "USD"} }
	tests := []struct {
		sums         []v1.Money
		shown, exact string
	}{
		{nil, "", ""},
		{[]v1.Money{eur("0.000000"), usd("35")}, "$35.00", "35 USD"},
		{[]v1.Money{eur("1"), usd("0")}, "1.00 EUR", "1 EUR"},
		{[]v1.Money{eur("1"), usd("-35")}, "1.00 EUR + -$35.00", "1 EUR + -35 USD"},
		{[]v1.Money{eur("0"), usd("0.000000")}, "$0", "0.000000 USD"},
		{[]v1.Money{eur("0")}, "0 EUR", "0 EUR"},
	}
	for _, tt := range tests {
		if shown, exact := showMonies(tt.sums), exactMonies(tt.sums); shown != tt.shown || exact != tt.exact {
			t.Errorf("%v: %q, %q; want %q, %q", tt.sums, shown, exact, tt.shown, tt.exact)
		}
	}
}
