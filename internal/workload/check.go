package workload

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"time"

	"github.com/agnivade/levenshtein"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/model"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// Bounds on what a file may ask for, far beyond any real run.
const (
	maxPriority = 1000
	maxChips    = 10_000_000
	maxRanks    = 1_000_000
	maxSequence = 1 << 30
	maxBatch    = 1 << 30
	maxRestarts = 10_000
	maxReplicas = 100_000
)

var (
	nameForm   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)
	slugForm   = regexp.MustCompile(`^[a-z0-9]([-_.a-z0-9]{0,62}[a-z0-9])?$`)
	regionForm = regexp.MustCompile(`^[-_a-z0-9*]{1,63}$`)
)

// rules checks a decoded workload against its document.
type rules struct {
	document *spec.Document
	now      time.Time
	models   *model.Set
	stored   bool // accepted before: the deadline and the reader's models do not count
}

// fault records one fault a field at most: the first, which is the decoder's
// where the field is malformed and its value was not read.
func (r *rules) fault(field, format string, args ...any) {
	if !r.document.Faulty(field) {
		r.document.Faultf(field, format, args...)
	}
}

func (r *rules) within(field string, value, low, high int) {
	if r.document.Has(field) && (value < low || value > high) {
		r.fault(field, "found %d; %d to %d is valid", value, low, high)
	}
}

func (r *rules) matches(field, value string, form *regexp.Regexp, help string) {
	if value != "" && !form.MatchString(value) {
		r.fault(field, "found %q; %s", clip(value), help)
	}
}

// CheckStanding holds the project and the priority that a user gave beside a
// file to the rules of the file's own.
func CheckStanding(project string, priority int) error {
	if !slugForm.MatchString(project) {
		return fault.Newf(fault.Invalid, "project: found %q; %s", clip(project), slugHelp)
	}
	if priority < -maxPriority || priority > maxPriority {
		return fault.Newf(fault.Invalid, "priority: found %d; %d to %d is valid", priority, -maxPriority, maxPriority)
	}
	return nil
}

const slugHelp = "lower-case letters, digits and dashes are valid"

func (r *rules) check(w *Workload) {
	r.matches("name", w.Name, nameForm, "up to 40 lower-case letters, digits and dashes are valid")
	if w.Name == "" && r.document.Has("name") {
		r.fault("name", "a name is needed")
	}
	r.matches("project", w.Project, slugForm, slugHelp)
	r.within("priority", w.Priority, -maxPriority, maxPriority)
	r.model(w)
	if !r.stored && !w.Deadline.IsZero() && !w.Deadline.Time.After(r.now) {
		r.fault("deadline", "%s has passed", w.Deadline)
	}
	r.place(w.Place)
	r.data(w.Data)
	r.restarts(w.Restarts)
	if w.Watchdog != nil && *w.Watchdog != 0 {
		r.positive("watchdog", *w.Watchdog)
	}
	r.variants(w)
	switch {
	case w.Training != nil:
		r.training(w)
	case w.Service != nil:
		r.service(w)
	case w.Batch != nil:
		r.batch(w)
	}
}

func (r *rules) model(w *Workload) {
	ref := w.Model
	switch {
	case ref.Preset != "" && ref.Shape != nil:
		r.fault("model", "preset and shape are two models; give one")
	case ref.Shape != nil:
		r.shape(w)
	case ref.Preset != "":
		found, err := r.models.Find(ref.Preset)
		if err != nil && !r.stored {
			r.fault("model.preset", "%s", err)
		}
		w.Shape = found
	case r.document.Has("model"):
		r.fault("model", "an empty model; give preset or shape")
	}
}

// shape takes an inline shape over once it is complete and valid. Fields that
// the decoder missed are not judged again.
func (r *rules) shape(w *Workload) {
	shape := *w.Model.Shape
	shape.Complete()
	problems := shape.Problems()
	for _, problem := range problems {
		field := "model.shape." + problem.Field
		if slices.Contains([]string{"layers", "hidden", "heads", "ffn", "vocab"}, problem.Field) && !r.document.Has(field) {
			continue
		}
		r.fault(field, "%s", problem.Message)
	}
	if len(problems) > 0 {
		return
	}
	if shape.ID == "" {
		shape.ID = w.Name
	}
	w.Shape = &shape
}

