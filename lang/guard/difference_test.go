package guard

import (
	"testing"
	"time"
)

// Where the reference implementation is wrong, the verdict is another: each line of
// docs/guard.md under "What is different" is one of these.
func TestDifferences(t *testing.T) {
	for _, c := range []struct {
		name, rule, document string
		want                 Status
	}{
		{"integers and floats are compared as numbers", `Size > 10`, `{"Size": 50.5}`, Pass},
		{"the condition of a type block is asked of each resource", `AWS::EC2::Volume when Properties.Size > 10 { Properties.Encrypted == true }`,
			`{"Resources": {"a": {"Type": "AWS::EC2::Volume", "Properties": {"Size": 20, "Encrypted": false}}, "b": {"Type": "AWS::EC2::Volume", "Properties": {"Size": 1}}}}`, Fail},
		{"a range within a list is a range", `Port not in [r[80,90]]`, `{"Port": 85}`, Fail},
		{"a filter over no resources selects nothing", `Resources.*[ Type == 'X' ].Y not exists`, `{"Resources": {}}`, Skip},
		{"so it does where there are others", `Resources.*[ Type == 'X' ].Y not exists`, `{"Resources": {"a": {"Type": "Z"}}}`, Skip},
		{"empty on a truth value cannot be answered", `X !empty`, `{"X": false}`, Fail},
		{"empty on null holds", `X empty`, `{"X": null}`, Pass},
		{"a filter behind [*] is asked of the value itself", `A[*][ B == 1 ].C == 2`, `{"A": {"B": 1, "C": 2}}`, Pass},
		{"an index behind a variable chooses among its values", "let names = Names[*]\nResources.%names[0].Type == 'X'", `{"Names": ["a", "b"], "Resources": {"a": {"Type": "X"}, "b": {"Type": "Y"}}}`, Pass},
		{"not before a comparison turns it", `not A == 1`, `{"A": 1}`, Fail},
		{"queries are compared as sets, in both directions", `A[*] == B[*]`, `{"A": [1, 2], "B": [1, 2, 3]}`, Fail},
		{"a negated comparison holds where nothing on the left is on the right", `A[*] != B[*]`, `{"A": [1, 2], "B": [3]}`, Pass},
		{"some is one value also between two queries", `some A[*] == B`, `{"A": [1, 2], "B": 2}`, Pass},
		{"a scalar and a list of it alone are equal", `A == ['x']`, `{"A": "x"}`, Pass},
		{"what is compared with something missing fails", `A == B`, `{"A": 1}`, Fail},
		{"keywords are words", `nullable == 1`, `{"nullable": 1}`, Pass},
		{"a failing scalar right below Resources is reported", `Resources.* == 'x'`, `{"Resources": {"a": "y"}}`, Fail},
	} {
		r, err := Parse("r.guard", []byte("rule R {\n"+c.rule+"\n}"))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		doc, err := Load("d.json", []byte(c.document))
		if err != nil {
			t.Fatal(err)
		}
		if v := r.Check(doc, time.Time{}).Rules[0]; v.Status != c.want {
			t.Errorf("%s: %v, want %v (%+v, %v)", c.name, v.Status, c.want, v.Failures, v.Err)
		}
	}
}
