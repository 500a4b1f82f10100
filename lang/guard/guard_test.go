package guard

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

func mustParse(t testing.TB, rules string) *Rules {
	t.Helper()
	r, err := Parse("rules.guard", []byte(rules))
	if err != nil {
		t.Fatalf("%s\n%s", rules, diag.Detail(err))
	}
	return r
}

func mustLoad(t testing.TB, name, text string) *Document {
	t.Helper()
	d, err := Load(name, []byte(text))
	if err != nil {
		t.Fatalf("%s\n%s", text, diag.Detail(err))
	}
	return d
}

// A clause means what the language says, and where the reference implementation is wrong, what is right.
func TestClauses(t *testing.T) {
	const doc = `
Resources:
  a: {Type: "T::A::B", Properties: {Size: 50.5, Port: 85, Name: web, Tags: [x, y], Empty: "", None: null, On: false, Sub: {k1: 1, k2: 2}, Mixed: [1, "1"]}}
  b: {Type: "T::C::D", Properties: {Size: 5, Ref: a}}
`
	const a = "Resources.a.Properties."
	for _, c := range []struct {
		rule string
		want Status
	}{
		{a + "Size > 10", Pass}, // bug 1 of the reference
		{a + "Size == 50.5", Pass},
		{"Resources.b.Properties.Size == 5.0", Pass},
		{"T::A::B when Properties.Size > 10 { Properties.Name == 'web' }", Pass},             // bug 2
		{"T::A::B when Properties.Size > 100 { Properties.Name == 'other' }", Skip},          // bug 2
		{a + "Port not in [r[80,90]]", Fail},                                                 // bug 3
		{a + "Port in [r[80,85), 443]", Fail},                                                //
		{a + "Port in r(84,85]", Pass},                                                       //
		{"Resources.*[ Type == 'X' ].Y not exists", Skip},                                    // bug 4, here with other resources
		{"Nothing.*[ Type == 'X' ].Y not exists", Pass},                                      //
		{a + "On !empty", Fail},                                                              // bug 5: cannot be answered
		{a + "On empty", Fail},                                                               //
		{a + "None empty", Pass},                                                             // bug 8
		{"let n = Resources.*.Type\nlet k = ['b']\nResources.%k[0].Type == 'T::C::D'", Pass}, // a list of names is its names
		{"let k = Resources.b.Properties.Ref\nResources.%k[0].Type == 'T::A::B'", Pass},      // bug 6
		{"let k = Resources.b.Properties.Ref\nResources.%k.Type == 'T::A::B'", Pass},         //
		{"let k = Resources.b.Properties.Ref\nResources[%k].Type == 'T::A::B'", Pass},        //
		{a + "Missing == 1", Fail},
		{a + "Missing != 1", Fail},
		{a + "Missing not exists", Pass},
		{a + "Missing empty", Pass},
		{a + "Empty empty", Pass},
		{a + "Tags[*] in ['x', 'y', 'z']", Pass},
		{a + "Tags in ['x', 'y', 'z']", Pass},
		{"some " + a + "Tags[*] == 'x'", Pass},
		{a + "Tags[*] == 'x'", Fail},
		{a + "Tags[-1] == 'y'", Pass},
		{a + "Tags.1 == 'y'", Pass},
		{a + "Tags[7] exists", Fail},
		{a + "Name == /^w/", Pass},
		{a + "Name in [/^x/, /b$/]", Pass},
		{a + "Name != 5", Fail}, // not comparable
		{a + "Name not in [5]", Pass},
		{a + "Name in 'the web is wide'", Pass},
		{"not " + a + "Name == 'web'", Fail},
		{"!" + a + "Name exists", Fail},
		{a + "Sub[ keys == /1$/ ] == 1", Pass},
		{a + "Sub[ keys in ['k2'] ] == 2", Pass},
		{a + "Sub[ keys not in ['k2'] ] == 1", Pass},
		{a + "Sub.* { this >= 1\n this is_int }", Pass},
		{a + "Sub is_struct", Pass},
		{a + "name == 'web'", Pass}, // another spelling of the key
		{"Resources[ n | Type == 'T::A::B' ] { Properties.Name == 'web' }\n%n == 'a'", Pass},
		{"let xs = Resources[ n | Type == 'T::A::B' ]\n%n == 'a'", Pass}, // the capture asks for its variable
		{"let xs = Resources.*[ Type == 'T::A::B' ]\nlet c = count(%xs)\n%c == 1", Pass},
		{"when Resources.a exists { Resources.a.Type == 'no' }", Fail},
		{"when Resources.z exists { Resources.a.Type == 'no' }", Skip},
		{a + "Name == 'no' or " + a + "Port == 85", Pass},
		{a + "Name == 'no'\nor " + a + "Port == 86 |OR| " + a + "Port == 85", Pass},
		{a + "Name == 'no' or " + a + "Port == 86", Fail},
		{"let x = Resources.a.Properties.Tags\n'x' in %x", Fail}, // 'x' is a property here
		{"let x = 'x'\nlet y = Resources.a.Properties.Tags\n%x in %y", Pass},
		{"let l = Resources.a.Properties.Tags[*]\nlet r = Resources.a.Properties.Tags[*]\n%l == %r", Pass},
		{"let l = Resources.a.Properties.Tags[*]\nlet r = Resources.b.Type\n%l != %r", Pass}, // as sets
		{"some " + a + "Tags[*] in " + a + "Name", Fail},
		{"some " + a + "Tags[*] in " + a + "Tags[0]", Pass}, // some is some, between two queries too
		{"some " + a + "Tags[*] == " + a + "Tags[1]", Pass},
		{a + "Tags { this[0] == 'x' }", Pass},
		{a + "Mixed[*] == 1", Fail},
		{"let five = 5\n%five == [5]", Pass},
		{"let l = ['x', 'y']\nlet x = 'x'\n%l == %x", Fail},                                       // a written list is one value
		{a + "Tags[0][ this == 'x' ] exists", Fail},                                               // a filter behind an index needs a collection
		{"let t = regex_replace(Resources.a.Properties.Name, '^(w)', '${1}x')\n%t == 'wx'", Pass}, // of the matches alone
		{"rule p(x) { %x == 85 }\np(" + a + "Port)", Pass},
		{"rule p(x) { %x == 85 }\nnot p(" + a + "Port)", Fail},
		{"rule p(x) { %x == 85 }\np(" + a + "Size) or p(85)", Pass},
	} {
		got := mustParse(t, c.rule).Check(mustLoad(t, "t.yaml", doc), time.Time{})
		if got.Status != c.want {
			t.Errorf("%s: %v, want %v\n%+v", c.rule, got.Status, c.want, got.Rules)
		}
	}
}

