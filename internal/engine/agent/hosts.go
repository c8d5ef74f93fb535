package agent

import (
	"fmt"
	"strconv"
	"strings"
)

// mostHosts bounds what a list may name: no cluster has as many nodes.
const mostHosts = 1 << 17

// ExpandHosts names the hosts of a list as Slurm writes it, in its order:
// "a[01-03,7],b" is a01, a02, a03, a7 and b. A name may have several ranges.
func ExpandHosts(list string) ([]string, error) {
	var hosts []string
	for _, part := range splitOutside(list) {
		expanded, err := expandRanges(part)
		if err != nil {
			return nil, fmt.Errorf("host list %q: %w", list, err)
		}
		if hosts = append(hosts, expanded...); len(hosts) > mostHosts {
			return nil, fmt.Errorf("host list names more than %d hosts", mostHosts)
		}
	}
	return hosts, nil
}

// splitOutside splits at the commas that are not within brackets.
func splitOutside(list string) []string {
	var parts []string
	depth, begin := 0, 0
	for i, c := range list {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == ',' && depth == 0:
			parts = append(parts, list[begin:i])
			begin = i + 1
		}
	}
	return append(parts, list[begin:])
}

func expandRanges(name string) ([]string, error) {
	head, rest, found := strings.Cut(name, "[")
	if !found {
		if name == "" || strings.Contains(name, "]") {
			return nil, fmt.Errorf("%q is no name", name)
		}
		return []string{name}, nil
	}
	ranges, tail, found := strings.Cut(rest, "]")
	if !found {
		return nil, fmt.Errorf("%q lacks a ]", name)
	}
	tails := []string{""}
	if tail != "" {
		var err error
		if tails, err = expandRanges(tail); err != nil {
			return nil, err
		}
	}
	var hosts []string
	for _, r := range strings.Split(ranges, ",") {
		numbers, err := expandRange(r)
		if err != nil {
			return nil, err
		}
		if len(hosts)+len(numbers)*len(tails) > mostHosts {
			return nil, fmt.Errorf("%q names more than %d hosts", name, mostHosts)
		}
		for _, n := range numbers {
			for _, t := range tails {
				hosts = append(hosts, head+n+t)
			}
		}
	}
	return hosts, nil
}

// expandRange gives the numbers of "7" or "01-03", as wide as the first is written.
func expandRange(r string) ([]string, error) {
	low, high, isRange := strings.Cut(r, "-")
	if !isRange {
		high = low
	}
	from, err := strconv.ParseUint(low, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%q is no number", low)
	}
	to, err := strconv.ParseUint(high, 10, 32)
	if err != nil || to < from || to-from >= mostHosts {
		return nil, fmt.Errorf("%q is no range of numbers", r)
	}
	var numbers []string
	for n := from; n <= to; n++ {
		numbers = append(numbers, fmt.Sprintf("%0*d", len(low), n))
	}
	return numbers, nil
}
