package billing

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// An hour that was taken to be like another comes to what it comes to by itself.
func TestHoursAlikeAreBilledAlike(t *testing.T) {
	shared, alone := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		book := booked(t, drawPortfolio(t, "x", "a"), drawUsage(t, []string{"a", "b"}, 8))
		book.SettleToEnd(ignore)
		seen := map[*entry]bool{}
		for hour, state := range book.hours {
			if len(state.result.entries) > 0 {
				if first := &state.result.entries[0]; seen[first] {
					shared++
				} else {
					seen[first] = true
					alone++
				}
			}
			if again := book.billHour(hour, state); !reflect.DeepEqual(again.entries, state.result.entries) || !reflect.DeepEqual(again.usage, state.result.usage) ||
				!reflect.DeepEqual(again.fees, state.result.fees) || !reflect.DeepEqual(again.residues, state.result.residues) {
				t.Fatalf("hour %s:\n%+v\nby itself:\n%+v", unixTime(hour), state.result, again)
			}
		}
	})
	if shared < alone {
		t.Errorf("of %d hours with charges only %d were like another", shared+alone, shared)
	}
}
