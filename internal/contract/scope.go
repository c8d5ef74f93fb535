package contract

import (
	"path"
	"slices"
	"strings"
)

// Scope says what usage a contract or a clause is about. A list that is empty
// admits everything; a name may hold the wildcards * and ?; names match
// without regard to case.
type Scope struct {
	Providers     []string `json:"providers,omitempty"`
	Regions       []string `json:"regions,omitempty"`
	Zones         []string `json:"zones,omitempty"`
	InstanceTypes []string `json:"instance_types,omitempty"`
	Chips         []string `json:"chips,omitempty"`
	Chipmakers    []string `json:"chipmakers,omitempty"`
	Accounts      []string `json:"accounts,omitempty"`
	Services      []string `json:"services,omitempty"`
	Platforms     []string `json:"platforms,omitempty"`
	Tenancies     []string `json:"tenancies,omitempty"`
	Options       []string `json:"options,omitempty"`  // purchase options, marketplace and support included
	Classes       []string `json:"classes,omitempty"`  // classes of work, such as training or inference
	Projects      []string `json:"projects,omitempty"` // projects of ours
	Units         []string `json:"units,omitempty"`

	also []Scope // scopes that must admit the usage as well: the result of Narrow
}

// Subject is what a scope judges: the attributes of a line of usage.
type Subject struct {
	Provider, Region, Zone, InstanceType, Chip, Chipmaker, Account, Service string
	Platform, Tenancy, Option, Class, Project, Unit                         string
}

// Narrow returns the scope of what both admit.
func (s Scope) Narrow(inner Scope) Scope {
	narrowed := s
	narrowed.also = append(slices.Clone(s.also), inner)
	return narrowed
}

// Admits reports whether the usage is in the scope.
func (s Scope) Admits(of Subject) bool {
	for _, dimension := range s.dimensions() {
		if len(dimension.names) > 0 && !matchAny(dimension.names, dimension.of(of)) {
			return false
		}
	}
	for _, other := range s.also {
		if !other.Admits(of) {
			return false
		}
	}
	return true
}

// Limits reports whether any part of the scope restricts the named dimension.
func (s Scope) Limits(name string) bool {
	for _, dimension := range s.dimensions() {
		if dimension.name == name && len(dimension.names) > 0 {
			return true
		}
	}
	return slices.ContainsFunc(s.also, func(other Scope) bool { return other.Limits(name) })
}

// Breadth orders scopes from narrow (0) to broad, as Azure ranks them: one
// account or project before all, one region before all.
func (s Scope) Breadth() int {
	breadth := 0
	for _, name := range []string{"accounts", "projects", "regions", "instance_types"} {
		if !s.Limits(name) {
			breadth++
		}
	}
	return breadth
}

// Names returns what the scope lists for a dimension; nil means everything.
func (s Scope) Names(name string) []string {
	var names []string
	for _, dimension := range s.dimensions() {
		if dimension.name == name {
			names = append(names, dimension.names...)
		}
	}
	for _, other := range s.also {
		if inner := other.Names(name); inner != nil {
			names = inner
		}
	}
	return names
}

// Overlaps reports whether some usage could be in both scopes. Two wildcard
// names are taken to overlap unless their fixed beginnings differ.
func (s Scope) Overlaps(other Scope) bool {
	mine, theirs := s.all(), other.all()
	for _, a := range mine {
		for _, b := range theirs {
			left, right := a.dimensions(), b.dimensions()
			for i := range left {
				if !namesOverlap(left[i].names, right[i].names) {
					return false
				}
			}
		}
	}
	return true
}

func (s Scope) all() []Scope { return append([]Scope{s}, s.also...) }

type dimension struct {
	name  string
	names []string
	of    func(Subject) string
}

func (s Scope) dimensions() []dimension {
	return []dimension{
		{"providers", s.Providers, func(u Subject) string { return u.Provider }},
		{"regions", s.Regions, func(u Subject) string { return u.Region }},
		{"zones", s.Zones, func(u Subject) string { return u.Zone }},
		{"instance_types", s.InstanceTypes, func(u Subject) string { return u.InstanceType }},
		{"chips", s.Chips, func(u Subject) string { return u.Chip }},
		{"chipmakers", s.Chipmakers, func(u Subject) string { return u.Chipmaker }},
		{"accounts", s.Accounts, func(u Subject) string { return u.Account }},
		{"services", s.Services, func(u Subject) string { return u.Service }},
		{"platforms", s.Platforms, func(u Subject) string { return u.Platform }},
		{"tenancies", s.Tenancies, func(u Subject) string { return u.Tenancy }},
		{"options", s.Options, func(u Subject) string { return u.Option }},
		{"classes", s.Classes, func(u Subject) string { return u.Class }},
		{"projects", s.Projects, func(u Subject) string { return u.Project }},
		{"units", s.Units, func(u Subject) string { return u.Unit }},
	}
}

func matchAny(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if strings.EqualFold(pattern, name) {
			return true
		}
		if matched, err := path.Match(strings.ToLower(pattern), strings.ToLower(name)); err == nil && matched {
			return true
		}
	}
	return false
}

func namesOverlap(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	for _, x := range a {
		for _, y := range b {
			if patternsOverlap(strings.ToLower(x), strings.ToLower(y)) {
				return true
			}
		}
	}
	return false
}

func patternsOverlap(x, y string) bool {
	xWild, yWild := strings.ContainsAny(x, "*?["), strings.ContainsAny(y, "*?[")
	switch {
	case !xWild && !yWild:
		return x == y
	case xWild && !yWild:
		return matchAny([]string{x}, y)
	case !xWild:
		return matchAny([]string{y}, x)
	}
	px, py := x[:strings.IndexAny(x, "*?[")], y[:strings.IndexAny(y, "*?[")]
	return strings.HasPrefix(px, py) || strings.HasPrefix(py, px)
}
