package guard

import (
	"strings"
	"testing"
	"testing/fstest"
)

const policy = `-- help.md --
# Help
-- rule.yaml --
id: NAMED
severity: HIGH
title: {en: wrong, ko: 잘못}
fix: {en: mend it, ko: 고치십시오}
types: [T::A::B]
controls: {ISMS-P: [2.6.1]}
-- rule.guard --
rule NAMED when Resources exists { Resources.*.Good == true }
-- bad/a.yaml --
Resources: {a: {Good: false}}
-- good/a.yaml --
Resources: {a: {Good: true}}
`

func example(name string, text []byte) ([]*Document, error) {
	d, err := Load(name, text)
	return []*Document{d}, err
}

// A policy proves itself by its own examples, and a proof can fail.
func TestProve(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"", "", ""},
		{"a: {Good: false}", "a: {Good: true}", "NAMED: bad/a.yaml: PASS, want FAIL"},
		{"{a: {Good: true}}", "{a: {Good: 5}}", "NAMED: good/a.yaml: FAIL, want PASS (/Resources/a/Good: Resources.*.Good == true, got 5 an integer and a boolean cannot be compared)"},
		{"Resources: {a: {Good: true}}", "Other: 1", "NAMED: good/a.yaml: SKIP, want PASS"},
		{"-- good/a.yaml --\nResources: {a: {Good: true}}\n", "", "NAMED: there is no bad or no good example"},
		{"rule NAMED", "rule NAMES", `p.txtar/rule.guard: there is no rule NAMED (did you mean "NAMES"?)`},
		{"severity: HIGH", "severity: high", `p.txtar: rule.yaml: severity "high" is none of`},
		{"ko: 잘못", "de: falsch", "rule.yaml: yaml"},
		{"== true", "= true", "p.txtar/rule.guard:1:53: after Resources.*.Good comes an operator"},
		{"help.md", "readme.md", "p.txtar: a policy has no file readme.md"},
	} {
		text := policy
		if c.old != "" {
			text = strings.Replace(policy, c.old, c.new, 1)
		}
		proof, err := Prove(fstest.MapFS{"p.txtar": {Data: []byte(text)}}, example)
		if c.want == "" {
			if err != nil || proof != (Proof{Policies: 1, Examples: 2}) {
				t.Errorf("%v %+v", err, proof)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\n want %s", c.new, err, c.want)
		}
	}
	if _, err := ParsePolicies(fstest.MapFS{"a.txtar": {Data: []byte(policy)}, "b.txtar": {Data: []byte(policy)}}); err == nil {
		t.Error("the same ID twice is taken")
	}
}
