package guard

import (
	"time"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// Test is one case of a test file: a document, and what the rules are to say about it.
type Test struct {
	Name string
	Want []Expectation
	doc  *Document
}

// Expectation is the status that a rule is to have.
type Expectation struct {
	Rule  string
	Want  Status
	Got   Status
	Place diag.Place // in the test file
}

// ParseTests reads a test file as the reference implementation has them: a list
// of {name, input, expectations: {rules: {RULE: PASS|FAIL|SKIP}}}.
func ParseTests(name string, text []byte) ([]Test, error) {
	doc, err := Load(name, text)
	if err != nil {
		return nil, err
	}
	tests, wrong := testsOf(name, doc.root)
	if wrong != nil {
		return nil, fault.Invalid.Wrap(wrong.In(text))
	}
	return tests, nil
}

func testsOf(file string, root *Value) ([]Test, *diag.Error) {
	if root.kind != kindList {
		return nil, diag.Errorf(root.place(file), "a test file is a list of cases, not %v", root.kind)
	}
	var tests []Test
	for _, x := range root.items {
		if x.kind != kindMap {
			return nil, diag.Errorf(x.place(file), "a case is a map, not %v", x.kind)
		}
		one := Test{}
		if n := x.get("name"); n != nil && n.kind == kindString {
			one.Name = n.text
		}
		input := x.get("input")
		if input == nil {
			return nil, diag.Errorf(x.place(file), "the case has no input")
		}
		input.parent = nil // paths begin here
		one.doc = &Document{name: file, root: input}
		want := member2(x, "expectations", "rules")
		if want == nil || want.kind != kindMap {
			return nil, diag.Errorf(x.place(file), "the case expects nothing").WithHint("expectations: {rules: {RULE: PASS}}")
		}
		for _, f := range want.fields {
			e := Expectation{Rule: f.key.text, Place: f.key.place(file)}
			if f.value.kind != kindString || e.Want.UnmarshalText([]byte(f.value.text)) != nil {
				return nil, diag.Errorf(f.value.place(file), "%s is not PASS, FAIL or SKIP", f.value.show(40))
			}
			one.Want = append(one.Want, e)
		}
		tests = append(tests, one)
	}
	return tests, nil
}

func member2(v *Value, first, second string) *Value {
	x := v.get(first)
	if x == nil || x.kind != kindMap {
		return nil
	}
	return x.get(second)
}

// Run holds the rules against the case and answers what was expected, with what
// came. As in the reference implementation, what is expected of a rule that does
// not exist is left out.
func (t Test) Run(r *Rules, now time.Time) []Expectation {
	got := map[string]Status{}
	for _, v := range r.Check(t.doc, now).Rules {
		got[v.Rule] = v.Status
	}
	var all []Expectation
	for _, e := range t.Want {
		status, ok := got[e.Rule]
		if !ok {
			continue
		}
		e.Got = status
		all = append(all, e)
	}
	return all
}
