// Package planner owns the decision of what to sign, hold and buy over months
// and years: a program over a tree of scenarios, its answer as a plan with
// reasons and dispatch prices, and what it would cost to be left or to leave.
//
// It refuses I/O, clocks and randomness: the solver is an argument. It refuses
// to state what a plan costs: billing does, of the rounded schedule.
//
// The model, in short. Decided: contracts signed (binary, or a size), nodes
// bought, models ported, the same in all scenarios that cannot be told apart on
// the day. Recourse in each scenario s and period t: work
// placed on groups of like offers, nodes taken from each offer by source (list
// price, a contract's rate, a commitment's cover), shortfalls, make-up, work
// unserved, breaches, cash. Money in it is float64: it is a model.
package planner
