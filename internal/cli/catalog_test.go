package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/catalog"
)

// TestTheExampleOverlayIsValid holds the example against the loader and the schema.
func TestTheExampleOverlayIsValid(t *testing.T) {
	const name = "../../examples/overlay.yaml"
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Load(catalog.Overlay{File: name, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Error(c.Warnings)
	}
	if err := schemas(t)[catalog.KindOverlay].Validate(parsed(t, data)); err != nil {
		t.Error(err)
	}
}

func TestOverlaySchemaAndLoaderAgree(t *testing.T) {
	const head = "kind: CatalogOverlay\nname: a\nas_of: 2026-09-01\n"
	const p5 = "provider: aws, instance_type: p5.48xlarge, region: us-east-1, option: "
	for text, valid := range map[string]bool{
		head:                                true,
		head + "currency: USD\nsource: x\n": true,
		head + "offers: [{" + p5 + "on-demand, price: 40.5}]\n":                                     true,
		head + "offers: [{" + p5 + "on-demand, price: '40.5'}]\n":                                   true,
		head + "offers: [{" + p5 + "spot, price_low: 4, price_high: 5}]\n":                          true,
		head + "discounts: [{chip: h100, percent_off: 3}]\n":                                        true,
		head + "instance_types: [{provider: owned, name: x, chip: T4, chips: 1, memory: 2TiB}]\n":   true,
		"kind: CatalogOverlay\nname: a\n":                                                           false,
		head + "currency: dollars\n":                                                                false,
		head + "offers: {}\n":                                                                       false,
		head + "offers: [{" + p5 + "sometimes, price: 40}]\n":                                       false,
		head + "offers: [{" + p5 + "on-demand, price: $40}]\n":                                      false,
		head + "offers: [{" + p5 + "on-demand, price: 40, nonsense: 1}]\n":                          false,
		head + "offers: [{provider: aws, region: us-east-1, option: spot, price: 20}]\n":            false,
		head + "instance_types: [{provider: owned, name: x, chip: T4}]\n":                           false,
		head + "instance_types: [{provider: owned, name: x, chip: T4, chips: 1, memory: plenty}]\n": false,
		head + "instance_types: [{provider: owned, name: x, chip: T4, chips: 1, vcpus: many}]\n":    false,
		head + "discounts: [{percent_off: 10%}]\n":                                                  false,
	} {
		_, err := catalog.Load(catalog.Overlay{File: "x.yaml", Data: []byte(text)})
		schemaErr := schemas(t)[catalog.KindOverlay].Validate(parsed(t, []byte(text)))
		if (err == nil) != valid || (schemaErr == nil) != valid {
			t.Errorf("valid %v, but loader: %v\nschema: %v\n%s", valid, err, schemaErr, text)
		}
	}
}

func TestMoneyForPeople(t *testing.T) {
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range c.Offers {
		text := money(o.Price)
		if !strings.HasPrefix(text, "$") || strings.Contains(text, "e") || text == "$0.000" {
			t.Errorf("%s is shown as %q", o.Price, text)
		}
	}
}
