// Package units owns money and physical quantities: booked amounts, exact
// rates, byte sizes and their text forms.
//
// It refuses floats for money, sums across currencies, and silent overflow.
package units
