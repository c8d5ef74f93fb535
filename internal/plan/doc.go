// Package plan owns two nouns: the Portfolio that people write (what work is
// forecast, what could be bought and signed, under which limits and fears), and
// the Plan that answers it: immutable, with an ID made of its content.
//
// It refuses to decide (planner), to price (billing) and to read files: the
// caller hands it their text.
package plan
