package focus

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/units"
)

func readFile(t *testing.T, name string) *Import {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Read(bytes.NewReader(data), name)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What we write, we read without a flaw and with the same sums.
func TestReadTakesWhatWeWrite(t *testing.T) {
	rows, billed, _ := sampleRows(t)
	var out bytes.Buffer
	w, err := NewCSV(&out, Version12)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := Read(&out, "ours.csv")
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, r := range found.Rows {
		sum += r.BilledCost.Micros
	}
	if len(found.Rows) != len(rows) || found.Left != 0 || len(found.Flaws) != 0 || sum != billed {
		t.Errorf("%d of %d rows, %d of %d micro-dollars, flaws %v", len(found.Rows), len(rows), sum, billed, found.Flaws)
	}
}

// A bill with the flaws of real ones: each is reported with its row, and every
// row that can be read is.
func TestReadReportsFlawsAndImportsTheRest(t *testing.T) {
	found := readFile(t, "testdata/flawed.csv")
	if len(found.Rows) != 5 || found.Left != 3 {
		t.Errorf("%d rows read and %d left out, want 5 and 3", len(found.Rows), found.Left)
	}
	want := []string{
		"testdata/flawed.csv:1:1: PublisherName: the column is mandatory and missing",
		`testdata/flawed.csv:3:62: ChargePeriodStart: found "2024-09-01T30:00:00Z"; a time in UTC is needed`,
		`testdata/flawed.csv:4:1: BilledCost: found "n/a"; a decimal number is needed`,
		"testdata/flawed.csv:5:1: ContractedCost: found 3; unit price × quantity is 2",
		`testdata/flawed.csv:6:1: ChargeCategory: unknown value "Usge"; did you mean Usage?`,
		"testdata/flawed.csv:7:103: ServiceName: the field is null",
		"testdata/flawed.csv:8:1: wrong number of fields",
		"testdata/flawed.csv:9:1: ChargePeriodEnd: the charge ends at 2024-09-01T00:00:00Z, not after its start",
	}
	for i, flaw := range want {
		if i >= len(found.Flaws) || !strings.HasPrefix(found.Flaws[i].Error(), flaw) {
			t.Fatalf("flaw %d: got %v\nwant %s", i+1, found.Flaws, flaw)
		}
	}
	if len(found.Flaws) != len(want) {
		t.Errorf("more flaws: %v", found.Flaws[len(want):])
	}
}

func TestReconcile(t *testing.T) {
	const header = "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingAccountId,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ProviderName,PublisherName,InvoiceIssuerName,ServiceCategory,ServiceName,ResourceId,PricingQuantity,Tags\n"
	row := func(cost, day, resource, quantity string) string {
		return cost + "," + cost + "," + cost + "," + cost + ",a,USD,2026-03-01,2026-04-01," + day + "T00:00:00Z," + day + "T01:00:00Z,Usage,AWS,AWS,AWS,Compute,EC2," + resource + "," + quantity + ",\"{\"\"run\"\":\"\"" + resource + "\"\"}\"\n"
	}
	read := func(text string) []Row {
		found, err := Read(strings.NewReader(header+text), "r.csv")
		if err != nil || len(found.Flaws) != 0 {
			t.Fatal(err, found)
		}
		return found.Rows
	}
	ours := read(row("10", "2026-03-01", "same", "1") + row("5", "2026-03-01", "dear", "1") + row("4", "2026-03-02", "more", "1") + row("7", "2026-03-02", "gone", "1"))
	theirs := read(row("6", "2026-03-01", "same", "0.6") + row("4.005", "2026-03-01", "same", "0.4") + row("9", "2026-03-01", "dear", "1") + row("12", "2026-03-02", "more", "3") + row("2", "2026-03-03", "new", "1"))
	for _, by := range []string{"resource", "tag:run"} {
		findings, err := Reconcile(ours, theirs, by, units.Amount{Micros: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range findings {
			got = append(got, string(f.Verdict)+" "+f.What+" "+f.Stake.Decimal())
		}
		want := "quantity more 8.000000, missing gone -7.000000, price dear 4.000000, extra new 2.000000, matched same 0.005000"
		if strings.Join(got, ", ") != want {
			t.Errorf("by %s: %s\nwant %s", by, strings.Join(got, ", "), want)
		}
	}
	if _, err := Reconcile(nil, nil, "colour", units.Amount{}); err == nil {
		t.Error("an unknown way to match was taken")
	}
}

func FuzzRead(f *testing.F) {
	data, err := os.ReadFile("testdata/flawed.csv")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(data))
	f.Add("BilledCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,ChargeCategory\n1e20,USD,2024-01-01,2024-01-02,Usage\n")
	f.Fuzz(func(t *testing.T, text string) {
		found, err := Read(strings.NewReader(text), "f.csv")
		if err == nil {
			if _, err := Reconcile(found.Rows, found.Rows, "service", units.Amount{}); err != nil {
				t.Skip(err)
			}
		}
	})
}
