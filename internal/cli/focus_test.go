package cli

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// focusOut keeps the exports for the public validator: make focus-validate.
var focusOut = flag.String("focus.out", "", "write the FOCUS exports of TestFocusExports to this directory")

// TestFocusExports writes every scenario and a ledger under contracts as FOCUS,
// in both forms, and holds the CSV to the rules that the public validator skips
// or reads otherwise than they are written.
func TestFocusExports(t *testing.T) {
	files, err := filepath.Glob("testdata/bills/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		file, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			if args := scenario(t, file); args[0] == "bill" {
				exported(t, append(args, "--format", "focus"))
			}
		})
	}
	t.Run("ledger", func(t *testing.T) {
		ledgerUnderContracts(t)
		exported(t, []string{"ledger", "export", "--format", "focus"})
	})
}

// exported runs a command for both forms and checks the CSV.
func exported(t *testing.T, args []string) {
	for _, form := range []string{"csv", "parquet"} {
		if form == "parquet" && testing.Short() {
			continue // TestCSVAndParquetAgree is for both
		}
		var out, errs bytes.Buffer
		if code := Execute(context.Background(), append(args, "-o", form), strings.NewReader(""), &out, &errs); code != 0 {
			if strings.Contains(errs.String(), "invalid") || len(args) > 0 && args[0] == "bill" {
				t.Skip("the scenario is of a fault: ", errs.String())
			}
			t.Fatal(errs.String())
		}
		if form == "csv" {
			checkFocus(t, out.Bytes())
		}
		if *focusOut != "" {
			name := strings.ReplaceAll(strings.TrimPrefix(t.Name(), "TestFocusExports/"), "/", "-") + "." + form
			if err := os.WriteFile(filepath.Join(*focusOut, name), out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// ledgerUnderContracts makes a state directory whose ledger was billed, and
// restated in the month after.
func ledgerUnderContracts(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("YARD_STATE_DIR", dir)
	t.Setenv("XDG_STATE_HOME", dir)
	from := time.Date(2026, 3, 4, 8, 20, 0, 0, time.UTC)
	if err := meterUse(filepath.Join(dir, "state.db"), useOf("gpt-1111", 4, "50", from, 2), "lab"); err != nil {
		t.Fatal(err)
	}
	terms := filepath.Join(dir, "plans.yaml")
	contract := "kind: Contract\nname: plans\ncounterparty: Amazon\nterm: {from: 2026-03-01, to: 2026-04-01}\nscope: {providers: [aws]}\nclauses:\n" +
		"  - {name: compute, savings_plan: {type: compute, hourly: 100, discount: 30%}}\n" +
		"  - {name: held, capacity_reservation: {instance_type: p5.48xlarge, count: 1, rate: 50}}\n" +
		"  - {name: agreement, enterprise_agreement: {commitment: 90000, discount: 5%}}\n"
	if err := os.WriteFile(terms, []byte(contract), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		var out, errs bytes.Buffer
		if code := Execute(context.Background(), args, strings.NewReader(""), &out, &errs); code != 0 {
			t.Fatal(args, errs.String())
		}
	}
	run("contracts", "add", terms)
	run("ledger")
	late := useOf("gpt-2222", 1, "50", from.AddDate(0, 0, 20), 3)
	if err := meterUse(filepath.Join(dir, "state.db"), late, "shop"); err != nil {
		t.Fatal(err)
	}
	imputed := useOf("gpt-3333", 1, "0.1", from, 1)
	imputed.Provider, imputed.Imputed = "local", true
	if err := meterUse(filepath.Join(dir, "state.db"), imputed, "shop"); err != nil {
		t.Fatal(err)
	}
}

func useOf(run string, nodes int, rate string, from time.Time, hours int) fleet.Attempt {
	end := from.Add(time.Duration(hours) * time.Hour)
	return fleet.Attempt{
		Run: run, Number: 1, Epoch: 1, Pool: "aws/p5", Site: "aws", Nodes: nodes, Ranks: nodes, Chips: 8 * nodes, State: fleet.AttemptSucceeded,
		Provider: "aws", Region: "us-east-1", InstanceType: "p5.48xlarge", Option: "on-demand", Chipmaker: "nvidia", Chip: "h100-sxm",
		Rate: units.MustRate(rate, units.USD), Created: from, Started: from, Ended: end, Metered: end,
	}
}

var (
	pascalCase   = regexp.MustCompile(`^(x_)?[A-Z][A-Za-z0-9]{0,49}$`)
	decimalValue = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
)

// checkFocus holds rows to rules of FOCUS 1.2, named as the validator names
// them, that it skips as dynamic; and to those that it reads wrongly
// (tools/focus/accepted.txt), as they are written.
func checkFocus(t *testing.T, data []byte) {
	t.Helper()
	records, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil || len(records) < 2 {
		t.Fatal("no rows", err)
	}
	own := false
	for _, name := range records[0] {
		if !pascalCase.MatchString(name) || own && !strings.HasPrefix(name, "x_") {
			t.Errorf("ColumnHandling-A-001, -003, -010, -013: column %s", name)
		}
		own = own || strings.HasPrefix(name, "x_")
	}
	unit := map[string]string{}
	for n, record := range records[1:] {
		row := map[string]string{}
		for i, value := range record {
			row[records[0][i]] = value
		}
		c := rowChecker{t: t, row: row, line: n + 2}
		c.money()
		c.commitment()
		c.names()
		if id := row["CommitmentDiscountId"]; id != "" && row["CommitmentDiscountUnit"] != "" {
			if known := unit[id]; known != "" && known != row["CommitmentDiscountUnit"] {
				c.fault("CommitmentDiscountUnit-C-008")
			}
			unit[id] = row["CommitmentDiscountUnit"]
		}
	}
}

type rowChecker struct {
	t    *testing.T
	row  map[string]string
	line int
}

func (c rowChecker) fault(rule string) {
	c.t.Errorf("line %d breaks %s: %v", c.line, rule, c.row)
}

func (c rowChecker) want(rule string, holds bool) {
	if !holds {
		c.fault(rule)
	}
}

// number reads a decimal; nil is null.
func (c rowChecker) number(name string) *big.Rat {
	text := c.row[name]
	if text == "" {
		return nil
	}
	if !decimalValue.MatchString(text) {
		c.fault(name + ": a valid decimal value")
	}
	r, _ := new(big.Rat).SetString(text)
	return r
}

// product checks that a unit price times the quantity is the cost, to a
// micro-unit for every decimal place that a quantity is written with.
func (c rowChecker) product(rule, price, cost string) {
	p, q, want := c.number(price), c.number("PricingQuantity"), c.number(cost)
	if p == nil || q == nil || want == nil || c.row["ChargeClass"] == "Correction" {
		return
	}
	off := new(big.Rat).Sub(new(big.Rat).Mul(p, q), want)
	c.want(rule, off.Abs(off).Cmp(big.NewRat(2, 1_000_000)) <= 0)
}

func (c rowChecker) money() {
	row := c.row
	billed, effective := c.number("BilledCost"), c.number("EffectiveCost")
	c.product("ContractedCost-C-009", "ContractedUnitPrice", "ContractedCost")
	c.product("PricingQuantity-C-009", "ListUnitPrice", "ListCost")
	if row["ChargeCategory"] == "Credit" || row["ChargeCategory"] == "Adjustment" {
		c.want("ContractedCost-C-008", row["ContractedCost"] == row["BilledCost"])
		c.want("ListCost-C-008", row["ListCost"] == row["BilledCost"])
	}
	if row["ChargeCategory"] == "Purchase" {
		c.want("PricingCurrencyEffectiveCost-C-005", effective.Sign() == 0)
	}
	if row["CommitmentDiscountStatus"] != "" {
		c.want("DiscountHandling-A-009", billed.Sign() == 0)
	}
	from, err := time.Parse(time.RFC3339, row["ChargePeriodStart"])
	month := time.Date(from.Year(), from.Month(), 1, 0, 0, 0, 0, time.UTC)
	c.want("BillingPeriodStart-C-004", err == nil && row["BillingPeriodStart"] == month.Format(time.RFC3339))
	c.want("BillingPeriodEnd-C-004", row["BillingPeriodEnd"] == month.AddDate(0, 1, 0).Format(time.RFC3339))
	c.want("ChargePeriodEnd-C-004", row["ChargePeriodEnd"] > row["ChargePeriodStart"])
	c.want("InvoiceId-C-005", row["InvoiceId"] != "")
}

func (c rowChecker) commitment() {
	row := c.row
	usage := row["ChargeCategory"] == "Usage"
	covered := usage && row["CommitmentDiscountId"] != ""
	c.want("CommitmentDiscountStatus-C-003 and -C-004", (row["CommitmentDiscountStatus"] != "") == covered)
	c.want("CapacityReservationStatus-C-003 and -C-004", (row["CapacityReservationStatus"] != "") == (usage && row["CapacityReservationId"] != ""))
	c.want("PricingCategory-C-009", (row["PricingCategory"] == "Committed") == covered)
	if row["CommitmentDiscountStatus"] == "Unused" || row["ChargeCategory"] == "Purchase" && row["CommitmentDiscountId"] != "" {
		c.want("DiscountHandling-A-012 and -019", row["ResourceId"] == row["CommitmentDiscountId"])
	}
	if row["CommitmentDiscountStatus"] == "Unused" || row["CapacityReservationStatus"] == "Unused" {
		c.want("ConsumedQuantity of what is unused is null", row["ConsumedQuantity"] == "")
	}
}

func (c rowChecker) names() {
	row := c.row
	c.want("ResourceName-C-004 and -006", row["ResourceName"] == "" || row["ResourceName"] != row["ResourceId"] && row["ResourceId"] != "")
	for name, value := range row {
		c.want("NullHandling-A-002: "+name, value != "None" && value != "null" && value != "N/A" && value != "Not Applicable")
	}
	if text := row["Tags"]; text != "" {
		var tags map[string]string
		c.want("Tags-C-004", json.Unmarshal([]byte(text), &tags) == nil && len(tags) > 0)
	}
}

// scenario unpacks a scenario into a directory that becomes the current one,
// and returns the command that it is.
func scenario(t *testing.T, file string) []string {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"bill"}
	for _, f := range archive.Files {
		switch {
		case f.Name == "bill.txt":
			continue
		case f.Name == "command":
			args = strings.Fields(string(f.Data))
			continue
		case f.Name == "args":
			args = append(args, strings.Fields(string(f.Data))...)
			continue
		case strings.HasSuffix(f.Name, ".yaml"):
			args = append(args, "--contracts", f.Name)
		case f.Name == "usage.csv":
			args = append(args, "--usage", f.Name)
		case strings.HasPrefix(f.Name, "late"):
			args = append(args, "--late", f.Name)
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	return args
}
