package reconcile

import (
	"sync"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// qualified is what trials have shown, as it is in the store.
type qualified struct {
	mu sync.Mutex
}

// subjectOf is what is qualified for a chip family: the model of a workload, or
// the workload itself where it names none.
func subjectOf(w *workload.Workload) string {
	if model := modelOf(w); model != "" {
		return model
	}
	return w.Name
}

func (l *Loop) qualified(*workload.Workload, chip.Family) bool {
	return false
}
