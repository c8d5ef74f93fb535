package spec

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// Nearest returns the valid name closest to the given one, ignoring case, or
// "" where none is close enough to be what was meant.
func Nearest(name string, valid []string) string {
	const longest = 80
	if len(name) > longest {
		return ""
	}
	best, bestDistance := "", len(name)/3+2
	for _, candidate := range valid {
		distance := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(candidate))
		if distance < bestDistance {
			best, bestDistance = candidate, distance
		}
	}
	return best
}

// DidYouMean returns the end of a sentence about an unknown name: the nearest
// valid one, or the list where it is short, or "".
func DidYouMean(name string, valid []string) string {
	const listed = 24
	if near := Nearest(name, valid); near != "" {
		return "; did you mean " + near + "?"
	}
	if len(valid) > 0 && len(valid) <= listed {
		return "; valid: " + strings.Join(valid, ", ")
	}
	return ""
}
