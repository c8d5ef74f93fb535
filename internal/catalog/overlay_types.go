package catalog

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/units"
)

var (
	providerForm = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	nameForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
)

// head checks what stands before the lists.
func (l *layer) head() {
	if l.file.Name != "" && !nameForm.MatchString(l.file.Name) {
		l.doc.Faultf("name", "found %q; letters, digits, dots and dashes are valid", clip(l.file.Name))
	}
	if l.file.AsOf != "" {
		l.date("as_of", l.file.AsOf)
	}
	if l.file.Currency == "" {
		l.file.Currency = units.USD
	}
	if !l.file.Currency.Valid() {
		l.doc.Faultf("currency", "found %q; an ISO 4217 code is needed, such as USD", clip(string(l.file.Currency)))
	}
}

func (l *layer) date(field, text string) {
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		l.doc.Faultf(field, "found %q; a date is needed, such as 2026-09-01", clip(text))
	}
}

// region declares a region that the catalog does not know.
func (l *layer) region(i int) {
	r, field := l.file.Regions[i], fmt.Sprintf("regions[%d]", i)
	if r.Provider == "" || r.Name == "" {
		return // reported by Decode
	}
	if !l.provider(field+".provider", r.Provider, true) {
		return
	}
	if !nameForm.MatchString(r.Name) {
		l.doc.Faultf(field+".name", "found %q; letters, digits and dashes are valid", clip(r.Name))
		return
	}
	if slices.Contains(l.catalog.regions[r.Provider], r.Name) {
		l.doc.Faultf(field+".name", "%s of %s is known already", r.Name, r.Provider)
		return
	}
	l.catalog.regions[r.Provider] = append(l.catalog.regions[r.Provider], r.Name)
}

// provider checks a provider's name: one of the catalog, or a new one where
// the overlay may introduce it.
func (l *layer) provider(field, name string, mayBeNew bool) bool {
	if l.knownProvider(name) {
		return true
	}
	near := spec.DidYouMean(name, l.base.Providers())
	switch {
	case !mayBeNew:
		l.doc.Faultf(field, "unknown provider %q%s", clip(name), near)
		return false
	case !providerForm.MatchString(name):
		l.doc.Faultf(field, "found %q; lower-case letters, digits and dashes are valid%s", clip(name), near)
		return false
	case name != "owned" && name != "local" && strings.HasPrefix(near, "; did you mean"):
		l.warnf(field, "%q is a new provider%s", name, near)
	}
	return true
}

func (l *layer) knownProvider(name string) bool {
	_, known := l.catalog.regions[name]
	return known || slices.ContainsFunc(l.catalog.Types, func(t *InstanceType) bool { return t.Provider == name })
}

// instanceType adds a type that the catalog does not have.
func (l *layer) instanceType(i int) {
	t, field := l.file.Types[i], fmt.Sprintf("instance_types[%d]", i)
	if t.Provider == "" || t.Name == "" || t.Chip == "" || !l.doc.Has(field+".chips") {
		return // reported by Decode
	}
	ok := l.provider(field+".provider", t.Provider, true)
	if !nameForm.MatchString(t.Name) {
		l.doc.Faultf(field+".name", "found %q; letters, digits, dots and dashes are valid", clip(t.Name))
		ok = false
	}
	c, err := chip.Find(t.Chip)
	if err != nil {
		l.doc.Faultf(field+".chip", "%s", err)
		return
	}
	ok = l.shape(field, t, c) && ok
	if known := l.types[keyOf(t.Provider, t.Name)]; known != nil {
		l.doc.Faultf(field+".name", "%s %s is in the catalog already, with %d %s%s", known.Provider, known.Name, known.Chips, known.Chip.ID,
			differs(known, c, t.Chips))
		ok = false
	}
	if !ok {
		return
	}
	l.types[keyOf(t.Provider, t.Name)] = l.newType(t, c)
	l.catalog.Types = append(l.catalog.Types, l.types[keyOf(t.Provider, t.Name)])
}

func differs(known *InstanceType, c *chip.Chip, chips int) string {
	if known.Chip == c && known.Chips == chips {
		return "; offers can name it without declaring it"
	}
	return fmt.Sprintf("; found %d %s", chips, c.ID)
}

