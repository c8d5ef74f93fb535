// Package cli owns the commands of yard: their flags, what they print, and
// their exit codes.
//
// It refuses to decide or to touch a store or an engine: commands call
// deciding code, or the control plane through its client.
package cli
