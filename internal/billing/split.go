package billing

// SplitCharges emits the charges that hold now, each divided among the lines of
// usage that it is about, in proportion to their quantity and by largest
// remainder: the parts sum to the charge. Charges about no usage come with an
// empty line.
func (b *Book) SplitCharges(emit func(Charge, Line)) {
	for hour := b.from; hour < b.to; hour += hourSeconds {
		state := b.hourAt(hour)
		if state == nil {
			continue // a day that did not come back: see Err
		}
		byCell := map[int32][]int{}
		for line, quantity := range state.quantities {
			if quantity.sign() > 0 {
				cell := int32(b.lineCells[line])
				byCell[cell] = append(byCell[cell], line)
			}
		}
		for _, entries := range [][]entry{state.result.entries, state.gathered} {
			for _, e := range entries {
				b.split(e, hour, byCell[e.cell], state, emit)
			}
		}
		if mod(hour+hourSeconds, daySeconds) == 0 {
			b.Release(unixTime(floorDay(hour)))
		}
	}
}

func (b *Book) split(e entry, hour int64, on []int, state *hourState, emit func(Charge, Line)) {
	if e.cell < 0 || len(on) == 0 {
		emit(b.chargeOf(e, hour), Line{})
		return
	}
	if len(on) == 1 {
		emit(b.chargeOf(e, hour), b.lineList[on[0]])
		return
	}
	weights := make([]num, len(on))
	var sum num
	for i, line := range on {
		weights[i] = state.quantities[line]
		sum = sum.add(weights[i])
	}
	list, billed, effective := share(e.list, weights), share(e.billed, weights), share(e.effective, weights)
	for i, line := range on {
		part := e
		part.quantity, part.list, part.billed, part.effective = e.quantity.mul(weights[i]).div(sum), list[i], billed[i], effective[i]
		if part.quantity.sign() != 0 || part.list != 0 || part.billed != 0 || part.effective != 0 {
			emit(b.chargeOf(part, hour), b.lineList[line])
		}
	}
}
