package highs

import (
	"math"
	"strconv"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/lp"
)

// logReader reads what HiGHS prints: the table of its search, of which it
// reports each line, and complaints, of which it keeps the last.
type logReader struct {
	report    func(lp.Progress) // or nil
	line      []byte
	last      lp.Progress
	complaint string
}

func (l *logReader) read(text []byte) {
	for _, b := range text {
		if b != '\n' {
			l.line = append(l.line, b)
			continue
		}
		line := string(l.line)
		l.line = l.line[:0]
		if strings.HasPrefix(line, "ERROR") || strings.HasPrefix(line, "WARNING") {
			l.complaint = strings.Join(strings.Fields(line), " ")
			continue
		}
		if p, ok := parseProgress(line); ok {
			if l.last = p; l.report != nil {
				l.report(p)
			}
		}
	}
}

// parseProgress reads a line such as
//
//	T      12       3         2  41.67%   1204.5   1300.1   7.35%   10 5 3   220  0.4s
//
// whose fields are, after an optional letter: nodes processed and left, leaves,
// share explored, best bound, best solution, gap, ….
func parseProgress(line string) (lp.Progress, bool) {
	fields := strings.Fields(line)
	if len(fields) > 0 && len(fields[0]) == 1 && fields[0][0] >= 'A' && fields[0][0] <= 'Z' {
		fields = fields[1:]
	}
	if len(fields) < 8 || !strings.HasSuffix(fields[3], "%") || !strings.HasSuffix(fields[len(fields)-1], "s") {
		return lp.Progress{}, false
	}
	bound, err1 := number(fields[4])
	incumbent, err2 := number(fields[5])
	if err1 != nil || err2 != nil {
		return lp.Progress{}, false
	}
	gap := math.Inf(1)
	if percent, err := number(strings.TrimSuffix(fields[6], "%")); err == nil {
		gap = percent / 100
	}
	return lp.Progress{Incumbent: incumbent, Bound: bound, Gap: gap}, true
}

func number(text string) (float64, error) {
	switch text {
	case "inf", "Large":
		return math.Inf(1), nil
	case "-inf":
		return math.Inf(-1), nil
	}
	return strconv.ParseFloat(text, 64)
}
