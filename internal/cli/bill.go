package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/focus"
	"github.com/switchyard-ai/switchyard/internal/shelf"
)

// billFlags are what yard bill is asked for.
type billFlags struct {
	contracts []string
	usage     []string
	late      []string
	from, to  string
	exchange  string
	state     string
	resources bool // usage is kept apart by resource: set where a kept bill has it so
	charges   bool
	focusFlags
}

// focusFlags say how FOCUS is written.
type focusFlags struct {
	format, version        string
	accountID, accountName string
}

func (f *focusFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.format, "format", "", "focus: write FOCUS cost and usage, with -o csv or parquet")
	cmd.Flags().StringVar(&f.version, "version", focus.Version12, "version of FOCUS: 1.2 or 1.3")
	cmd.Flags().StringVar(&f.accountID, "account-id", "default", "billing account in FOCUS")
	cmd.Flags().StringVar(&f.accountName, "account-name", "Default billing account", "its name")
}

// writer opens FOCUS output in the form asked for; CSV is the default.
func (f *focusFlags) writer(a *app) (focus.Writer, error) {
	if f.version != focus.Version12 && f.version != focus.Version13 {
		return nil, fault.Newf(fault.Invalid, "unknown version %q of FOCUS; valid: 1.2, 1.3", f.version)
	}
	switch a.output {
	case "csv", "table", "":
		return focus.NewCSV(a.stdout, f.version)
	case "parquet":
		return focus.NewParquet(a.stdout, f.version)
	}
	return nil, fault.Newf(fault.Invalid, "FOCUS cannot be written as %q; valid: csv, parquet", a.output)
}

func (a *app) billCommand() *cobra.Command {
	var f billFlags
	cmd := a.withOutput(&cobra.Command{
		Use:   "bill --contracts DIR --usage FILE.csv",
		Short: "Bill usage under contracts, hour by hour",
		Long: "Bill applies contracts to metered usage in each provider's own order and says\n" +
			"which clause made every charge. It covers the hours of the usage unless --from\n" +
			"and --to say otherwise: shortfalls fall due when their window ends within them.\n" +
			"With --state the bill is kept in a directory: what is given next is added to it, and only what that\n" +
			"changes is billed anew.",
		Example: "  yard bill --contracts examples/contracts --usage usage.csv\n" +
			"  yard bill --contracts examples/contracts --usage usage.csv --format focus -o parquet > bill.parquet\n" +
			"  yard bill --contracts aws.yaml --usage june.csv --late june-late.csv --charges -o json\n" +
			"  yard bill --contracts aws.yaml --state june --usage june.csv",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.bill(f) },
	})
	cmd.Flags().StringSliceVar(&f.contracts, "contracts", nil, "contract files, or directories of them")
	cmd.Flags().StringSliceVar(&f.usage, "usage", nil, "usage files (CSV), - for standard input")
	cmd.Flags().StringSliceVar(&f.late, "late", nil, "usage files that arrived after the bill: each restates it")
	cmd.Flags().StringVar(&f.from, "from", "", "bill from this time on (default: the first hour of usage)")
	cmd.Flags().StringVar(&f.to, "to", "", "bill up to this time (default: the last hour of usage)")
	cmd.Flags().StringVar(&f.exchange, "exchange", "", "dated exchange rates (CSV: date,from,to,rate) for usage in other currencies")
	cmd.Flags().StringVar(&f.state, "state", "", "keep the bill in this `DIR`, and go on from what it keeps")
	f.add(cmd)
	cmd.Flags().BoolVar(&f.charges, "charges", false, "list every charge, not sums by clause and product; with --state those of this time")
	return cmd
}

func (a *app) bill(f billFlags) error {
	if f.state != "" {
		return a.billKept(f)
	}
	if len(f.usage) == 0 {
		return fault.New(fault.Invalid, "--usage is needed: a CSV file of what was used (docs/billing.md)")
	}
	contracts, err := billContracts(f)
	if err != nil {
		return err
	}
	book, err := billing.NewBook(contracts)
	if err != nil {
		return err
	}
	b := newBillView(book, f.charges)
	if _, err := a.settleFiles(f, book, b.add); err != nil {
		return err
	}
	b.restated = len(f.late) > 0
	return a.showBill(f, book, b)
}

func billContracts(f billFlags) ([]*contract.Contract, error) {
	if len(f.contracts) == 0 {
		return nil, nil
	}
	return loadContracts(f.contracts)
}