// Rules ask for each other, and rules of one name are one.
func TestRules(t *testing.T) {
	rules := mustParse(t, `
rule later when first { Resources exists }
rule first { X == 1 }
rule never when not first { Resources exists }
rule both when X == 2 { X exists }
rule both when X == 1 { X == 1 }
rule says { first <<because>>
  not first <<why not>> }
`)
	report := rules.Check(mustLoad(t, "t.json", `{"X": 1, "Resources": {}}`), time.Time{})
	got := map[string]Status{}
	for _, v := range report.Rules {
		got[v.Rule] = v.Status
	}
	want := map[string]Status{"later": Pass, "first": Pass, "never": Skip, "both": Pass, "says": Fail}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if f := report.Rules[4].Failures; len(f) != 1 || f[0].Message != "why not" {
		t.Errorf("says: %+v", f)
	}
}

// A failure names rule, clause, place and path, what was there and what was expected.
func TestFailure(t *testing.T) {
	rules := mustParse(t, `let volumes = Resources.*[ Type == 'AWS::EC2::Volume' ]
rule ENCRYPTED when %volumes !empty {
  %volumes.Properties.Encrypted == true
    <<
      Violation: not encrypted
      Fix: encrypt it
    >>
}
`)
	doc := mustLoad(t, "vol.yaml", `Resources:
  good: {Type: "AWS::EC2::Volume", Properties: {Encrypted: true}}
  bad:
    Type: AWS::EC2::Volume
    Properties:
      Encrypted: "no"
  none:
    Type: AWS::EC2::Volume
    Properties:
      Size: 1
`)
	v := rules.Check(doc, time.Time{}).Rules[0]
	clause := diag.Place{File: "rules.guard", Line: 3, Column: 3}
	want := []Failure{
		{clause, "%volumes.Properties.Encrypted == true", "Violation: not encrypted\nFix: encrypt it", "/Resources/none/Properties",
			diag.Place{File: "vol.yaml", Line: 10, Column: 7}, "nothing", "== true", "there is no Encrypted at /Resources/none/Properties"},
		{clause, "%volumes.Properties.Encrypted == true", "Violation: not encrypted\nFix: encrypt it", "/Resources/bad/Properties/Encrypted",
			diag.Place{File: "vol.yaml", Line: 6, Column: 18}, `"no"`, "== true", "a string and a boolean cannot be compared"},
	}
	if d := cmp.Diff(want, v.Failures); d != "" || v.Status != Fail {
		t.Error(v.Status, d)
	}
}

