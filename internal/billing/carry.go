package billing

// Rounding. A charge is rounded within its hour, so that an hour can be
// restated alone. What rounding leaves over is booked when the day ends,
// rounded for the day alone, and what that leaves over when the month or the
// bill ends. So any bill is exact to half a micro-unit per clause, category and
// cell, however finely its usage was metered.

// residue is what rounding to the hour left over of a line of charges.
type residue struct {
	line      int // Book.residueLines
	net, list num
}

// rest is what is left over of a line so far.
type rest struct{ net, list num }

// residueKey is a line of charges: all of one clause, category and cell.
type residueKey struct {
	by, cell int
	category Category
}

// residueOf numbers a line of charges.
func (b *Book) residueOf(by int, category Category, c int) int {
	key := residueKey{by, c, category}
	if index, known := b.residueIndex[key]; known {
		return index
	}
	b.residueIndex[key] = len(b.residueLines)
	b.residueLines = append(b.residueLines, key)
	return len(b.residueLines) - 1
}

// carry adds the hour's residues to what is left over, and books whole
// micro-units at the end of a day, a month, and the bill.
func (v *hourView) carry(residues []residue, s *standing, last bool) {
	for len(s.day) < len(v.residueLines) {
		s.day, s.all = append(s.day, rest{}), append(s.all, rest{})
	}
	for _, r := range residues {
		s.day[r.line] = rest{s.day[r.line].net.add(r.net), s.day[r.line].list.add(r.list)}
	}
	end := v.hour + hourSeconds
	if mod(end, daySeconds) != 0 && !last {
		return
	}
	for i, left := range s.day {
		if left.net.sign() != 0 || left.list.sign() != 0 {
			s.all[i] = v.correct(i, left, s.all[i])
			s.day[i] = rest{}
		}
	}
	if unixTime(end).Day() != 1 && !last {
		return
	}
	for i, left := range s.all {
		if left.net.sign() != 0 || left.list.sign() != 0 {
			s.all[i] = v.correct(i, left, rest{})
		}
	}
}

// correct books the whole micro-units of a rest and returns what is left with
// what was left before.
func (v *hourView) correct(line int, left, before rest) rest {
	net, list := left.net.micros(), left.list.micros()
	if net != 0 || list != 0 {
		key := v.residueLines[line]
		v.entries = append(v.entries, entry{int32(key.by), int32(key.cell), key.category, num{}, list, net, net})
		use := v.useOf(key.cell)
		use.net += net
		use.list += list
	}
	return rest{before.net.add(left.net.sub(ofMicros(net))), before.list.add(left.list.sub(ofMicros(list)))}
}

// useOf finds or adds the hour's use of a cell.
func (v *hourView) useOf(cell int) *cellUse {
	for i := range v.usage {
		if v.usage[i].cell == cell {
			return &v.usage[i]
		}
	}
	v.usage = append(v.usage, cellUse{cell: cell})
	return &v.usage[len(v.usage)-1]
}
