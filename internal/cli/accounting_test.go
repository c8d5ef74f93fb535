package cli

import (
	"bytes"
	"testing"
	"time"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
)

// What matches is counted; of the rest the table says where, how much, and for
// how much money, each currency apart.
func TestSiteListing(t *testing.T) {
	use := func(verdict, key string, booked, used, apart, stake v1.Decimal, currency string, jobs ...string) v1.SiteUse {
		return v1.SiteUse{
			Verdict: verdict, Key: key, Jobs: jobs, Booked: booked, Used: used, Apart: apart, AtStake: &v1.Money{Amount: stake, Currency: currency},
		}
	}
	unknown := use("extra", "who-1", "0.000", "8.000", "8.000", "0", "USD", "9")
	unknown.AtStake = nil
	found := v1.SiteReconciliation{Site: "lab", Since: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Attempts: []v1.SiteUse{
		use("matched", "a-1", "100.000", "100.000", "0.000", "0.000000", "USD", "1"),
		use("different", "b-1", "86400.000", "90000.000", "3600.000", "14.200000", "USD", "2", "3"),
		use("different", "b-2", "3600.000", "0.500", "-3599.500", "-14.200000", "USD", "4"),
		use("missing", "c-1", "7200.000", "0.000", "-7200.000", "-28.400000", "USD"),
		use("missing", "d-1", "3600.000", "0.000", "-3600.000", "-10.000000", "EUR"), unknown,
	}}
	var out bytes.Buffer
	a := &app{stdout: &out, output: "table"}
	if err := a.print(siteListing(found)); err != nil {
		t.Fatal(err)
	}
	want := `VERDICT    ATTEMPT  JOBS    LEDGER      SITE     APART    AT STAKE
different  b-1      2 3   86,400 s  90,000 s   3,600 s      $14.20
different  b-2      4      3,600 s       0 s  -3,599 s     -$14.20
missing    c-1      -      7,200 s       0 s  -7,200 s     -$28.40
missing    d-1      -      3,600 s       0 s  -3,600 s  -10.00 EUR
extra      who-1    9          0 s       8 s       8 s           -

lab since 2026-11-01: matched 1 · missing 2 ($28.40, 10.00 EUR) · extra 1 (1 without a rate) · different 2 ($28.40)
Times are node-seconds. What one was: yard runs RUN; what is booked of it: yard ledger RUN
`
	if out.String() != want {
		t.Errorf("shown:\n%swant:\n%s", out.String(), want)
	}
	out.Reset()
	found.Attempts = found.Attempts[:1]
	if err := a.print(siteListing(found)); err != nil || out.String() != "lab since 2026-11-01: matched 1\n" {
		t.Errorf("all that matches is shown as %q, %v", out.String(), err)
	}
}
