package billing

import (
	"slices"
	"strconv"
	"strings"
)

// segments divides usage within one hour at the times at which clauses begin
// or end: what lies before or after them is no usage of theirs, though the hour
// is. Such parts are metered on lines of their own, so that clauses which price
// an hour as a whole see only what is theirs.
func (b *Book) segments(line int, from, to int64, quantity num) ([]piece, error) {
	hour := floorHour(from)
	cuts := b.cuts[hour]
	if len(cuts) == 0 {
		return []piece{{line, from, to, quantity}}, nil
	}
	ends := append(slices.Clone(cuts), to)
	slices.Sort(ends)
	var parts []piece
	start := from
	for _, end := range ends {
		if end = min(end, to); end <= start {
			continue
		}
		at, err := b.lineIn(line, hour, start, end)
		if err != nil {
			return nil, err
		}
		parts = append(parts, piece{at, start, end, quantity.mul(lowest(end-start, to-from))})
		start = end
	}
	return parts, nil
}

// lineIn is the line as it is used in a part of an hour in which no clause
// begins or ends.
func (b *Book) lineIn(line int, hour, from, to int64) (int, error) {
	var outside []byte
	for i, c := range b.clauses {
		if c.active(hour) && (c.from >= to || c.to <= from) {
			outside = append(strconv.AppendInt(outside, int64(i), 10), ',')
		}
	}
	if len(outside) == 0 {
		return line, nil
	}
	part := b.lineList[line]
	part.outside = string(outside)
	return b.Line(part)
}

// isOutside reports whether the line's usage lies outside the life of a clause.
func (l Line) isOutside(clause int) bool {
	return l.outside != "" && slices.Contains(strings.Split(l.outside, ","), strconv.Itoa(clause))
}
