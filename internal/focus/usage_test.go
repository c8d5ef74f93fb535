package focus

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/shelf"
)

func parsedContracts(t testing.TB, texts ...string) []*contract.Contract {
	t.Helper()
	var contracts []*contract.Contract
	for _, text := range texts {
		found, err := contract.Parse("c.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		contracts = append(contracts, found...)
	}
	return contracts
}

func newBook(t testing.TB, texts ...string) *billing.Book {
	t.Helper()
	book, err := billing.NewBook(parsedContracts(t, texts...))
	if err != nil {
		t.Fatal(err)
	}
	return book
}

func TestUsageFaultsNameTheirRow(t *testing.T) {
	const good = "start,provider,quantity,list_rate\n"
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "u.csv:1:1: the file is empty"},
		{"unknown column", "start,provider,quantity,list_rate,acount\n", "u.csv:1:35: acount: unknown column; did you mean account?"},
		{"missing column", "start,quantity,list_rate\n", "u.csv:1:1: provider: the column is missing"},
		{"twice", "start,provider,quantity,list_rate,hour\n", "start: the column is given twice"},
		{"time", good + "2026-13-01,aws,1,1\n", `u.csv:2:1: start: found "2026-13-01"`},
		{"quantity", good + "2026-01-01,aws,-1,1\n", "u.csv:2:16: quantity"},
		{"rate", good + "2026-01-01,aws,1,\n", "u.csv:2:18: list_rate"},
		{"provider", good + "2026-01-01,,1,1\n", "u.csv:2:12: provider: the field is empty"},
		{"fields", good + "2026-01-01,aws,1\n", "u.csv:2:1: wrong number of fields"},
		{"too much", good + "2026-01-01,aws,999999999999,999999\n", "u.csv:2:16: quantity: 999999999999 units at 999999 are too many to bill"},
		{"another encoding", "\xff\xfes\x00t\x00", "the file is in UTF-16"},
		{"semicolons", "start;provider;quantity;list_rate\n", "separated by commas"},
		{"many faults", good + strings.Repeat("x,aws,1,1\n", 60), "u.csv:52:1: what follows was not read"},
		{"currency", "start,provider,quantity,list_rate,currency\n2026-01-01,aws,1,1,EUR\n", "a dated exchange rate is needed"},
		{"span", "start,end,provider,quantity,list_rate\n2026-01-02,2026-01-01,aws,1,1\n", "u.csv:2:12: end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadUsage(strings.NewReader(c.text), "u.csv", newBook(t), UsageOptions{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestExchange(t *testing.T) {
	table, err := ReadExchange(strings.NewReader("date,from,to,rate\n2026-01-01,EUR,USD,1.10\n2026-02-01,EUR,USD,1.20\n"), "x.csv")
	if err != nil {
		t.Fatal(err)
	}
	book := newBook(t)
	text := "start,provider,quantity,list_rate,currency\n2026-01-31,aws,1,10,EUR\n2026-02-01,aws,1,10,EUR\n"
	if _, err := ReadUsage(strings.NewReader(text), "u.csv", book, UsageOptions{Exchange: table}); err != nil {
		t.Fatal(err)
	}
	from, to, _ := book.Span()
	var billed []int64
	book.Settle(from, to, func(c billing.Charge) { billed = append(billed, c.Billed) })
	if fmt.Sprint(billed) != "[11000000 12000000]" {
		t.Errorf("billed %v", billed)
	}
	early := "start,provider,quantity,list_rate,currency\n2025-12-31,aws,1,10,EUR\n"
	if _, err := ReadUsage(strings.NewReader(early), "u.csv", newBook(t), UsageOptions{Exchange: table}); err == nil {
		t.Error("a rate before the table was found")
	}
}

func FuzzReadUsage(f *testing.F) {
	f.Add("start,provider,quantity,list_rate\n2026-01-01,aws,1,1\n")
	f.Add("start,end,provider,quantity,list_rate,chips\n2026-01-01T10:15:00Z,2026-01-01T11:20:00Z,aws,1.5,0.0001,8\n")
	f.Add("start,provider,quantity,list_rate\n\"2026-01-01,aws,1e9,1\n")
	f.Fuzz(func(t *testing.T, text string) {
		book := newBook(t)
		if _, err := ReadUsage(strings.NewReader(text), "u.csv", book, UsageOptions{}); err != nil {
			return
		}
		from, to, some := book.Span()
		if some && to.Sub(from) < 1000*time.Hour {
			book.Settle(from, to, func(billing.Charge) {})
		}
	})
}

// month writes usage of many nodes, hour by hour: the file that a month of a
// large fleet makes.
type month struct {
	nodes, hours int
	from         int // the first hour
	hour, node   int
	out          bytes.Buffer
}

func (m *month) Read(p []byte) (int, error) {
	types := []struct{ name, chip, rate, provider string }{
		{"p5.48xlarge", "H100", "55.04", "aws"}, {"p5en.48xlarge", "H200", "63.296", "aws"}, {"trn2.48xlarge", "Trainium2", "35.7608", "aws"},
		{"m5.4xlarge", "", "0.768", "aws"}, {"ND_H100_v5", "H100", "98.32", "azure"}, {"ND_MI300X_v5", "MI300X", "48", "azure"},
	}
	if m.out.Len() == 0 {
		if m.hour == 0 && m.node == 0 {
			m.out.WriteString("start,provider,region,account,instance_type,chip,chips,resource,unit,quantity,list_rate\n")
		}
		at := time.Date(2026, 3, 1, m.from+m.hour, 0, 0, 0, time.UTC).Format(time.RFC3339)
		for m.out.Len() < 64<<10 && m.hour < m.hours {
			kind := types[m.node%len(types)]
			quantity := "1"
			if m.node%97 == 0 {
				quantity = "0.7253"
			}
			fmt.Fprintf(&m.out, "%s,%s,region-%d,account-%d,%s,%s,8,node-%d,hour,%s,%s\n", at, kind.provider, m.node%3, m.node%20, kind.name, kind.chip, m.node, quantity, kind.rate)
			if m.node++; m.node == m.nodes {
				m.node, m.hour = 0, m.hour+1
				at = time.Date(2026, 3, 1, m.from+m.hour, 0, 0, 0, time.UTC).Format(time.RFC3339)
			}
		}
	}
	if m.out.Len() == 0 {
		return 0, io.EOF
	}
	return m.out.Read(p)
}

// fleetContracts are twenty contracts of as many kinds as a large fleet has.
func fleetContracts() []string {
	clauses := []string{
		"{savings_plan: {type: compute, hourly: 20000, discount: 27%}}", "{savings_plan: {type: ec2-instance, hourly: 9000, discount: 40%}, scope: {instance_types: ['p5.*']}}",
		"{reserved_instances: {instance_type: m5.4xlarge, count: 400, hourly: 0.45}}", "{capacity_reservation: {instance_type: trn2.48xlarge, count: 1800, rate: 35.7608}}",
		"{discount: {tiers: {window: month, steps: [{above: 1M, discount: 3%}, {above: 50M, discount: 8%}]}}}", "{enterprise_agreement: {commitment: 900M, discount: 6%, fees: true}}",
		"{chip_covenant: {chips: [Trainium2], share: 30%, tranche: 1M}}", "{monthly_minimum: {amount: 10M}}", "{commitment: {period: total, amount: 38B}}", "{prepayment: {amount: 5M}}",
	}
	var texts []string
	for i := range 20 {
		provider := "aws"
		if i >= 10 {
			provider = "azure"
		}
		texts = append(texts, fmt.Sprintf("kind: Contract\nname: c%d\ncounterparty: %s\nterm: {from: 2026-01-01, to: 2027-01-01}\nscope: {providers: [%s]}\nclauses:\n  - %s\n", i, provider, provider, clauses[i%10]))
	}
	return texts
}

// BenchmarkMonthOfAFleet bills a month of 10,000 nodes, 7.44 million rows, under
// 20 contracts, from CSV to charges. YARD_BENCH_NODES sets another size.
func BenchmarkMonthOfAFleet(b *testing.B) {
	nodes := 10_000
	if text := os.Getenv("YARD_BENCH_NODES"); text != "" {
		if _, err := fmt.Sscan(text, &nodes); err != nil {
			b.Fatal(err)
		}
	}
	const hours = 31 * 24
	for b.Loop() {
		book := newBook(b, fleetContracts()...)
		rows, err := ReadUsage(&month{nodes: nodes, hours: hours}, "month.csv", book, UsageOptions{})
		if err != nil {
			b.Fatal(err)
		}
		from, to, _ := book.Span()
		charges := 0
		book.Settle(from, to, func(billing.Charge) { charges++ })
		b.ReportMetric(float64(rows), "rows")
		b.ReportMetric(float64(charges), "charges")
	}
}

// BenchmarkALateDayOfAFleet takes a late day of a hundred nodes into the month
// of BenchmarkMonthOfAFleet, which is kept in a directory, and keeps it anew. It
// reports the time against billing all of it.
func BenchmarkALateDayOfAFleet(b *testing.B) {
	nodes := 10_000
	if text := os.Getenv("YARD_BENCH_NODES"); text != "" {
		if _, err := fmt.Sscan(text, &nodes); err != nil {
			b.Fatal(err)
		}
	}
	const hours = 31 * 24
	begun := time.Now()
	book := newBook(b, fleetContracts()...)
	if _, err := ReadUsage(&month{nodes: nodes, hours: hours}, "month.csv", book, UsageOptions{}); err != nil {
		b.Fatal(err)
	}
	from, to, _ := book.Span()
	book.Settle(from, to, func(billing.Charge) {})
	whole := time.Since(begun)
	s, err := shelf.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Keep(book, nil, false); err != nil {
		b.Fatal(err)
	}
	contracts := parsedContracts(b, fleetContracts()...)
	const late = 15 // days after the first
	for b.Loop() {
		head, err := s.Head()
		if err != nil {
			b.Fatal(err)
		}
		read, first := 0, to
		again, err := billing.Reopen(contracts, head, func(day time.Time) ([]byte, error) {
			if read++; day.Before(first) {
				first = day
			}
			return s.Day(day)
		})
		if err != nil {
			b.Fatal(err)
		}
		day := from.AddDate(0, 0, late)
		if _, err := ReadUsage(&month{nodes: 100, hours: 24, from: 24 * late}, "late.csv", again, UsageOptions{}); err != nil {
			b.Fatal(err)
		}
		again.Settle(from, to, func(billing.Charge) {})
		if again.Err() != nil || first.Before(day) {
			b.Fatal(again.Err(), first)
		}
		if err := s.Keep(again, nil, false); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(read), "days-read")
	}
	b.ReportMetric(whole.Seconds(), "s-whole")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/whole.Seconds(), "of-whole")
}

