package focus

import (
	"bytes"
	"encoding/csv"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/switchyard-ai/switchyard/internal/billing"
)

const sampleContract = `kind: Contract
name: aws
counterparty: Amazon
term: {from: 2026-01-01, to: 2026-02-01}
scope: {providers: [aws]}
clauses:
  - {name: plan, savings_plan: {type: compute, hourly: 10, discount: 30%, payment: partial}}
  - {name: odcr, capacity_reservation: {instance_type: p5.48xlarge, count: 3, rate: 55.04}}
  - {name: rate, discount: {rates: [{instance_types: [m5.large], rate: 0.09}]}}
  - {name: credit, prepayment: {amount: 5}}
  - {name: edp, enterprise_agreement: {commitment: 500000, discount: 5%}}
  - {name: chips, chip_covenant: {chips: [Trainium2], share: 10%, tranche: 100}}
`

const sampleUsage = `start,provider,region,account,project,service,instance_type,chip,chips,resource,unit,quantity,list_rate
2026-01-10T05:00:00Z,aws,us-east-1,1,gpt,ec2,p5.48xlarge,H100,8,i-1,hour,1,55.04
2026-01-10T05:00:00Z,aws,us-east-1,2,gpt,ec2,p5.48xlarge,H100,8,i-2,hour,1,55.04
2026-01-10T05:00:00Z,aws,us-east-1,2,web,ec2,m5.large,,,i-3,hour,0.7,0.096
2026-01-11T05:00:00Z,aws,us-east-1,2,web,ec2,m5.large,,,i-3,hour,100.3,0.096
`

// sampleRows bills the sample and returns its rows and the charges' sums.
func sampleRows(t *testing.T) (rows []Row, billed, effective int64) {
	t.Helper()
	book := newBook(t, sampleContract)
	if _, err := ReadUsage(strings.NewReader(sampleUsage), "u.csv", book, UsageOptions{Resources: true}); err != nil {
		t.Fatal(err)
	}
	book.SettleToEnd(func(c billing.Charge) {
		if c.Category.Invoiced() {
			billed += c.Billed
			effective += c.Effective
		}
	})
	book.SplitCharges(func(c billing.Charge, line billing.Line) {
		rows = append(rows, FromCharge(c, line, book.Currency(), Account{"acc", "Account"}))
	})
	return rows, billed, effective
}

// The rules that the public validator skips, and ours: rows sum to the charges;
// a purchase's billed cost takes effect over its term; costs are quantity
// times unit price; a credit's or an unused row's identity is complete.
func TestRowsKeepTheDynamicRules(t *testing.T) {
	rows, billed, effective := sampleRows(t)
	sums := map[string]*[2]int64{}
	for _, r := range rows {
		billed -= r.BilledCost.Micros
		effective -= r.EffectiveCost.Micros
		if r.CommitmentID != "" {
			if sums[r.CommitmentID] == nil {
				sums[r.CommitmentID] = &[2]int64{}
			}
			sums[r.CommitmentID][0] += r.BilledCost.Micros
			sums[r.CommitmentID][1] += r.EffectiveCost.Micros
		}
		if r.ContractedUnitPrice != nil && r.PricingQuantity != nil && r.PricingQuantity.Sign() != 0 {
			product := new(big.Rat).Mul(r.ContractedUnitPrice, r.PricingQuantity)
			off := product.Sub(product, r.ContractedCost.Rat())
			if off.Abs(off).Cmp(big.NewRat(1, 1_000_000)) > 0 {
				t.Errorf("%s: contracted cost %s is not %s × %s", r.ChargeDescription, r.ContractedCost, r.ContractedUnitPrice, r.PricingQuantity)
			}
		}
		if r.ChargeCategory == "Purchase" && r.EffectiveCost.Micros != 0 {
			t.Errorf("%s: a purchase has an effective cost", r.ChargeDescription)
		}
		if r.CommitmentStatus == "Unused" && (r.ResourceID != r.CommitmentID || r.ConsumedQuantity != nil || r.BilledCost.Micros != 0) {
			t.Errorf("%s: an unused row is not as FOCUS wants it", r.ChargeDescription)
		}
		if r.Charge == "withheld" && (r.Withheld == nil || r.BilledCost.Micros != 0) {
			t.Errorf("a tranche withheld is not in its own column")
		}
	}
	if billed != 0 || effective != 0 {
		t.Errorf("the rows leave %d billed and %d effective out", billed, effective)
	}
	for id, sum := range sums {
		if sum[0] != sum[1] {
			t.Errorf("%s: billed %d, effective %d", id, sum[0], sum[1])
		}
	}
	if len(sums) != 1 {
		t.Errorf("commitments %v", sums)
	}
}

