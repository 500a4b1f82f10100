package iam

import (
	"slices"
	"strings"
)

// Span is where a statement begins and ends in the policy's text, in bytes.
func (p *Policy) Span(statement int) (begin, end int) {
	if statement < 0 || statement >= len(p.statements) {
		return 0, 0
	}
	return p.statements[statement].place, p.statements[statement].end
}

// Keys are the condition keys that the policy asks for, in conditions and in
// variables, each once, as it is first written, in order.
func (p *Policy) Keys() []string {
	of := map[string]string{}
	add := func(key string) {
		if lower := strings.ToLower(key); of[lower] == "" {
			of[lower] = key
		}
	}
	for _, s := range p.statements {
		texts := s.resourceTexts()
		for _, c := range s.conditions {
			if c.unknown {
				continue
			}
			add(c.spelled)
			if c.operator.family.variables {
				texts = append(texts, c.texts...)
			}
		}
		if p.old {
			continue
		}
		for _, text := range texts {
			for _, key := range variablesOf(text) {
				add(key)
			}
		}
	}
	keys := make([]string, 0, len(of))
	for _, key := range of {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// variablesOf are the keys of a text's variables.
func variablesOf(text string) (keys []string) {
	for {
		_, after, ok := strings.Cut(text, "${")
		if !ok {
			return keys
		}
		inner, rest, ok := strings.Cut(after, "}")
		if !ok {
			return keys
		}
		key, _, _ := strings.Cut(inner, ",")
		if key = strings.TrimSpace(key); !slices.Contains([]string{"", "*", "?", "$"}, key) {
			keys = append(keys, key)
		}
		text = rest
	}
}
