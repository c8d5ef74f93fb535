package billing

import "encoding/binary"

// steady remembers what hours of one Settle came to, since most hours are like
// the one before: the same usage under the same clauses. Their results are
// shared and never modified. Fees that do not divide into whole micro-units
// differ from hour to hour by one of them, so results are kept by their fees.
type steady struct {
	epoch      *epoch
	quantities []num
	capacities []num
	results    map[string]hourResult
}

// bill is billHour, or what it came to in an hour just like this one.
func (s *steady) bill(b *Book, hour int64, state *hourState) hourResult {
	capacities, fees, plain := s.inputs(b, hour)
	if !plain || len(state.pieces) > 0 {
		return b.billHour(hour, state)
	}
	if epoch := b.epochAt(hour); epoch != s.epoch || !sameNumbers(s.quantities, state.quantities) || !sameNumbers(s.capacities, capacities) {
		*s = steady{epoch, state.quantities, capacities, map[string]hourResult{}}
	}
	result, known := s.results[string(fees)]
	if !known {
		result = b.billHour(hour, state)
		s.results[string(fees)] = result
	}
	return result
}

// inputs is all that billHour reads of the hour beside usage and epoch: what
// each clause has to give, and what each cohort charges. plain is false where a
// clause is in force for a part of the hour.
func (s *steady) inputs(b *Book, hour int64) (capacities []num, fees []byte, plain bool) {
	for _, c := range b.clauses {
		switch {
		case !c.active(hour):
			capacities = append(capacities, num{})
		case c.from > hour || c.to < hour+hourSeconds:
			return nil, nil, false
		default:
			capacities = append(capacities, c.capacity(hour), whole(1))
		}
	}
	for _, cohorts := range b.cohorts {
		for _, cohort := range cohorts {
			due := b.feesAt(cohort, hour)
			for _, micros := range []int64{due.billed, due.recurring, due.spread} {
				fees = binary.AppendVarint(fees, micros)
			}
		}
	}
	return capacities, fees, true
}

func sameNumbers(x, y []num) bool {
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] && (x[i].big == nil && y[i].big == nil || x[i].cmp(y[i]) != 0) {
			return false
		}
	}
	return true
}
