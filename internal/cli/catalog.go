package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

func (a *app) catalogCommand() *cobra.Command {
	group := &cobra.Command{
		Use:   "catalog",
		Short: "Check files with prices and machines of your own",
	}
	group.AddCommand(a.withOutput(&cobra.Command{
		Use:   "check FILE...",
		Short: "Check catalog overlays and show what they change",
		Long: "Check reads overlays in the order given, as other commands do with --overlay,\n" +
			"and reports everything wrong with them at once. What cannot be true is refused\n" +
			"(exit code 2); what may be true but rarely is comes as a warning.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error { return a.checkOverlays(files) },
	}))
	return group
}

func (a *app) checkOverlays(files []string) error {
	overlays, err := a.readOverlays(files)
	if err != nil {
		return err
	}
	c, err := catalog.Load(overlays...)
	var faults spec.Faults
	if errors.As(err, &faults) {
		_, _ = fmt.Fprintf(a.stderr, "%s\n%s; nothing was accepted\n", faults, plural(len(faults), "fault", "faults"))
		return exitError(exitInvalid)
	}
	if err != nil {
		return err
	}
	a.warn(c)
	return a.print(overlayListing(c))
}

// overlayListing shows the offers that the overlays set.
func overlayListing(c *catalog.Catalog) listing {
	var changed []catalog.Offer
	for _, o := range c.Offers {
		if o.Overlay != "" {
			changed = append(changed, o)
		}
	}
	l := offerListing(changed)
	added := 0
	for _, t := range c.Types {
		if t.Overlay != "" {
			added++
		}
	}
	l.before = fmt.Sprintf("valid: %s set, %s added\n\n", plural(len(changed), "price", "prices"), plural(added, "instance type", "instance types"))
	l.after = "\n*  set by an overlay          Rank with it: yard quote --overlay FILE WORKLOAD\n"
	return l
}

// readOverlays reads the files, or standard input for "-".
func (a *app) readOverlays(files []string) ([]catalog.Overlay, error) {
	var overlays []catalog.Overlay
	for _, name := range files {
		data, err := a.readFile(name)
		if err != nil {
			return nil, err
		}
		overlays = append(overlays, catalog.Overlay{File: name, Data: data})
	}
	return overlays, nil
}

// readFile reads a file of the user's, or standard input for "-", up to what
// spec reads at all.
func (a *app) readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(a.stdin, spec.MaxSize+1))
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the file cannot be read")
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, spec.MaxSize+1))
	return data, fault.Wrap(fault.Invalid, err, "the file cannot be read")
}

// loadCatalog returns the catalog with the overlays that the user named.
func (a *app) loadCatalog(files []string) (*catalog.Catalog, error) {
	overlays, err := a.readOverlays(files)
	if err != nil {
		return nil, err
	}
	c, err := catalog.Load(overlays...)
	if err != nil {
		return nil, err
	}
	a.warn(c)
	return c, nil
}

func (a *app) warn(c *catalog.Catalog) {
	for _, w := range c.Warnings {
		_, _ = fmt.Fprintf(a.stderr, "warning: %s\n", w)
	}
}