// Both forms hold the same values.
func TestCSVAndParquetAgree(t *testing.T) {
	rows, billed, _ := sampleRows(t)
	var asCSV, asParquet bytes.Buffer
	for _, version := range []string{Version12, Version13} {
		asCSV.Reset()
		asParquet.Reset()
		text, err := NewCSV(&asCSV, version)
		if err != nil {
			t.Fatal(err)
		}
		binary, err := NewParquet(&asParquet, version)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if err := text.Write(r); err != nil {
				t.Fatal(err)
			}
			if err := binary.Write(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := text.Close(); err != nil {
			t.Fatal(err)
		}
		if err := binary.Close(); err != nil {
			t.Fatal(err)
		}
		compareForms(t, asCSV.Bytes(), asParquet.Bytes(), len(rows), billed)
	}
}

func compareForms(t *testing.T, asCSV, asParquet []byte, rows int, billed int64) {
	t.Helper()
	records, err := csv.NewReader(bytes.NewReader(asCSV)).ReadAll()
	if err != nil || len(records) != rows+1 {
		t.Fatalf("%d CSV rows for %d, %v", len(records)-1, rows, err)
	}
	at := map[string]int{}
	for i, name := range records[0] {
		at[name] = i
	}
	file, err := parquet.OpenFile(bytes.NewReader(asParquet), int64(len(asParquet)))
	if err != nil || file.NumRows() != int64(rows) {
		t.Fatal(err, file.NumRows())
	}
	names := file.Schema().Columns()
	reader := parquet.NewReader(file)
	sum := int64(0)
	for n := 1; ; n++ {
		got := make([]parquet.Row, 1)
		count, err := reader.ReadRows(got)
		if count == 0 {
			if err != io.EOF {
				t.Fatal(err)
			}
			break
		}
		for i, value := range got[0] {
			name := names[i][0]
			want := records[n][at[name]]
			switch {
			case value.IsNull():
				if want != "" {
					t.Fatalf("row %d: %s is null, and %q in CSV", n, name, want)
				}
			case name == "BilledCost":
				sum += value.Int64()
			case name == "ChargePeriodStart":
				if text := time.UnixMicro(value.Int64()).UTC().Format(time.RFC3339); text != want {
					t.Fatalf("row %d: %s is %s, and %s in CSV", n, name, text, want)
				}
			case name == "PricingQuantity":
				scaled := new(big.Int).SetBytes(value.ByteArray())
				number := new(big.Rat).SetFrac(scaled, new(big.Int).Exp(big.NewInt(10), big.NewInt(numberScale), nil))
				if text := withPoint(number.FloatString(numberScale)); text != want {
					t.Fatalf("row %d: %s is %s, and %s in CSV", n, name, text, want)
				}
			case name == "ChargeDescription" && string(value.ByteArray()) != want:
				t.Fatalf("row %d: %s is %q, and %q in CSV", n, name, value.ByteArray(), want)
			}
		}
	}
	if sum != billed {
		t.Fatalf("parquet bills %d, not %d", sum, billed)
	}
}
