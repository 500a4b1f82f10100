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

// binding are condition keys by which a trust in another account is held to
// one that was meant, and not to whoever talks that account's people into it.
var binding = []string{"sts:externalid", "aws:principalorgid", "aws:principalorgpaths", "aws:principalarn", "aws:principaltag"}

// Outsiders are the principals of other accounts than the given one that a
// policy's statements let in with nothing that binds them: no external id, no
// organisation. Those named as * are left to Public.
func (p *Policy) Outsiders(account string) (all []string) {
	for i := range p.statements {
		s := &p.statements[i]
		bound := slices.ContainsFunc(s.conditions, func(c condition) bool {
			key, _, _ := strings.Cut(c.key, "/")
			return slices.Contains(binding, key) && !c.operator.negated && !c.operator.ifExists && !c.operator.null
		})
		if s.deny || bound || s.notPrincipals {
			continue
		}
		for _, one := range s.principals {
			of := one.account
			if one.kind == another {
				of = nameOf(one.text).parts[4]
			}
			if of != "" && of != account && !slices.Contains(all, one.text) {
				all = append(all, one.text)
			}
		}
	}
	return all
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
