package budget

import (
	"fmt"
	"regexp"

	"github.com/switchyard-ai/switchyard/internal/spec"
)

// nameForm is what a budget may be called: it names a file.
var nameForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Parse reads the budgets of a file. Everything wrong in it is returned at
// once as spec.Faults.
func Parse(file string, data []byte) ([]*Budget, error) {
	documents, err := spec.Parse(file, data)
	if err != nil {
		return nil, err
	}
	var budgets []*Budget
	var faults spec.Faults
	names := map[string]bool{}
	for _, document := range documents {
		b := &Budget{}
		if kind := document.Kind(); kind != Kind {
			document.Faultf("kind", "found %.60q; a budget file has kind: %s", kind, Kind)
		} else {
			document.Decode(b)
			validate(document, b, names)
		}
		if found, ok := document.Faults().(spec.Faults); ok {
			faults = append(faults, found...)
		}
		budgets = append(budgets, b)
	}
	return budgets, faults.Err()
}

func validate(document *spec.Document, b *Budget, names map[string]bool) {
	switch {
	case document.Faulty("name") || b.Name == "":
	case !nameForm.MatchString(b.Name):
		document.Faultf("name", "found %.60q; up to 63 lower-case letters, digits and dashes are valid", b.Name)
	case names[b.Name]:
		document.Faultf("name", "%s is the name of an earlier budget of this file; another is needed", b.Name)
	}
	names[b.Name] = true
	if len(b.Thresholds) == 0 && !document.Faulty("thresholds") && document.Has("thresholds") {
		document.Faultf("thresholds", "found none; at least one is needed, such as {at: 80%%, do: warn}")
	}
	for i := 1; i < len(b.Thresholds); i++ {
		field, before, t := fmt.Sprintf("thresholds[%d]", i), b.Thresholds[i-1], b.Thresholds[i]
		if document.Faulty(field+".at") || document.Faulty(field+".do") || t.At.IsZero() || before.At.IsZero() {
			continue
		}
		if t.At.Cmp(before.At.Decimal) <= 0 {
			document.Faultf(field+".at", "found %s after %s; thresholds ascend", t.At.String(), before.At.String())
		}
		if rank(t.Do) < rank(before.Do) {
			document.Faultf(field+".do", "found %s after %s; a higher threshold does as much or more (warn, hold, drain)", t.Do, before.Do)
		}
	}
}

func rank(a Action) int {
	for i, value := range a.Values() {
		if value == string(a) {
			return i
		}
	}
	return 0
}