func (l *layer) newType(t TypeSpec, c *chip.Chip) *InstanceType {
	domain := t.Domain
	if domain == 0 {
		domain = min(t.Chips, max(c.ScaleUpDomain, 1))
	}
	return &InstanceType{
		Provider: t.Provider, Name: t.Name, Chip: c, Chips: t.Chips,
		VCPUs: t.VCPUs, HostMemory: t.Memory, Network: t.Network * bytesPerGbit, NetworkKind: t.NetworkKind,
		Domain: domain, Overlay: l.file.Name, Source: l.source(""), AsOf: l.file.AsOf,
	}
}

// source names where a figure of the overlay is from.
func (l *layer) source(own string) string {
	for _, text := range []string{own, l.file.Source} {
		if text != "" {
			return text + " (overlay " + l.file.Name + ")"
		}
	}
	return "overlay " + l.file.Name
}

// shape refuses machines that cannot exist.
func (l *layer) shape(field string, t TypeSpec, c *chip.Chip) bool {
	before := l.doc.Faults()
	l.chipCount(field, t.Chips, c)
	if memory := float64(t.ChipMemory); t.ChipMemory != 0 && c.MemoryBytes > 0 {
		// Makers count 80 GB and mean 80 GiB, and hide some: an eighth either way is no error.
		const tolerance = 0.125
		if math.Abs(memory/c.MemoryBytes-1) > tolerance {
			l.doc.Faultf(field+".chip_memory", "found %s per chip; %s has %s%s", gigabytes(memory), c.ID, gigabytes(c.MemoryBytes), memoryHint(memory, t.Chips, c))
		}
	}
	if t.Memory != 0 && (t.Memory < gibibyte || t.Memory > 64<<40) {
		l.doc.Faultf(field+".memory", "found %s of host memory; is the unit right? 2TiB is a usual size", gigabytes(float64(t.Memory)))
	}
	if t.Network < 0 || t.Network > 100_000 || math.IsNaN(t.Network) {
		l.doc.Faultf(field+".network_gbit_per_s", "found %g; Gb/s per instance are needed, such as 3200", t.Network)
	}
	if t.VCPUs < 0 || t.VCPUs > 10_000 {
		l.doc.Faultf(field+".vcpus", "found %d; a number of processors is needed", t.VCPUs)
	}
	if t.Domain < 0 || (t.Domain > 0 && t.Chips > 0 && t.Domain%t.Chips != 0 && t.Chips%t.Domain != 0) {
		l.doc.Faultf(field+".domain_chips", "found %d; instances of %d chips cannot share domains of %d", t.Domain, t.Chips, t.Domain)
	}
	return count(l.doc.Faults()) == count(before)
}

func count(err error) int {
	if faults, ok := err.(spec.Faults); ok {
		return len(faults)
	}
	return 0
}

// chipCount refuses counts that the chip's scale-up domains cannot make up, as
// 12 H100: they come in boards of 8.
func (l *layer) chipCount(field string, chips int, c *chip.Chip) {
	const most = 20_000 // more than the largest scale-up domain of any chip
	bridged := strings.HasPrefix(c.ScaleUpTopology, "PCIe")
	switch domain := c.ScaleUpDomain; {
	case chips < 1 || chips > most:
		l.doc.Faultf(field+".chips", "found %d; the number of chips per instance is needed", chips)
	case c.Family == chip.CPU && chips != 1:
		l.doc.Faultf(field+".chips", "found %d; the processors of an instance count as 1", chips)
	case domain > 1 && chips > domain && chips%domain != 0 && !bridged:
		l.doc.Faultf(field+".chips", "found %d; %s come in scale-up domains of %d, so an instance has up to %d or a multiple of it", chips, c.ID, domain, domain)
	case chips&(chips-1) != 0 && c.Maker == chip.NVIDIA && domain == 8 && !bridged:
		l.warnf(field+".chips", "%d %s per instance is unusual: boards have 1, 2, 4 or 8", chips, c.ID)
	}
}

func memoryHint(memory float64, chips int, c *chip.Chip) string {
	switch {
	case chips > 1 && math.Abs(memory/(c.MemoryBytes*float64(chips))-1) < 0.125:
		return fmt.Sprintf("; that is the memory of all %d", chips)
	case memory < 1e6:
		return "; give the unit, such as 96GB"
	case memory > 2*c.MemoryBytes:
		return "; is the unit right, and is it the memory of one chip?"
	}
	return ""
}

func gigabytes(bytes float64) string { return fmt.Sprintf("%.4g GB", bytes/1e9) }
