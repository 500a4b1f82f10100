package iam

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Every operator and every condition of the recorded cases answers as it must.
// Where the cases and AWS's documentation disagree, the case is named here
// with the stricter answer that we give.
func TestConformance(t *testing.T) {
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		t.Skip("HAECHI_TESTDATA is not set: no recorded cases to look at")
	}
	dir = filepath.Join(dir, "iam")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no folder iam in HAECHI_TESTDATA")
	}
	run(t, filepath.Join(dir, "operators.jsonl"), "operators", func(line []byte) error {
		var c struct {
			Operator     string            `json:"operator"`
			Context      map[string]scalar `json:"requestContext"`
			PolicyValues []string          `json:"policyValues"`
			RequestValue scalar            `json:"requestValue"`
			Expected     bool              `json:"expected"`
		}
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		context := contextOf(c.Context)
		context["the:key"] = []string(c.RequestValue)
		return expect(caseCondition(c.Operator, "the:key", c.PolicyValues), context, c.Expected)
	})
	run(t, filepath.Join(dir, "conditions.jsonl"), "conditions", func(line []byte) error {
		var c struct {
			Context    map[string]scalar `json:"context"`
			Conditions []struct {
				Op     string   `json:"op"`
				Key    string   `json:"key"`
				Values []string `json:"values"`
			} `json:"conditions"`
			Expected string `json:"expected"`
		}
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		var all []condition
		for _, one := range c.Conditions {
			all = append(all, caseCondition(one.Op, one.Key, one.Values)...)
		}
		return expect(all, contextOf(c.Context), c.Expected == "Match")
	})
}

// scalar is one value of a context, or a list.
type scalar []string

func (s *scalar) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '[' {
		return json.UnmarshalDecode(dec, (*[]string)(s))
	}
	var one string
	err := json.UnmarshalDecode(dec, &one)
	*s = scalar{one}
	return err
}

func contextOf(in map[string]scalar) map[string][]string {
	out := map[string][]string{}
	for k, v := range in {
		out[k] = v
	}
	return out
}

// caseCondition compiles a condition as the parser does, but keeps values that
// cannot be read: the cases ask what those answer.
func caseCondition(name, key string, values []string) []condition {
	o, _ := parseOperator(name)
	if o == nil {
		return nil
	}
	c := condition{operator: *o, key: strings.ToLower(key)}
	for _, v := range values {
		compiled, ok := o.family.compile(v, o.family.variables)
		if !ok {
			compiled = func(string, map[string][]string) answer { return unclear }
		}
		c.values = append(c.values, compiled)
	}
	return []condition{c}
}

func expect(all []condition, context map[string][]string, want bool) error {
	if len(all) == 0 {
		return fmt.Errorf("unknown operator")
	}
	got := true
	for _, c := range all {
		got = got && c.holds(context)
	}
	if got != want {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

func run(t *testing.T, file, name string, one func([]byte) error) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	met, total := 0, 0
	var unmet []string
	for line := range bytes.Lines(text) {
		total++
		if err := one(line); err != nil {
			unmet = append(unmet, fmt.Sprintf("%s line %d: %v: %.300s", name, total, err, bytes.TrimSpace(line)))
		} else {
			met++
		}
	}
	fmt.Printf("CONFORMANCE iam %s %d/%d\n", name, met, total)
	for _, u := range unmet[:min(20, len(unmet))] {
		fmt.Println(u)
	}
	if met != total {
		t.Errorf("%s: %d of %d", name, met, total)
	}
}
