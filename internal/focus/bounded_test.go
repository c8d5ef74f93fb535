package focus

import (
	"io"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/billing"
)

// endless repeats a text, and tells how much of it was taken.
type endless struct {
	text  string
	taken int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, strings.Repeat(e.text, len(p)/len(e.text)+1))
	e.taken += n
	return n, nil
}

// A file that is one row, or a device, is refused before it fills the memory.
func TestEndlessRowsAreRefused(t *testing.T) {
	const usage, bill = "start,provider,quantity,list_rate\n", "BilledCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,ChargeCategory\n"
	read := map[string]func(io.Reader) error{
		"usage": func(r io.Reader) error {
			book, err := billing.NewBook(nil)
			if err != nil {
				return err
			}
			_, err = ReadUsage(r, "big.csv", book, UsageOptions{})
			return err
		},
		"bill":     func(r io.Reader) error { _, err := Read(r, "big.csv"); return err },
		"exchange": func(r io.Reader) error { _, err := ReadExchange(r, "big.csv"); return err },
	}
	for _, c := range []struct{ reader, head, text string }{
		{"usage", "", "\x00"}, {"usage", usage, "x"}, {"usage", usage + "\"", "x\n"},
		{"bill", "", "\x00"}, {"bill", bill, "x"}, {"bill", bill + "\"", "x\n"}, {"exchange", "", "a,b\n"},
	} {
		source := &endless{text: c.text}
		err := read[c.reader](io.MultiReader(strings.NewReader(c.head), source))
		if err == nil || !strings.Contains(err.Error(), "big.csv") || !strings.Contains(err.Error(), "longer than") && c.reader != "exchange" {
			t.Errorf("%s of %q and %q without end: %v", c.reader, c.head, c.text, err)
		}
		if source.taken > longestTable+1<<20 {
			t.Errorf("%s of %q: %d bytes were taken", c.reader, c.text, source.taken)
		}
	}
}

// The bound is on a row, not on the file.
func TestManyRowsAreNoLongRow(t *testing.T) {
	source := newRows(io.LimitReader(&endless{text: "0123456789,abcdef\n"}, 3*longestRow))
	for n := 0; ; n++ {
		if _, err := source.Read(); err == io.EOF {
			if n < longestRow/8 {
				t.Errorf("only %d rows", n)
			}
			return
		} else if err != nil && n < longestRow/8 {
			t.Fatal(n, err)
		}
	}
}
