package console

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// asYAML is a JSON text as people write it by hand.
func asYAML(text []byte) (string, error) {
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return "", err
	}
	plain(&node)
	out, err := yaml.Dump(&node, yaml.WithIndent(2), yaml.WithCompactSeqIndent())
	return strings.TrimSpace(string(out)), err
}

// plain takes the style of JSON away, so that YAML's own is used.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}