// settleFiles reads usage files and bills them, those that came late each by
// itself, and returns their digests.
func (a *app) settleFiles(f billFlags, book *billing.Book, emit func(billing.Charge)) ([]shelf.Taken, error) {
	var taken []shelf.Taken
	settle := func(files []string) error {
		if len(files) == 0 && f.from == "" && f.to == "" {
			return nil // late files alone: each settles for itself
		}
		for _, file := range files {
			digest, err := a.readUsageDigest(file, f, book)
			if err != nil {
				return err
			}
			taken = append(taken, shelf.Taken{Name: file, SHA256: digest})
		}
		from, to, err := horizon(f.from, f.to, book)
		if err != nil {
			return err
		}
		book.Settle(from, to, emit)
		return book.Err()
	}
	if err := settle(f.usage); err != nil {
		return nil, err
	}
	for i := range f.late {
		if err := settle(f.late[i : i+1]); err != nil {
			return nil, err
		}
	}
	return taken, nil
}

// showBill prints the bill, or writes it as FOCUS.
func (a *app) showBill(f billFlags, book *billing.Book, b *billView) error {
	if f.format != "" {
		return a.billFocus(book, f.focusFlags)
	}
	b.from, b.to = book.Billed()
	b.status = book.Commitments()
	return a.print(b.listing())
}

// billFocus writes the charges that hold as FOCUS, divided among accounts and
// resources.
func (a *app) billFocus(book *billing.Book, f focusFlags) error {
	if f.format != "focus" {
		return fault.Newf(fault.Invalid, "unknown format %q; valid: focus", f.format)
	}
	out, err := f.writer(a)
	if err != nil {
		return err
	}
	account := focus.Account{ID: f.accountID, Name: f.accountName}
	var failed error
	book.SplitCharges(func(c billing.Charge, line billing.Line) {
		if failed == nil {
			failed = out.Write(focus.FromCharge(c, line, book.Currency(), account))
		}
	})
	if failed == nil {
		failed = book.Err()
	}
	if failed != nil {
		return failed
	}
	return out.Close()
}

func (a *app) readUsage(file string, f billFlags, book *billing.Book) error {
	_, err := a.readUsageDigest(file, f, book)
	return err
}

// readUsageDigest reads a usage file and returns the SHA-256 of its content.
func (a *app) readUsageDigest(file string, f billFlags, book *billing.Book) (string, error) {
	options := focus.UsageOptions{Resources: f.format != "" || f.resources}
	if f.exchange != "" {
		table, err := os.Open(f.exchange)
		if err != nil {
			return "", fault.Wrap(fault.Invalid, err, "exchange rates")
		}
		defer func() { _ = table.Close() }()
		if options.Exchange, err = focus.ReadExchange(table, f.exchange); err != nil {
			return "", err
		}
	}
	var in io.Reader = a.stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return "", fault.Wrap(fault.Invalid, err, "usage")
		}
		defer func() { _ = opened.Close() }()
		in = opened
	}
	digest := sha256.New()
	if _, err := focus.ReadUsage(io.TeeReader(in, digest), file, book, options); err != nil {
		return "", err
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// horizon is the span to bill: that of the usage, unless asked otherwise.
func horizon(fromText, toText string, book *billing.Book) (from, to time.Time, err error) {
	from, to, some := book.Span()
	if fromText != "" {
		if from, err = contract.ParseInstant(fromText); err != nil {
			return from, to, fault.Newf(fault.Invalid, "--from: %s", err)
		}
	}
	if toText != "" {
		if to, err = contract.ParseInstant(toText); err != nil {
			return from, to, fault.Newf(fault.Invalid, "--to: %s", err)
		}
	}
	if !some && (fromText == "" || toText == "") {
		return from, to, fault.New(fault.Invalid, "the usage is empty; say --from and --to")
	}
	if !to.After(from) || to.Sub(from) > 100*366*24*time.Hour {
		return from, to, fault.Newf(fault.Invalid, "the bill would run from %s to %s; it must end after it starts", from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	return from, to, nil
}

// centsOf writes micro-units for people: to the cent, or exactly where that
// would hide something small.
func centsOf(micros int64) string {
	sign := ""
	if micros < 0 {
		sign, micros = "-", -micros
	}
	units, rest := micros/1_000_000, micros%1_000_000
	decimals := fmt.Sprintf("%06d", rest)
	for len(decimals) > 2 && decimals[len(decimals)-1] == '0' {
		decimals = decimals[:len(decimals)-1]
	}
	return sign + grouped(fmt.Sprint(units)) + "." + decimals
}