func (r *rules) place(p Place) {
	r.selector("place.allow", p.Allow)
	r.selector("place.forbid", p.Forbid)
	overlap(r, "providers", p.Allow.Providers, p.Forbid.Providers)
	overlap(r, "chipmakers", p.Allow.Chipmakers, p.Forbid.Chipmakers)
	overlap(r, "regions", p.Allow.Regions, p.Forbid.Regions)
	overlap(r, "options", p.Allow.Options, p.Forbid.Options)
	r.bounds("place.chips", p.Chips.Min, p.Chips.Max, maxChips)
	r.within("place.nodes", p.Nodes, 1, maxChips)
	if p.Nodes > 0 && (p.Chips != Range{}) {
		r.fault("place.nodes", "a fixed number of nodes leaves no room for place.chips; give one")
	}
	if all := len(chip.Maker("").Values()); len(p.Forbid.Chipmakers) >= all && len(slices.Compact(slices.Sorted(slices.Values(p.Forbid.Chipmakers)))) == all {
		r.fault("place.forbid.chipmakers", "every chipmaker is forbidden; nothing can run it")
	}
	if all := len(catalog.Option("").Values()); len(p.Forbid.Options) >= all && len(slices.Compact(slices.Sorted(slices.Values(p.Forbid.Options)))) == all {
		r.fault("place.forbid.options", "every purchase option is forbidden; nothing can run it")
	}
}

func (r *rules) selector(field string, s Selector) {
	if len(s.Providers) > 0 {
		r.providers(field+".providers", s.Providers)
	}
	r.regions(field+".regions", s.Regions)
}

// providers refuses what is all but a provider of the catalog: a name that is
// misspelt under forbid would forbid nothing. Others may be of an overlay.
func (r *rules) providers(field string, names []string) {
	known := []string{"local", "owned"}
	if c, err := catalog.Load(); err == nil {
		known = append(known, c.Providers()...)
	}
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", field, i)
		r.matches(at, name, slugForm, slugHelp)
		if slices.Contains(known, name) || len(name) > 64 {
			continue
		}
		for _, near := range known {
			if levenshtein.ComputeDistance(name, near) <= len(near)/3 {
				r.fault(at, "unknown provider %q; did you mean %s?", clip(name), near)
			}
		}
	}
}

func (r *rules) regions(field string, patterns []string) {
	for i, pattern := range patterns {
		if !regionForm.MatchString(pattern) {
			r.fault(fmt.Sprintf("%s[%d]", field, i), "found %q; a region is needed, such as us-east-1 or us-*", clip(pattern))
		}
	}
}

// overlap reports what is both allowed and forbidden: by name, or for regions
// where the pattern that forbids covers all that an allowed one means.
func overlap[T ~string](r *rules, list string, allow, forbid []T) {
	for i, allowed := range allow {
		for _, forbidden := range forbid {
			covered, _ := path.Match(string(forbidden), string(allowed))
			if allowed == forbidden || list == "regions" && covered {
				r.fault(fmt.Sprintf("place.allow.%s[%d]", list, i), "%s is allowed and forbidden", allowed)
				break
			}
		}
	}
}

func (r *rules) bounds(field string, low, high, limit int) {
	r.within(field+".min", low, 0, limit)
	r.within(field+".max", high, 1, limit)
	if high > 0 && low > high {
		r.fault(field, "min %d is more than max %d", low, high)
	}
}

func (r *rules) data(datasets []Dataset) {
	seen := map[string]bool{}
	for i, data := range datasets {
		field := fmt.Sprintf("data[%d]", i)
		r.matches(field+".name", data.Name, slugForm, slugHelp)
		r.matches(field+".provider", data.Provider, slugForm, slugHelp)
		if data.Name != "" && seen[data.Name] {
			r.fault(field+".name", "a second dataset named %s", clip(data.Name))
		}
		seen[data.Name] = true
		if data.Region != "" {
			r.regions(field+".region", []string{data.Region})
		}
		r.regions(field+".residency", data.Residency)
		if data.Region != "" && len(data.Residency) > 0 && !within(data.Region, data.Residency) {
			r.fault(field+".region", "the data lies in %s, outside its residency", clip(data.Region))
		}
	}
}

func (r *rules) restarts(restarts Restarts) {
	r.positive("restarts.backoff", restarts.Backoff)
	r.positive("restarts.max_backoff", restarts.MaxBackoff)
	if restarts.Limit != nil {
		r.within("restarts.limit", *restarts.Limit, 0, maxRestarts)
	}
	if restarts.MaxBackoff > 0 && restarts.Backoff > restarts.MaxBackoff {
		r.fault("restarts.backoff", "%s is more than max_backoff %s", time.Duration(restarts.Backoff), time.Duration(restarts.MaxBackoff))
	}
}
