package guard

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// phrases make random rules. What the package's documentation lists as different
// from the reference implementation is left out: floats, empty on truth values,
// negated comparisons of two queries, an index behind a variable, no resources,
// a filter behind [*], some between two queries.
type phrases struct{ *rand.Rand }

func (p phrases) one(of ...string) string { return of[p.IntN(len(of))] }

func (p phrases) query() string {
	name := p.one("S", "I", "B", "L", "LI", "M", "LM", "One", "Nope")
	q := p.one("Resources.a.Properties."+name, "Resources.*.Properties."+name, "Resources.*[ Type == 'T::A::B' ].Properties."+name, "%all.Properties."+name,
		"%all", "%none", "%some", "Resources.%names.Properties."+name, "Top", "Names[*]", "Resources[ Type == 'T::A::B' ].Type", "Resources.a.properties.s")
	return q + p.one("", "", "", "", "[*]", ".*", "[0]", "[*].p", "[ p exists ]", ".'k1'")
}

func (p phrases) literal() string {
	return p.one("'web'", "'x'", "5", "1", "true", "null", "/^w/", "/x|y/", "['x','y']", "['x','y','z']", "[1,2,3]", "{'k1':1}", "r[1,5]", "[/^w/,'x']", "['web', 5]", "'the web x'")
}

func (p phrases) clause() string {
	some := p.one("", "", "some ")
	switch p.IntN(5) {
	case 0:
		return some + p.query() + " " + p.one("", "!", "not ") + p.one("exists", "is_string", "is_list", "is_struct", "is_bool", "is_int", "is_null")
	case 1:
		return p.one("%all", "%none", "%some", "Resources.*[ Type == 'T::A::B' ]") + p.one(" empty", " !empty")
	case 2:
		return p.query() + " " + p.one("==", "in") + " " + p.query()
	case 3:
		return some + "Resources." + p.one("a", "*") + ".Properties." + p.one("S", "I", "L", "LI") + " " + p.one("!=", "not in") + " " + p.literal()
	}
	return some + p.query() + " " + p.one("==", "in", "<", ">=") + " " + p.literal()
}

func (p phrases) inner() string {
	return p.one("this == 'x'", "p == 1", "S == 'web'", "Properties.S == 'web'", "this is_struct", "this[0] == 'x'", "this.p == 1 or this.q == 'x'", "%lit == S", "S in %lits", "q exists\n p >= 1",
		"not p exists", "when p exists { q == 'x' }", "M[ keys in ['k1','k9'] ] >= 1", "M[ keys != 'k1' ] == 'z'", "L[ this == 'x' ] !empty", "LM[ p == 1 ].q == 'x'", "L[2] not exists",
		"Properties { S == 'web' or I == 1 }", "Properties.L[*] { this == /x|y/ }")
}

func (p phrases) line() string {
	switch p.IntN(8) {
	case 0:
		return p.clause() + " or " + p.clause()
	case 1:
		return p.one("", "some ") + p.one("Resources.*", "Resources.a", "%all", "%none", "Resources.a.Properties", "Resources.a.Properties.LM[*]", "Resources[ Type == 'T::A::B' ]") + " { " + p.inner() + " }"
	case 2:
		return "T::A::B { " + p.inner() + " }"
	case 3:
		return p.one("same(Resources.a.Properties.S, 'web')", "same(Resources.*.Properties.I, %num)", "shaped(%all.Properties)", "shaped(Resources.a.Properties)") + p.one("", " or "+p.clause())
	case 4:
		return p.one("named\n", "not named\n", "skipped\n", "not skipped\n")
	case 5:
		return "when " + p.clause() + " { " + p.clause() + " }"
	case 6:
		return p.one("let c = count(%all)\n %c == 2", "let j = join(%names, ',')\n %j == 'a,b'", "let u = to_upper(Resources.*.Properties.S)\n %u in ['WEB','DB']",
			"let s = substring(Resources.a.Properties.S, 0, 2)\n %s == 'we'", "let r = regex_replace(Resources.a.Properties.S, '^(w)', '${1}x')\n %r == 'wx'")
	}
	return p.clause()
}

