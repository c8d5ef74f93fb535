package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

func compiled(t *testing.T, kind fileKind) *jsonschema.Schema {
	t.Helper()
	data, err := json.Marshal(schemaOf(kind))
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("kind.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("kind.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func schemas(t *testing.T) map[string]*jsonschema.Schema {
	all := map[string]*jsonschema.Schema{}
	for _, kind := range fileKinds() {
		all[kind.name] = compiled(t, kind)
	}
	return all
}

// value is the YAML as an editor hands it to a schema: dates stay text.
func value(t *testing.T, node *yaml.Node) any {
	t.Helper()
	switch node.Kind {
	case yaml.DocumentNode:
		return value(t, node.Content[0])
	case yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i < len(node.Content); i += 2 {
			object[node.Content[i].Value] = value(t, node.Content[i+1])
		}
		return object
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range node.Content {
			list = append(list, value(t, item))
		}
		return list
	}
	if node.Tag == "!!timestamp" || node.Tag == "!!str" {
		return node.Value
	}
	var scalar any
	if err := node.Decode(&scalar); err != nil {
		t.Fatal(err)
	}
	return scalar
}

func parsed(t *testing.T, data []byte) any {
	t.Helper()
	var node yaml.Node
	if err := yaml.Unmarshal(data, &node); err != nil {
		t.Fatal(err)
	}
	return value(t, &node)
}

func TestExamplesSatisfyTheirSchemas(t *testing.T) {
	all, checked := schemas(t), 0
	files, err := filepath.Glob("../../examples/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		documents, err := spec.Parse(file, data)
		if err != nil || all[documents[0].Kind()] == nil {
			continue
		}
		checked++
		if err := all[documents[0].Kind()].Validate(parsed(t, data)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	if checked < 4 {
		t.Errorf("only %d examples were checked", checked)
	}
}

const (
	training = "kind: Training\nname: x\nmodel: {preset: gpt2}\ntokens: 1B\nsequence_length: 1024\nglobal_batch: 8\n"
	service  = "kind: Service\nname: x\nmodel: {preset: gpt2}\ntraffic: {requests_per_second: 1}\nrequest: {input_tokens: 9, output_tokens: 9}\n"
	batch    = "kind: Batch\nname: x\nmodel: {preset: gpt2}\nrequests: 5\nrequest: {input_tokens: 9, output_tokens: 9}\n"
	cuda     = "variants: {cuda: {command: [x]}}\n"
)

// TestSchemaAndParserAgree holds the same files against the strict parser and
// the schema: both accept, or both refuse.
func TestSchemaAndParserAgree(t *testing.T) {
	all := schemas(t)
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for text, valid := range map[string]bool{
		training + cuda: true,
		service + cuda:  true,
		batch + cuda:    true,
		training + cuda + "precision: fp8\npriority: -5\nproject: a\n":                          true,
		training + cuda + "deadline: 2027-01-01\nbudget: $9.0M\n":                               true,
		training + cuda + "deadline: 2027-01-01T00:00:00Z\nbudget: 9,000.50 EUR\n":              true,
		training + cuda + "checkpoint: {every: 1h30m, keep: 2}\nrestarts: {backoff: 90s}\n":     true,
		training + cuda + "checkpoint: {every: 2d}\ndata: [{name: a, uri: b, size: 1.5TiB}]\n":  true,
		training + "variants: {cpu: {command: [a, 8000], env: {A: 1, B: true}, memory: 4GB}}\n": true,
		training + cuda + "place: {chips: {min: 8}, allow: {options: [spot]}}\n":                true,
		"kind: Training\nname: x\n" + cuda:                                                      true,

		training:                    false, // no variants
		training + "variants: {}\n": false,
		training + "variants: {cude: {image: x}}\n":                                                                      false,
		training + cuda + "nonsense: 1\n":                                                                                false,
		training + cuda + "precision: bf61\n":                                                                            false,
		training + cuda + "priority: high\n":                                                                             false,
		training + cuda + "priority: 1001\n":                                                                             false,
		training + cuda + "deadline: soon\n":                                                                             false,
		training + cuda + "budget: 9.0M\n":                                                                               false,
		training + cuda + "budget: $nine\n":                                                                              false,
		training + cuda + "data: {name: a}\n":                                                                            false,
		training + cuda + "data: [{name: a}]\n":                                                                          false,
		training + cuda + "data: [{name: a, uri: b, size: 12 parsecs}]\n":                                                false,
		training + cuda + "checkpoint: {every: often}\n":                                                                 false,
		training + cuda + "checkpoint: {keep: 0}\n":                                                                      false,
		training + cuda + "place: {nodes: 0}\n":                                                                          false,
		training + cuda + "place: {allow: {chipmakers: [nvdia]}}\n":                                                      false,
		training + cuda + "place: {forbid: {options: [cheap]}}\n":                                                        false,
		training + cuda + "restarts: 3\n":                                                                                false,
		training + cuda + "restarts: {limit: 1.5}\n":                                                                     false,
		training + "variants: {cuda: {command: x}}\n":                                                                    false,
		training + "variants: {cuda: {command: [x], ports: [{name: a, port: 70000}]}}\n":                                 false,
		training + "variants: {cuda: {command: [x], secrets: [{name: A}]}}\n":                                            false,
		training + "variants: {cuda: {command: [x], checkpoint: {formats: [a]}}}\n":                                      false,
		"kind: Training\n" + cuda:                                                                                        false, // no name
		"kind: Training\nname: x\nmodel: gpt2\ntokens: 1B\nsequence_length: 8\nglobal_batch: 8\n" + cuda:                 false,
		"kind: Training\nname: x\nmodel: {shape: {layers: 2}}\ntokens: 1B\nsequence_length: 8\nglobal_batch: 8\n" + cuda: false,
		"kind: Training\nname: x\nmodel: {shape: {layers: 0, hidden: 8, heads: 2, ffn: 8, vocab: 8}}\ntokens: 1B\nsequence_length: 8\nglobal_batch: 8\n" + cuda: false,
		strings.Replace(training, "1B", "15 trillion", 1) + cuda:                                      false,
		strings.Replace(training, "1024", "1k", 1) + cuda:                                             false,
		service + cuda + "deadline: 2027-01-01\n":                                                     false, // a service does not end
		service + cuda + "slo: {ttft: 300ms}\n":                                                       false,
		service + cuda + "slo: {ttft: {p99: 300ms}}\n":                                                false,
		strings.Replace(service, "{requests_per_second: 1}", "{requests_per_second: lots}", 1) + cuda: false,
		strings.Replace(service, "input_tokens: 9", "input_tokens: 0", 1) + cuda:                      false,
		batch + cuda + "tokens: 5\n":                                                                  false,
		strings.Replace(batch, "requests: 5", "requests: five", 1) + cuda:                             false,
	} {
		_, parseErr := workload.Parse("x.yaml", []byte(text), now)
		kind, _, _ := strings.Cut(strings.TrimPrefix(text, "kind: "), "\n")
		schemaErr := all[kind].Validate(parsed(t, []byte(text)))
		if (parseErr == nil) != valid || (schemaErr == nil) != valid {
			t.Errorf("valid %v, but parser: %v\nschema: %v\n%s", valid, parseErr, schemaErr, text)
		}
	}
}

// TestOverlaySchemaAgrees holds overlays against the catalog's reader and the schema.
func TestOverlaySchemaAgrees(t *testing.T) {
	schema := schemas(t)[catalog.KindOverlay]
	const head = "kind: CatalogOverlay\nname: acme\nas_of: 2026-09-01\n"
	for text, valid := range map[string]bool{
		head + "regions: [{provider: aws, name: eu-west-1}]\n":                                                                true,
		head + "offers: [{provider: aws, instance_type: p5.48xlarge, region: us-east-1, option: on-demand, price: 38.5}]\n":   true,
		head + "offers: [{provider: aws, instance_type: p5.48xlarge, region: us-east-1, option: on-demand, price: '38.5'}]\n": true,
		head + "discounts: [{provider: aws, instance_type: trn2*, percent_off: 12.5}]\n":                                      true,

		"kind: CatalogOverlay\nname: acme\n": false, // no date
		head + "price: 3\n":                  false,
		head + "offers: [{provider: aws, instance_type: p5.48xlarge, region: us-east-1, option: on-demand, price: $38}]\n": false,
		head + "offers: [{provider: aws, instance_type: p5.48xlarge, region: us-east-1, option: cheap, price: 38}]\n":      false,
		head + "offers: [{instance_type: p5.48xlarge, region: us-east-1, option: spot, price: 38}]\n":                      false,
		head + "discounts: {provider: aws}\n": false,
	} {
		_, parseErr := catalog.Load(catalog.Overlay{File: "own.yaml", Data: []byte(text)})
		schemaErr := schema.Validate(parsed(t, []byte(text)))
		if (parseErr == nil) != valid || (schemaErr == nil) != valid {
			t.Errorf("valid %v, but reader: %v\nschema: %v\n%s", valid, parseErr, schemaErr, text)
		}
	}
}

// TestSiteSchemaAgrees holds site files against their reader and the schema.
func TestSiteSchemaAgrees(t *testing.T) {
	schema := schemas(t)[site.Kind]
	const kube = "kind: Site\nname: a\nengine: kubernetes\n"
	const pool = "pools: [{name: p, labels: {a: b}, "
	for text, valid := range map[string]bool{
		kube: true,
		"kind: Site\nname: a\nengine: slurm\nslurm: {dir: /shared, ssh_port: 22, ssh: login, time_limit: 24h}\n": true,
		kube + pool + "rate: $35.76, ends: '2027-03-01T11:30:00Z', notice: 40m, option: spot}]\n":                true,
		kube + pool + "rate: 1_000.5 EUR, memory: 64GiB, family: neuron, max: 4}]\n":                             true,
		kube + "kubernetes: {tolerations: [{operator: Exists}], pull_policy: Never}\n":                           true,

		"kind: Site\nname: a\n":                                                           false, // no engine
		"kind: Site\nname: a\nengine: nomad\n":                                            false,
		"kind: Site\nname: a\nengine: slurm\nslurm: {ssh: login}\n":                       false, // no directory
		kube + pool + "rate: 35.76}]\n":                                                   false,
		kube + pool + "rate: $1e3}]\n":                                                    false,
		kube + pool + "ends: tomorrow}]\n":                                                false,
		kube + pool + "option: cheap}]\n":                                                 false,
		kube + pool + "min: -1}]\n":                                                       false,
		kube + "pools: [{labels: {a: b}}]\n":                                              false, // no name
		kube + "kubernetes: {contxt: x}\n":                                                false,
		kube + "kubernetes: {tolerations: [{key: a, effect: Never}]}\n":                   false,
		kube + "secrets: [{name: A}]\n":                                                   false,
		"kind: Site\nname: a\nengine: slurm\nslurm: {dir: /x, time_limit: long}\n":        false,
		"kind: Site\nname: a\nengine: slurm\nslurm: {dir: /x, ssh: h, ssh_port: 70000}\n": false,
	} {
		_, parseErr := site.Parse("s.yaml", []byte(text))
		schemaErr := schema.Validate(parsed(t, []byte(text)))
		if (parseErr == nil) != valid || (schemaErr == nil) != valid {
			t.Errorf("valid %v, but reader: %v\nschema: %v\n%s", valid, parseErr, schemaErr, text)
		}
	}
}