// BenchmarkExportOfAFleet writes the bill of a month of 10,000 nodes as FOCUS,
// in both forms.
func BenchmarkExportOfAFleet(b *testing.B) {
	book := newBook(b, fleetContracts()...)
	nodes := 10_000
	if text := os.Getenv("YARD_BENCH_NODES"); text != "" {
		if _, err := fmt.Sscan(text, &nodes); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := ReadUsage(&month{nodes: nodes, hours: 31 * 24}, "month.csv", book, UsageOptions{}); err != nil {
		b.Fatal(err)
	}
	from, to, _ := book.Span()
	book.Settle(from, to, func(billing.Charge) {})
	for form, open := range map[string]func(io.Writer, string) (Writer, error){"csv": NewCSV, "parquet": NewParquet} {
		b.Run(form, func(b *testing.B) {
			for b.Loop() {
				out, err := open(io.Discard, Version12)
				if err != nil {
					b.Fatal(err)
				}
				rows := 0
				book.SplitCharges(func(c billing.Charge, line billing.Line) {
					rows++
					if err := out.Write(FromCharge(c, line, book.Currency(), Account{"acc", "Account"})); err != nil {
						b.Fatal(err)
					}
				})
				if err := out.Close(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(rows), "rows")
			}
		})
	}
}
