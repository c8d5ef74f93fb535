// Package highs owns the solving of programs by HiGHS: embedded as WebAssembly
// (no cgo, any platform), or as a `highs` or `cbc` program on PATH.
//
// It refuses to believe an answer that lp.Model.Check refuses, and to build
// models (planner).
package highs
