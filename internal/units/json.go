package units

import (
	"encoding/json"
	"fmt"

	"github.com/shopspring/decimal"
)

// moneyJSON is the wire form of amounts and rates: an exact decimal number and
// a currency. The number's text is exact; readers that need every digit parse
// it as a decimal.
type moneyJSON struct {
	Amount   json.Number `json:"amount"`
	Currency Currency    `json:"currency"`
}

// MarshalJSON writes {"amount": 12.5, "currency": "USD"} with exact digits.
func (a Amount) MarshalJSON() ([]byte, error) {
	return json.Marshal(moneyJSON{json.Number(decimal.New(a.Micros, -6).String()), a.Currency})
}

// UnmarshalJSON reads the form that MarshalJSON writes.
func (a *Amount) UnmarshalJSON(data []byte) error {
	var wire moneyJSON
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	parsed, err := ParseAmount(wire.Amount.String(), wire.Currency)
	if err != nil {
		return fmt.Errorf("amount: %w", err)
	}
	*a = parsed
	return nil
}

// MarshalJSON writes {"amount": 35.7608, "currency": "USD"} with exact digits.
func (r Rate) MarshalJSON() ([]byte, error) {
	return json.Marshal(moneyJSON{json.Number(r.decimal.String()), r.Currency})
}

// UnmarshalJSON reads the form that MarshalJSON writes.
func (r *Rate) UnmarshalJSON(data []byte) error {
	var wire moneyJSON
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	parsed, err := ParseRate(wire.Amount.String(), wire.Currency)
	if err != nil {
		return fmt.Errorf("rate: %w", err)
	}
	*r = parsed
	return nil
}
