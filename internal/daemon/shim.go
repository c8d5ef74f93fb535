// Package daemon owns the wiring of yard: the control plane with its store and
// engines, and what runs in the background.
//
// It refuses to decide: it is the only importer of adapters, and hands them to
// the code that does.
package daemon

import (
	"io"

	"github.com/switchyard-ai/switchyard/internal/engine/local"
)

// Shim runs the gang in the folder as the local engine's shim, to its end.
func Shim(dir string, ready io.Writer) error { return local.RunShim(dir, ready) }
