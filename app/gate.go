package app

import (
	"os"

	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/word/fault"
)

// policy is the server's own gate policy: for repositories whose default branch has none.
func (c *Config) policy() (gate.Policy, error) {
	if c.Gate == "" {
		return gate.Policy{}, nil
	}
	text, err := os.ReadFile(c.Gate)
	if err != nil {
		return gate.Policy{}, fault.Invalid.Errorf("reading the gate policy: %w", err)
	}
	return gate.Parse(c.Gate, text)
}
