package catalog

import (
	"errors"
	"slices"

	"github.com/switchyard-ai/switchyard/internal/spec"
)

// Load returns the embedded catalog with the overlays laid over it in order.
// If anything in them cannot be true it returns all that is wrong, in every
// file, as spec.Faults; what may be true but rarely is comes as
// Catalog.Warnings.
func Load(overlays ...Overlay) (*Catalog, error) {
	b := newBuilder(embedded())
	for _, overlay := range overlays {
		documents, err := spec.Parse(overlay.File, overlay.Data)
		if err != nil {
			b.collect(err)
			continue
		}
		for _, document := range documents {
			b.add(document)
		}
	}
	if err := b.faults.Err(); err != nil {
		return nil, err
	}
	b.warnings.Sort()
	b.catalog.Warnings = b.warnings
	b.catalog.sort()
	return b.catalog, nil
}

// builder lays overlays over a copy of the base catalog.
type builder struct {
	base    *Catalog
	catalog *Catalog
	types   map[typeKey]*InstanceType
	offers  map[offerKey]int // position in catalog.Offers
	given   map[offerKey]spec.Fault
	bounds  map[string]bound // by chip ID: what the base catalog's prices lie between

	faults, warnings spec.Faults
}

func newBuilder(base *Catalog) *builder {
	b := &builder{
		base: base,
		catalog: &Catalog{
			Chips: base.Chips, Types: slices.Clone(base.Types), Offers: slices.Clone(base.Offers), regions: map[string][]string{},
		},
		types:  map[typeKey]*InstanceType{},
		offers: map[offerKey]int{},
		given:  map[offerKey]spec.Fault{},
		bounds: priceBounds(base),
	}
	for provider, regions := range base.regions {
		b.catalog.regions[provider] = slices.Clone(regions)
	}
	for _, t := range base.Types {
		b.types[t.key()] = t
	}
	for i, o := range base.Offers {
		b.offers[o.key()] = i
	}
	return b
}

// collect takes over the faults of a document.
func (b *builder) collect(err error) {
	var faults spec.Faults
	if errors.As(err, &faults) {
		b.faults = append(b.faults, faults...)
	}
}

// layer is one overlay document on its way into the catalog.
type layer struct {
	*builder
	doc  *spec.Document
	file OverlayFile
}

func (b *builder) add(doc *spec.Document) {
	defer func() { b.collect(doc.Faults()) }()
	if kind := doc.Kind(); kind != KindOverlay {
		doc.Faultf("kind", "found %q; a catalog overlay has kind: %s", clip(kind), KindOverlay)
		return
	}
	l := &layer{builder: b, doc: doc}
	doc.Decode(&l.file)
	l.head()
	for i := range l.file.Regions {
		l.region(i)
	}
	for i := range l.file.Types {
		l.instanceType(i)
	}
	for i := range l.file.Offers {
		l.offer(i)
	}
	l.spotBelowOnDemand()
	for i := range l.file.Discounts {
		l.discount(i)
	}
}

func (l *layer) warnf(field, format string, args ...any) {
	l.warnings = append(l.warnings, l.doc.At(field, format, args...))
}
