// Package billing owns the one oracle of what usage costs under contracts:
// charges hour by hour in each provider's documented order of application,
// their restatement when usage arrives late, the state of each clause, and the
// marginal price of one more node-hour.
//
// It refuses I/O, clocks and floats: usage and contracts in, charges out. No
// second formula for a price exists anywhere else.
//
// The way of one hour: usage is grouped into cells (all that clauses treat
// alike); commitments by the hour (blocks, reservations, plans) cover cells in
// a fixed order; what is left is priced; then the clauses that accumulate over
// windows (tiers, credits, minimums, commitments) take their turn. Amounts are
// exact rationals until a charge is made: one rounding per hour, clause,
// category and cell.
package billing
