package model

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

//go:embed presets.yaml
var presetsFile []byte

// Set is models by name. The zero Set is empty.
type Set struct {
	models []*Model
	byKey  map[string]*Model
}

// Presets returns the models that yard knows. They are shared: do not change them.
var Presets = sync.OnceValue(func() *Set {
	set, err := ParseSet("presets.yaml", presetsFile)
	if err != nil {
		panic(fmt.Sprintf("model: the embedded presets are malformed: %v", err))
	}
	return set
})

// All returns the presets in the order of their file. Do not change them.
func All() []*Model { return Presets().All() }

// Find returns the preset of that name, see Set.Find.
func Find(name string) (*Model, error) { return Presets().Find(name) }

// ParseSet reads a YAML list of models, each complete with id and source. It
// returns spec.Faults where anything is wrong.
func ParseSet(file string, data []byte) (*Set, error) {
	documents, err := spec.Parse(file, data)
	if err != nil {
		return nil, err
	}
	set := &Set{byKey: map[string]*Model{}}
	var faults spec.Faults
	for _, document := range documents {
		var models []*Model
		document.Decode(&models)
		for i, m := range models {
			field := fmt.Sprintf("[%d]", i)
			if m == nil {
				document.Faultf(field, "a model is needed")
				continue
			}
			set.add(document, field, m)
		}
		if found, ok := document.Faults().(spec.Faults); ok {
			faults = append(faults, found...)
		}
	}
	return set, faults.Err()
}

func (s *Set) add(document *spec.Document, field string, m *Model) {
	m.Complete()
	for _, problem := range m.Problems() {
		document.Faultf(field+"."+problem.Field, "%s", problem.Message)
	}
	if m.ID == "" || m.Source == "" {
		document.Faultf(field, "a model needs an id and a source")
	}
	for _, name := range append([]string{m.ID}, m.Aliases...) {
		if held := s.byKey[key(name)]; held != nil {
			document.Faultf(field, "%q names %s already", name, held.ID)
		}
		s.byKey[key(name)] = m
	}
	s.models = append(s.models, m)
}

// With returns a set of these models before those of s, which they hide where
// names clash.
func (s *Set) With(models ...*Model) *Set {
	merged := &Set{byKey: map[string]*Model{}}
	for _, m := range append(slices.Clone(models), s.models...) {
		if merged.byKey[key(m.ID)] != nil {
			continue
		}
		merged.models = append(merged.models, m)
		for _, name := range append([]string{m.ID}, m.Aliases...) {
			if k := key(name); merged.byKey[k] == nil {
				merged.byKey[k] = m
			}
		}
	}
	return merged
}

// All returns the models in order. Do not change them.
func (s *Set) All() []*Model { return slices.Clone(s.models) }

// Find returns the model that a name means: its id, an alias, or a name as on
// model hubs, in any case, with or without the owner ("meta-llama/"), and with
// suffixes that leave the shape alone ("-Instruct", "-FP8"). Where there is
// none the error is fault.NotFound and names the nearest.
func (s *Set) Find(name string) (*Model, error) {
	base := strings.ToLower(name[strings.LastIndexByte(name, '/')+1:])
	if m := s.byKey[key(base)]; m != nil && base != "" {
		return m, nil
	}
	all := words.Split(base, -1)
	all = slices.DeleteFunc(all, tuned.MatchString)
	for n := len(all); n > 0; n-- {
		if m := s.byKey[strings.Join(all[:n], "")]; m != nil {
			return m, nil
		}
		if !variant.MatchString(all[n-1]) {
			break
		}
	}
	return nil, fault.Newf(fault.NotFound, "unknown model %q%s", clip(name), spec.DidYouMean(base, s.names()))
}

func (s *Set) names() []string {
	names := make([]string, len(s.models))
	for i, m := range s.models {
		names[i] = m.ID
	}
	return names
}

var (
	separators = strings.NewReplacer("-", "", "_", "", " ", "")
	words      = regexp.MustCompile(`[-_ ]`)
	// tuned marks further training, and variant (at the end of a name) releases
	// and number formats: neither changes the shape.
	tuned   = regexp.MustCompile(`^(instruct|chat|it|pt|hf|base|sft|dpo|thinking|preview)$`)
	variant = regexp.MustCompile(`^(v\d(\.\d+)?|\d{4}|fp\d+|bf16|nvfp4|mxfp4|int\d|awq|gptq|gguf|w\da\d+|kv|dynamic|\d+k)$`)
)

func key(name string) string { return separators.Replace(strings.ToLower(name)) }

func clip(text string) string {
	const limit = 60
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}