// A thousand failures are counted and a hundred are shown.
func TestFailuresAreBounded(t *testing.T) {
	list := strings.Repeat("1,", 999) + "1"
	v := mustParse(t, "X[*] == 2").Check(mustLoad(t, "t.json", `{"X":[`+list+`]}`), time.Time{}).Rules[0]
	if len(v.Failures) != MaxFailures || v.Omitted != 1000-MaxFailures {
		t.Errorf("%d shown, %d omitted", len(v.Failures), v.Omitted)
	}
}

// What the language does not have is refused with its place and a hint.
func TestRefused(t *testing.T) {
	for _, c := range []struct{ rules, want string }{
		{"rule a { X exist }", `rules.guard:1:12: after X comes an operator or the end of the line (did you mean "exists"?)`},
		{"rule a { X == }", "rules.guard:1:15: a value, a query or a function is missing here"},
		{"rule a { }", "rules.guard:1:11: an empty block says nothing (write a clause between { and })"},
		{"rule a { X exists", "rules.guard:1:18: the file ends within a block (a } is missing)"},
		{"rule a when bother { X exists }", "rules.guard:1:13: there is no rule bother"},
		{"rule able { X exists }\nrule b { abel\n}", `rules.guard:2:10: there is no rule abel (did you mean "able"?)`},
		{"rule a { b\n}\nrule b { a\n}", "rules.guard:1:6: rules ask for each other in a circle: a, b, a (a rule cannot ask for itself)"},
		{"let volumes = X\n%volume exists", `rules.guard:2:1: nothing defines %volume (did you mean "volumes"?)`},
		{"let x = cout(X)\n%x == 1", `rules.guard:1:9: there is no function cout (did you mean "count"?)`},
		{"let x = count(X, Y)\n%x == 1", "rules.guard:1:9: count takes 1 arguments, not 2"},
		{"rule p(a) { %a == 1 }\nrule b { p(1, 2) }", "rules.guard:2:10: p takes 1 arguments, not 2 (p(a))"},
		{"rule b { p(1) }", "rules.guard:1:10: there is no parameterised rule p"},
		{"count(X) == 1", "rules.guard:1:1: a function does not stand on the left-hand side (bind it: let x = count(…), then %x)"},
		{"X == /(?<!a)b/", "rules.guard:1:6: invalid named capture: `(?<!a)b` (look-ahead and look-behind are not supported: say it as two clauses, one with !=)"},
		{`X == /(a)\1/`, "rules.guard:1:6: invalid escape sequence: `\\1` (back references are not supported)"},
		{"X == 'abc", "rules.guard:1:6: the text does not end (close it with ')"},
		{"X == 1 <<oh", "rules.guard:1:8: the message does not end (close it with >>)"},
		{"X == [1, %y]", "rules.guard:1:10: in a list stand literals only (a variable or a query cannot stand in a list)"},
		{"X in r[9,1]", "rules.guard:1:6: the range ends before it begins"},
		{"rule a(x) when X exists { X exists }", "rules.guard:1:15: a parameterised rule has no conditions (write rule a(…) { when … { … } })"},
		{"let k = X\nA.%k[ B exists ].C == 1", "rules.guard:2:1: a filter right behind .%k is not supported (bind the part before it: let x = …%k, then %x[ … ])"},
		{"X { AWS::S3::Bucket { Y exists } }", "rules.guard:1:5: a type block stands only in a rule or outside all (select the resources: Resources.*[ Type == 'AWS::S3::Bucket' ] { … })"},
		{"rule a { X exists; Y exists }", "rules.guard:1:18: a clause begins with a property, a %variable, this, or a rule (clauses stand on lines of their own, nothing separates them)"},
		{strings.Repeat("X { ", 100), "nested deeper than 60 levels"},
		{strings.Repeat("X[ ", 100), "nested deeper than 60 levels"},
		{"X == " + strings.Repeat("[", 100), "nested deeper than 60 levels"},
	} {
		_, err := Parse("rules.guard", []byte(c.rules))
		if err == nil || !errors.Is(err, fault.Invalid) || err.Error() != c.want && !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%.60s: %v\n want %s", c.rules, err, c.want)
		}
	}
}

