// Package arch owns the rules of the source tree: layers, allowed imports and
// package comments. It holds only a table and the tests that enforce it.
//
// It refuses to be imported.
package arch
