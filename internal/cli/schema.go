package cli

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"
	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/budget"
	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/plan"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// fileKind is a kind of file that people write, with the struct that it is
// decoded into: the schema is made from the same tags.
type fileKind struct {
	name string
	what string
	file any
}

// fileKinds lists the kinds that have a schema.
func fileKinds() []fileKind {
	return []fileKind{
		{string(workload.KindTraining), "a training run", workload.TrainingFile{}},
		{string(workload.KindService), "an inference service", workload.ServiceFile{}},
		{string(workload.KindBatch), "a batch of requests", workload.BatchFile{}},
		{contract.Kind, "terms signed with a provider", contract.Contract{}},
		{plan.Kind, "what a plan decides on", plan.Portfolio{}},
		{budget.Kind, "the most that may be spent in a period", budget.Budget{}},
		{site.Kind, "a cluster that can run work", site.Site{}},
		{catalog.KindOverlay, "own prices, discounts, instance types and regions", catalog.OverlayFile{}},
	}
}

func (a *app) schemaCommand() *cobra.Command {
	return a.withOutput(&cobra.Command{
		Use:   "schema [KIND]",
		Short: "Print the JSON Schema of a kind of file, or list the kinds",
		Long: "Schema prints the JSON Schema (draft 2020-12) of a kind of file, for editors and\n" +
			"checks outside yard. Without a kind it lists them.",
		Example: "  yard schema Training > training.schema.json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.print(kindListing())
			}
			var names []string
			for _, kind := range fileKinds() {
				names = append(names, kind.name)
				if strings.EqualFold(kind.name, args[0]) {
					encoder := json.NewEncoder(a.stdout)
					encoder.SetIndent("", "  ")
					return encoder.Encode(schemaOf(kind))
				}
			}
			return fault.Newf(fault.Invalid, "unknown kind %q%s", args[0], spec.DidYouMean(args[0], names))
		},
	})
}

func kindListing() listing {
	type kindJSON struct {
		Kind string `json:"kind"`
		What string `json:"what"`
	}
	l := listing{columns: []column{{"KIND", "kind", false}, {"WHAT IT DESCRIBES", "what", false}}}
	documents := []kindJSON{}
	for _, kind := range fileKinds() {
		documents = append(documents, kindJSON{kind.name, kind.what})
		l.cells = append(l.cells, []string{kind.name, kind.what})
	}
	l.document = documents
	l.after = "\nThe schema of one: yard schema Training\n"
	return l
}

// schemaOf makes the schema of a kind from the tags of its struct.
func schemaOf(kind fileKind) *jsonschema.Schema {
	schema := reflector(false).Reflect(kind.file)
	schema.Title = kind.name + ": " + kind.what
	schema.Properties.Set("kind", &jsonschema.Schema{Const: kind.name})
	return schema
}

func reflector(inline bool) *jsonschema.Reflector {
	return &jsonschema.Reflector{
		Anonymous:                  true,
		RequiredFromJSONSchemaTags: true,
		ExpandedStruct:             true,
		DoNotReference:             inline,
		Mapper:                     mapType,
	}
}

// The text forms that the types of files read.
const (
	countPattern    = `^\s*[0-9][0-9,_]*(\.[0-9]+)?([eE][0-9]+)?\s*[KMBGTkmbgt]?\s*$`
	bytesPattern    = `^\s*[0-9][0-9,_]*(\.[0-9]+)?\s*([KMGTPkmgtp][iI]?)?[Bb]?\s*$`
	durationPattern = `^\s*([0-9]+(\.[0-9]+)?\s*[dDwW]|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+|0)\s*$`
	decimalPattern  = `^\s*[0-9]+(\.[0-9]+)?\s*$`
	numberPattern   = `^\s*[0-9][0-9,_]*(\.[0-9]+)?\s*[KMBTkmbt]?\s*$`
	sharePattern    = `^\s*[0-9]+(\.[0-9]+)?\s*%?\s*$`
	instantPattern  = `^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2}))?\s*$`
	spanPattern     = `^\s*[0-9]{1,5} ?(d|days?|w|weeks?|mo|months?|y|years?)\s*$`
	currencyPattern = `^[A-Z]{3}$`
	deadlinePattern = `^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2}))?$`
	ratePattern     = `^\s*([$€£]\s*[0-9][0-9,_]{0,15}(\.[0-9]{1,12})?(\s*[A-Z]{3})?|[0-9][0-9,_]{0,15}(\.[0-9]{1,12})?\s*[A-Z]{3})\s*$`
	timePattern     = `^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})\s*$`
	budgetPattern   = `^\s*([$€£]\s*[0-9][0-9,_]*(\.[0-9]+)?\s*[KMBkmb]?(\s*[A-Z]{3})?|[0-9][0-9,_]*(\.[0-9]+)?\s*[KMBkmb]?\s*[A-Z]{3})\s*$`
)

