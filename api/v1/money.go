package v1

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Decimal is an exact decimal number. In JSON it is a number whose text keeps
// every digit; a reader that needs all of them must not go through a float.
type Decimal string

// MarshalJSON writes the number; an empty Decimal is 0.
func (d Decimal) MarshalJSON() ([]byte, error) {
	if d == "" {
		return []byte("0"), nil
	}
	return json.Marshal(json.Number(d))
}

// UnmarshalJSON keeps the text of the number.
func (d *Decimal) UnmarshalJSON(data []byte) error {
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil {
		return fmt.Errorf("a decimal number is needed: %w", err)
	}
	*d = Decimal(strings.TrimSpace(n.String()))
	return nil
}

// Money is an amount of one currency.
type Money struct {
	Amount   Decimal `json:"amount" doc:"exact decimal, in currency units"`
	Currency string  `json:"currency" doc:"ISO 4217 code"`
}
