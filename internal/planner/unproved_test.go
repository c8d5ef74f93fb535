package planner

import (
	"errors"
	"math"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// A plan of which nothing is proved is refused: an infinite gap cannot be written.
func TestAPlanWithoutABoundIsRefused(t *testing.T) {
	for _, bound := range []float64{math.Inf(-1), math.Inf(1), math.NaN()} {
		if _, err := writePlan(t.Context(), nil, nil, nil, 1, bound, Options{}); !fault.Is(err, fault.Transient) {
			t.Errorf("bound %v: %v", bound, errors.Unwrap(err))
		}
	}
}