// A document keeps its lines, its short forms are written out, and what is ambiguous or endless is refused.
func TestLoad(t *testing.T) {
	doc := mustLoad(t, "t.yaml", `a: !GetAtt b.c.d
s: !Sub "x-${y}"
r: [!Ref z, !If [c, 1, !Ref AWS::NoValue]]
d: 2012-10-17
n: ~
i: 007
q: "5"
base: &b {k: 1, l: 2}
use: {<<: *b, l: 3}
`)
	want := `{"a":{"Fn::GetAtt":["b","c.d"]},"s":{"Fn::Sub":"x-${y}"},"r":[{"Ref":"z"},{"Fn::If":["c",1,{"Ref":"AWS::NoValue"}]}],"d":"2012-10-17","n":null,"i":7,"q":"5","base":{"k":1,"l":2},"use":{"l":3,"k":1}}`
	if got := doc.root.show(10_000); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "*" + string(c-1) + "]\n"
	}
	for _, c := range []struct{ name, text, want string }{
		{"t.yaml", "a: 1\nb: 2\na: 3\n", `t.yaml:3:1: "a" comes twice in the same map (remove one of the two)`},
		{"t.json", `{"a": 1, "a": 2}`, "t.json:1:10: this name comes twice in the same object (remove one of the two)"},
		{"t.json", `{"a": `, "t.json:1:7: the JSON ends too early"},
		{"t.json", "{\n  \"a\": tru }", "t.json:2:11: not JSON: invalid character ' ' in literal true (expecting 'e')"},
		{"t.yaml", "", "t.yaml:1:1: the file is empty"},
		{"t.yaml", "a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document begins here (one file holds one document)"},
		{"t.json", `{} {}`, "t.json:1:5: something follows the document (one file holds one document)"},
		{"t.yaml", "a: &x [*x]", "t.yaml:1:8: alias *x stands within what it names"},
		{"t.yaml", bomb, "aliases add more than 100000 values (write the values out)"},
		{"t.json", strings.Repeat("[", 300), "nested deeper than 200 levels"},
		{"t.yaml", "a: " + strings.Repeat("[", 3000), "nested deeper than 200 levels"},
		{"t.yaml", "a: [1", "not YAML: "},
	} {
		_, err := Load(c.name, []byte(c.text))
		if err == nil || !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: %v\n want %s", c.text, err, c.want)
		}
	}
}

// An evaluation ends: what would look at too much fails and says so.
func TestBounded(t *testing.T) {
	r := mustParse(t, "rule p(x) { p(%x) }\nrule a { p(X) }")
	v := r.Check(mustLoad(t, "t.json", `{"X":1}`), time.Time{}).Rules[0]
	if v.Status != Fail || v.Err == nil || !strings.Contains(v.Err.Error(), "more than 100 levels") {
		t.Errorf("%v %v", v.Status, v.Err)
	}
	v = mustParse(t, "let a = %b\nlet b = %a\n%a exists").Check(mustLoad(t, "t.json", `{"X":1}`), time.Time{}).Rules[0]
	if v.Status != Fail || v.Err == nil || !strings.Contains(v.Err.Error(), "defined by itself") {
		t.Errorf("%v %v", v.Status, v.Err)
	}
	many := mustLoad(t, "t.json", `{"X":[`+strings.Repeat("1,", 9_999)+`1]}`)
	v = mustParse(t, "X[*] == X[*]").Check(many, time.Time{}).Rules[0]
	if v.Status != Fail || v.Err == nil || !strings.Contains(v.Err.Error(), "more than 50000000 values") {
		t.Errorf("%v %v", v.Status, v.Err)
	}
}