func (p phrases) rule() string {
	return `let lit = 'web'
let lits = ['x','y','web']
let num = 5
let all = Resources.*[ Type == 'T::A::B' ]
let none = Resources.*[ Type == 'none' ]
let some = some Resources.*.Properties.L[*]
let names = Names[*]
rule random { ` + p.line() + "\n " + p.one("", p.line()) + ` }
rule named { Resources.a.Properties.S == 'web' }
rule skipped when Resources.zz exists { Resources.zz.T == 1 }
rule same(x, y) { %x == %y or %x in %y }
rule shaped(x) { %x { S exists
 S in ['web','db'] } }
`
}

var referenceDocuments = []string{
	`{"Resources":{"a":{"Type":"T::A::B","Properties":{"S":"web","I":5,"B":true,"L":["x","y"],"LI":[1,2,3],"M":{"k1":1,"k2":"z"},"LM":[{"p":1,"q":"x"},{"p":2}],"One":["web"]}},
		"b":{"Type":"T::C::D","Properties":{"S":"db","I":7,"L":["y"],"M":{"k1":2}}},"c":{"Type":"T::A::B"}},"Top":"x","Names":["a","b"]}`,
	`{"Resources":{"a":{"Type":"T::A::B","Properties":{"S":"x","I":1,"L":"x","LM":{"p":1},"M":{"k1":1}}}},"Names":["zz"],"Top":["x","y"]}`,
	`{"Resources":{"q":{"Type":"T::A::B","Properties":{"S":null,"L":{"a":1},"LM":"x","M":[1]}}},"Names":["q"],"Top":"5"}`,
}

// Random rules have the statuses that the reference implementation gives them. It
// is the program that HAECHI_CFN_GUARD names, version 3.1.
func TestReference(t *testing.T) {
	program := os.Getenv("HAECHI_CFN_GUARD")
	if program == "" {
		t.Skip("HAECHI_CFN_GUARD names no cfn-guard")
	}
	var docs []*Document
	for i, d := range referenceDocuments {
		docs = append(docs, mustLoad(t, fmt.Sprint(i, ".json"), d))
	}
	const seed = 1
	p := phrases{rand.New(rand.NewPCG(seed, 0))}
	compared := 0
	for range 400 {
		text := p.rule()
		want, err := reference(program, text)
		if err != nil {
			continue // it gives up on the whole file where a value is of another kind than a function wants
		}
		r := mustParse(t, text)
		for i, d := range docs {
			compared++
			if v := r.Check(d, time.Time{}).Rules[0]; v.Status != want[i] {
				t.Errorf("document %d: %v, want %v\n%s\n%+v %v", i, v.Status, want[i], text, v.Failures, v.Err)
			}
		}
	}
	if compared < 1000 {
		t.Errorf("only %d statuses were compared", compared)
	}
}

// reference is the status of the rule called random for each document.
func reference(program, rules string) (statuses []Status, err error) {
	payload, err := json.Marshal(map[string][]string{"rules": {rules}, "data": referenceDocuments})
	if err != nil {
		return nil, err
	}
	c := exec.Command(program, "validate", "--payload", "--structured", "-S", "none", "-o", "json")
	c.Stdin = bytes.NewReader(payload)
	out, err := c.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 19 { // a rule fails
		err = nil
	}
	if err != nil {
		return nil, err
	}
	var files []struct {
		Passed []string `json:"compliant"`
		Failed []struct {
			Rule struct {
				Name string `json:"name"`
			}
		} `json:"not_compliant"`
	}
	if err := json.Unmarshal(out, &files); err != nil {
		return nil, fmt.Errorf("%w: %.200s", err, strings.TrimSpace(string(out)))
	}
	for _, f := range files {
		s := Skip
		for _, name := range f.Passed {
			if name == "random" {
				s = Pass
			}
		}
		for _, x := range f.Failed {
			if x.Rule.Name == "random" {
				s = Fail
			}
		}
		statuses = append(statuses, s)
	}
	return statuses, nil
}