// mapType gives the types that read their own text a schema, and names the
// values of closed sets. Other types are reflected, for which it returns nil.
func mapType(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[units.Count]():
		return wholeOr(countPattern, 15, "15T")
	case reflect.TypeFor[units.Bytes]():
		return wholeOr(bytesPattern, 512, "80GB")
	case reflect.TypeFor[units.Duration]():
		return textForm(durationPattern, "90s", "1h30m", "14d")
	case reflect.TypeFor[workload.Deadline]():
		return textForm(deadlinePattern, "2027-03-01", "2027-03-01T12:00:00Z")
	case reflect.TypeFor[workload.Budget](), reflect.TypeFor[budget.Amount]():
		return textForm(budgetPattern, "$9.0M", "9000000 EUR")
	case reflect.TypeFor[site.Rate]():
		return textForm(ratePattern, "$35.76", "31.2 EUR")
	case reflect.TypeFor[site.Instant]():
		return textForm(timePattern, "2026-12-01T11:30:00Z")
	case reflect.TypeFor[catalog.Number]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "number"}, {Type: "string", Pattern: decimalPattern}}, Examples: []any{35.7608}}
	case reflect.TypeFor[units.Currency]():
		return textForm(currencyPattern, "USD")
	case reflect.TypeFor[[]string]():
		return &jsonschema.Schema{Type: "array", Items: scalar()}
	case reflect.TypeFor[map[string]string]():
		return &jsonschema.Schema{Type: "object", AdditionalProperties: scalar()}
	}
	if schema := contractType(t); schema != nil {
		return schema
	}
	switch t.Kind() {
	case reflect.String:
		return enumOf(t)
	case reflect.Map:
		if names := enumOf(t.Key()); names != nil {
			one := uint64(1)
			element := reflector(true).ReflectFromType(t.Elem())
			element.Version = ""
			return &jsonschema.Schema{Type: "object", PropertyNames: names, AdditionalProperties: element, MinProperties: &one}
		}
	}
	return nil
}

// figurePattern is a reported figure of a portfolio, by its name.
const figurePattern = `^\$\{[A-Za-z0-9_-]+\}$`

// contractType is the schema of the values of contract files.
func contractType(t reflect.Type) *jsonschema.Schema {
	numberOr := func(pattern string, examples ...any) *jsonschema.Schema {
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "number", Minimum: "0"}, {Type: "string", Pattern: pattern}, {Type: "string", Pattern: figurePattern},
		}, Examples: examples}
	}
	switch t {
	case reflect.TypeFor[contract.Number]():
		return numberOr(numberPattern, "38B", 0.0425)
	case reflect.TypeFor[contract.Share]():
		return numberOr(sharePattern, "30%", 0.3)
	case reflect.TypeFor[budget.Share]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "number"}, {Type: "string", Pattern: sharePattern}}, Examples: []any{"80%", 0.8}}
	case reflect.TypeFor[contract.Instant]():
		return textForm(instantPattern, "2025-11-03", "2026-03-02T11:30:00Z")
	case reflect.TypeFor[contract.Span]():
		return textForm(spanPattern, "30d", "24mo", "2y")
	}
	return nil
}

// scalar is text that YAML may have taken for a number or a truth value.
func scalar() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}}
}

func wholeOr(pattern string, examples ...any) *jsonschema.Schema {
	return &jsonschema.Schema{
		AnyOf:    []*jsonschema.Schema{{Type: "integer", Minimum: "0"}, {Type: "string", Pattern: pattern}},
		Examples: examples,
	}
}

func textForm(pattern string, examples ...any) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: pattern, Examples: examples}
}

// enumOf is the schema of a string type with a closed set of values, or nil.
func enumOf(t reflect.Type) *jsonschema.Schema {
	enum, ok := reflect.Zero(t).Interface().(spec.Enum)
	if !ok {
		return nil
	}
	schema := &jsonschema.Schema{Type: "string"}
	for _, value := range enum.Values() {
		schema.Enum = append(schema.Enum, value)
	}
	return schema
}
