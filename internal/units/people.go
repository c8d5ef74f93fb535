package units

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Short returns the amount as people read it: "$2.31M", "$0.0041", "€12.50".
// It rounds; Decimal is exact.
func (a Amount) Short() string {
	sign := ""
	value := float64(a.Micros) / microsPerUnit
	if value < 0 {
		sign, value = "-", -value
	}
	symbol := string(a.Currency) + " "
	switch a.Currency {
	case "USD":
		symbol = "$"
	case "EUR":
		symbol = "€"
	}
	return sign + symbol + shortNumber(value)
}

// shortNumber writes three significant digits with K, M, B or T; below a
// thousand two decimals, below one cent two significant digits.
func shortNumber(value float64) string {
	switch {
	case value >= 999.5e9:
		return fmt.Sprintf("%.2fT", value/1e12)
	case value >= 999.5e6:
		return fmt.Sprintf("%.2fB", value/1e9)
	case value >= 999.5e3:
		return fmt.Sprintf("%.2fM", value/1e6)
	case value >= 9999.5:
		return fmt.Sprintf("%.1fK", value/1e3)
	case value >= 999.995:
		return Grouped(int64(math.Round(value)))
	case value >= 0.095 || value == 0:
		return fmt.Sprintf("%.2f", value)
	}
	return fmt.Sprintf("%.*f", 1-int(math.Floor(math.Log10(value))), value)
}

// Grouped writes a whole number with commas: 16,384.
func Grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, groups...), ",")
}
