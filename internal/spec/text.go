package spec

import (
	"bytes"
	"encoding/json"

	"go.yaml.in/yaml/v3"
)

// Text is a file that is read, or passed on, whole.
type Text struct {
	File string // its name, for messages
	Data []byte
}

// Format writes a document as YAML, in blocks, with the field names and the
// order of its JSON.
func Format(document any) ([]byte, error) {
	data, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(data, &node); err != nil {
		return nil, err
	}
	blockStyle(&node)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return nil, err
	}
	err = encoder.Close()
	return out.Bytes(), err
}

func blockStyle(node *yaml.Node) {
	node.Style = 0
	for _, child := range node.Content {
		blockStyle(child)
	}
}
