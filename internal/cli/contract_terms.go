package cli

import (
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/switchyard-ai/switchyard/internal/contract"
)

// clauseTerms writes what a clause promises in a line, as its file could have it.
func clauseTerms(clause *contract.Clause) string {
	bare := *clause
	bare.Name, bare.From, bare.To = "", nil, nil
	data, err := json.Marshal(bare)
	if err != nil {
		return ""
	}
	var node yaml.Node
	if err := yaml.Unmarshal(data, &node); err != nil || len(node.Content) == 0 {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(inline(node.Content[0]), "{"), "}")
}

// inline writes a node in a line; what the reader would take otherwise is quoted.
func inline(node *yaml.Node) string {
	var parts []string
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			parts = append(parts, inline(node.Content[i])+": "+inline(node.Content[i+1]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case yaml.SequenceNode:
		for _, child := range node.Content {
			parts = append(parts, inline(child))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	node.Value = strings.TrimSuffix(node.Value, "T00:00:00Z") // a date
	if node.Value == "" || strings.ContainsAny(node.Value, "{}[],#\"'&*!|>%@`\n") || strings.Contains(node.Value, ": ") {
		quoted, err := json.Marshal(node.Value)
		if err == nil {
			return string(quoted)
		}
	}
	return node.Value
}
