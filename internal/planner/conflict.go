package planner

import (
	"slices"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/lp"
)

// gatherWords says constraints, those that differ in their period and future alone
// in one line: "cash in 2027-01 to 2027-05 (few, many)".
func (m *model) gatherWords(rows []lp.Row) []string {
	type place struct {
		base   string
		future int
	}
	var places []place
	periods := map[place][]int{}
	for _, row := range rows {
		info := m.info[row]
		at := place{info.base, info.future}
		if info.base == "" {
			at = place{info.words, -1}
		}
		if _, known := periods[at]; !known {
			places = append(places, at)
		}
		periods[at] = append(periods[at], info.period)
	}
	type line struct{ base, when string }
	var lines []line
	futures := map[line][]string{}
	for _, at := range places {
		one := line{at.base, m.whenWords(periods[at])}
		if _, known := futures[one]; !known {
			lines = append(lines, one)
		}
		if futures[one] = append(futures[one], ""); at.future >= 0 && len(m.futures) > 1 {
			futures[one][len(futures[one])-1] = m.futures[at.future].name
		}
	}
	var words []string
	for _, one := range lines {
		text := one.base + one.when
		if names := strings.Join(futures[one], ", "); strings.Trim(names, ", ") != "" {
			text += " (" + names + ")"
		}
		words = append(words, text)
	}
	return words
}

// whenWords names periods, those that follow each other as a span.
func (m *model) whenWords(periods []int) string {
	slices.Sort(periods)
	periods = slices.Compact(periods)
	var spans []string
	for i := 0; i < len(periods); {
		last := i
		for last+1 < len(periods) && periods[last+1] == periods[last]+1 {
			last++
		}
		if periods[i] >= 0 {
			span := m.Periods[periods[i]].Label()
			if last > i {
				span += " to " + m.Periods[periods[last]].Label()
			}
			spans = append(spans, span)
		}
		i = last + 1
	}
	if len(spans) == 0 {
		return ""
	}
	return " in " + strings.Join(spans, ", ")
}
