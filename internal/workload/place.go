package workload

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Place says where a workload may run and at what size.
type Place struct {
	Allow  Selector `json:"allow,omitzero" jsonschema_description:"Only these; an empty list allows all."`
	Forbid Selector `json:"forbid,omitzero" jsonschema_description:"None of these."`
	Chips  Range    `json:"chips,omitzero" jsonschema_description:"Bounds on the number of chips."`
	Nodes  int      `json:"nodes,omitempty" jsonschema:"minimum=1" jsonschema_description:"A fixed number of nodes, instead of chips."`
}

// Selector names places. Regions may hold *, which stands for any letters.
type Selector struct {
	Providers  []string         `json:"providers,omitempty"`
	Chipmakers []chip.Maker     `json:"chipmakers,omitempty"`
	Regions    []string         `json:"regions,omitempty"`
	Options    []catalog.Option `json:"options,omitempty" jsonschema_description:"Purchase options."`
}

// Range is a number within bounds; Max 0 means no upper bound.
type Range struct {
	Min int `json:"min,omitempty" jsonschema:"minimum=0"`
	Max int `json:"max,omitempty" jsonschema:"minimum=1"`
}

// Dataset is what a workload reads.
type Dataset struct {
	Name      string      `json:"name" jsonschema:"required"`
	URI       string      `json:"uri" jsonschema:"required" jsonschema_description:"Where it is, such as s3://bucket/prefix or a directory."`
	Provider  string      `json:"provider,omitempty" jsonschema_description:"Who stores it."`
	Region    string      `json:"region,omitempty" jsonschema_description:"Where it is stored."`
	Size      units.Bytes `json:"size,omitempty"`
	Residency []string    `json:"residency,omitempty" jsonschema_description:"Regions in which it may be read; * stands for any letters."`
}

// Excludes returns why the workload may not run at such a place, or nil. An
// empty region is that of a site outside all clouds.
func (c *Common) Excludes(provider string, maker chip.Maker, region string, option catalog.Option) []string {
	allow, forbid := c.Place.Allow, c.Place.Forbid
	var reasons []string
	add := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	if len(allow.Providers) > 0 && !slices.Contains(allow.Providers, provider) {
		add("provider %s is not among the allowed (%s)", provider, strings.Join(allow.Providers, ", "))
	}
	if slices.Contains(forbid.Providers, provider) {
		add("provider %s is forbidden", provider)
	}
	if len(allow.Chipmakers) > 0 && !slices.Contains(allow.Chipmakers, maker) {
		add("chipmaker %s is not among the allowed (%s)", maker, joined(allow.Chipmakers))
	}
	if slices.Contains(forbid.Chipmakers, maker) {
		add("chipmaker %s is forbidden", maker)
	}
	if len(allow.Options) > 0 && !slices.Contains(allow.Options, option) {
		add("option %s is not among the allowed (%s)", option, joined(allow.Options))
	}
	if slices.Contains(forbid.Options, option) {
		add("option %s is forbidden", option)
	}
	return append(reasons, c.excludesRegion(region)...)
}

func (c *Common) excludesRegion(region string) []string {
	allow, forbid := c.Place.Allow.Regions, c.Place.Forbid.Regions
	shown := region
	if shown == "" {
		shown = "(none)"
	}
	var reasons []string
	if len(allow) > 0 && !within(region, allow) {
		reasons = append(reasons, fmt.Sprintf("region %s is not among the allowed (%s)", shown, strings.Join(allow, ", ")))
	}
	if within(region, forbid) {
		reasons = append(reasons, fmt.Sprintf("region %s is forbidden", shown))
	}
	for _, data := range c.Data {
		if len(data.Residency) > 0 && !within(region, data.Residency) {
			reasons = append(reasons, fmt.Sprintf("data %s may not be read in region %s, only in %s", data.Name, shown, strings.Join(data.Residency, ", ")))
		}
	}
	return reasons
}

func within(region string, patterns []string) bool {
	for _, pattern := range patterns {
		if ok, err := path.Match(pattern, region); ok && err == nil && region != "" {
			return true
		}
	}
	return false
}

func joined[T ~string](names []T) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ", ")
}
