package measured

import (
	"regexp"
	"strings"
)

var editions = regexp.MustCompile(`(?i)(\(.*\)|,? git [0-9-]+|v?\d+\.\d+(\.\d+)?( container)?|synapseai.*|/v\de?-\d+$|@.*)`)

// Series names the publication of a row without edition, date and size, so that
// editions of one table leave together when a source is left out.
func Series(source string) string {
	return strings.Trim(editions.ReplaceAllString(source, ""), " ,/")
}
