package billing

import (
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
)

// Whatever a contract file says, billing under it does not panic and loses no
// usage: what is metered is on the bill.
func FuzzBill(f *testing.F) {
	for _, document := range strings.Split(portfolio, "---\n") {
		f.Add(strings.NewReplacer("%[1]s", "c", "%[2]s", "2", "%[3]s", "a", "%%", "%").Replace(document))
	}
	f.Add("kind: Contract\nname: m\ncounterparty: M\nterm: {from: 2026-01-01, to: 2026-01-03}\nclauses:\n  - macc: {amount: 9, milestones: [{by: 2026-01-02, amount: 5}], credit_expires: 1d}\n  - ramp: {price: 2, schedule: [{from: 2026-01-01, quantity: 3}]}\n  - termination_fee: {percent: 50%, on: 2026-01-02}\n")
	f.Fuzz(func(t *testing.T, text string) {
		contracts, err := contract.Parse("f.yaml", []byte(text))
		if err != nil {
			return
		}
		book, err := NewBook(contracts)
		if err != nil {
			return
		}
		line := Line{Subject: contract.Subject{Provider: "aws", InstanceType: "m5.large"}, ListRate: "0.5"}
		index, err := book.Line(line)
		if err != nil {
			t.Fatal(err)
		}
		if err := book.Add(index, epochStart, epochStart.Add(30*time.Hour), Quantity{whole(30)}); err != nil {
			t.Fatal(err)
		}
		var metered num
		book.Settle(epochStart, epochStart.AddDate(0, 0, 3), func(c Charge) {
			if (c.Category == Used || c.Category == Covered) && c.Product.InstanceType == "m5.large" {
				metered = metered.add(c.Quantity.num)
			}
		})
		if metered.cmp(whole(30)) != 0 {
			t.Errorf("%s of 30 instance-hours are on the bill", Quantity{metered})
		}
		if _, err := book.Marginal(line, epochStart, Quantity{whole(1)}); err != nil {
			t.Error(err)
		}
	})
}
