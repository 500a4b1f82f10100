package sigma_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// rule is a rule about test records with that detection.
func rule(detection string) string {
	return "title: t\nlogsource: {product: test}\ndetection:\n  " + strings.ReplaceAll(strings.TrimSpace(detection), "\n", "\n  ") + "\n"
}

func compile(t testing.TB, texts ...string) *sigma.Set {
	t.Helper()
	var all []*sigma.Rule
	for _, text := range texts {
		rules, err := sigma.Parse("rule.yml", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", diag.Detail(err), text)
		}
		all = append(all, rules...)
	}
	set, err := sigma.Compile(all)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// What each part of the language means.
func TestMeaning(t *testing.T) {
	one := func(search string) string { return "s: " + search + "\ncondition: s" }
	for _, c := range []struct {
		detection string
		yes, no   []string // records
	}{
		{one(`{a: x}`), []string{`{"a":"x"}`, `{"a":"X"}`, `{"a":["y","x"]}`, `{"b":{"a":1},"a":"\u0078"}`}, []string{`{"a":"xy"}`, `{"b":"x"}`, `{"a":null}`, `{"a":{"b":"x"}}`, `{}`}},
		{one(`{a|cased: x}`), []string{`{"a":"x"}`}, []string{`{"a":"X"}`}},
		{one(`{a.b.c: x}`), []string{`{"a":{"b":{"c":"x"}}}`, `{"a":[{"b":1},{"b":[{"c":"y"},{"c":"x"}]}]}`, `{"a.b":{"c":"x"}}`, `{"a.b.c":"x"}`}, []string{`{"a":{"b":"x"}}`, `{"c":"x"}`, `{"a":{"c":"x"}}`}},
		{one(`{a: [x, y]}`), []string{`{"a":"y"}`}, []string{`{"a":"z"}`}},
		{one(`{a: x, b: y}`), []string{`{"a":"x","b":"y"}`}, []string{`{"a":"x"}`}},
		{one(`[{a: x}, {b: y}]`), []string{`{"a":"x"}`, `{"b":"y"}`}, []string{`{"a":"y"}`}},
		{one(`{a: 'x*'}`), []string{`{"a":"xyz"}`, `{"a":"x"}`}, []string{`{"a":"yx"}`}},
		{one(`{a: '*x'}`), []string{`{"a":"yx"}`}, []string{`{"a":"xy"}`}},
		{one(`{a: '*x*'}`), []string{`{"a":"axb"}`, `{"a":"x"}`}, []string{`{"a":"ab"}`}},
		{one(`{a: 'a*b*c'}`), []string{`{"a":"abc"}`, `{"a":"a-B-b-c"}`}, []string{`{"a":"acb"}`, `{"a":"ab"}`}},
		{one(`{a: 'a?c'}`), []string{`{"a":"abc"}`, `{"a":"aüc"}`}, []string{`{"a":"ac"}`, `{"a":"abbc"}`}},
		{one(`{a: '*?c'}`), []string{`{"a":"abc"}`, `{"a":"üc"}`}, []string{`{"a":"c"}`}},
		{one(`{a: 'a\*c'}`), []string{`{"a":"a*c"}`}, []string{`{"a":"abc"}`}},
		{one(`{a: 'a\\*c'}`), []string{`{"a":"a\\c"}`, `{"a":"a\\bc"}`}, []string{`{"a":"a*c"}`}},
		{one(`{a: 'c:\windows'}`), []string{`{"a":"C:\\Windows"}`}, []string{`{"a":"c:windows"}`}},
		{one(`{a: ''}`), []string{`{"a":""}`}, []string{`{"a":"x"}`, `{}`, `{"a":null}`}},
		{one(`{a: null}`), []string{`{}`, `{"a":null}`}, []string{`{"a":""}`, `{"a":0}`, `{"a":[]}`, `{"a":{}}`}},
		{one(`{a: [null, x]}`), []string{`{}`, `{"a":"x"}`}, []string{`{"a":"y"}`}},
		{one(`{a: 22}`), []string{`{"a":22}`, `{"a":"22"}`, `{"a":22.0}`, `{"a":2.2e1}`}, []string{`{"a":220}`, `{"a":"22.0"}`}},
		{one(`{a: true}`), []string{`{"a":true}`, `{"a":"True"}`}, []string{`{"a":false}`, `{"a":1}`}},
		{one(`{a|contains: [x, y]}`), []string{`{"a":"1Y1"}`, `{"a":{"q":"x"}}`}, []string{`{"a":"z"}`}},
		{one(`{a|contains|all: [x, y]}`), []string{`{"a":"yx"}`}, []string{`{"a":"x"}`}},
		{one(`{a|startswith: x?}`), []string{`{"a":"xyz"}`}, []string{`{"a":"x"}`}},
		{one(`{a|endswith: x}`), []string{`{"a":"yx"}`}, []string{`{"a":"xy"}`}},
		{one(`{a|re: '^x.z$'}`), []string{`{"a":"xyz"}`}, []string{`{"a":"XYZ"}`, `{"a":"xyzz"}`}},
		{one(`{a|re|i: 'x.z'}`), []string{`{"a":"aXYZ"}`}, []string{`{"a":"xz"}`}},
		{one(`{a|cidr: [10.0.0.0/8, 'fd00::/8']}`), []string{`{"a":"10.1.2.3"}`, `{"a":"::ffff:10.1.2.3"}`, `{"a":"fd12::1"}`}, []string{`{"a":"11.0.0.1"}`, `{"a":"x"}`, `{"a":10}`}},
		{one(`{a|exists: true}`), []string{`{"a":1}`, `{"a":null}`, `{"a":{}}`, `{"a":[]}`}, []string{`{}`, `{"b":1}`}},
		{one(`{a|exists: false}`), []string{`{}`}, []string{`{"a":1}`}},
		{one(`{a|gt: 5}`), []string{`{"a":6}`, `{"a":"5.5"}`}, []string{`{"a":5}`, `{"a":"x"}`, `{}`}},
		{one(`{a|gte: 5}`), []string{`{"a":5}`}, []string{`{"a":4}`}},
		{one(`{a|lt: 5}`), []string{`{"a":-4}`}, []string{`{"a":5}`}},
		{one(`{a|lte: 5}`), []string{`{"a":5}`}, []string{`{"a":5.1}`}},
		{one(`{a|fieldref: b}`), []string{`{"a":"x","b":"X"}`, `{"b":["y","x"],"a":"x"}`}, []string{`{"a":"x","b":"y"}`, `{}`, `{"a":null,"b":null}`}},
		{one(`{a|fieldref|endswith: b}`), []string{`{"a":"user/x","b":"x"}`}, []string{`{"a":"x/user","b":"x"}`}},
		{one(`{a|base64|contains: 'foobar'}`), []string{`{"a":"--Zm9vYmFy--"}`}, []string{`{"a":"--zm9vymfy--"}`}},
		{one(`{a|base64offset|contains: 'foobar'}`), []string{`{"a":"Zm9vYmFy"}`, `{"a":"eGZvb2Jhcg=="}`, `{"a":"eHhmb29iYXI="}`}, []string{`{"a":"foobar"}`}},
		{one(`{a|wide|base64|contains: 'ping'}`), []string{`{"a":"cABpAG4AZwA="}`}, []string{`{"a":"cGluZw=="}`}},
		{one(`{a|windash|contains: ' -f '}`), []string{`{"a":"x -f y"}`, `{"a":"x /F y"}`, `{"a":"x –f y"}`}, []string{`{"a":"x f y"}`}},
		{one(`[alpha, 'be*a']`), []string{`{"z":{"q":["some ALPHA"]}}`, `{"z":"xbeta"}`}, []string{`{"alpha":"x"}`, `{"z":"gamma"}`}},
		{one(`{'|all': [alpha, beta]}`), []string{`{"a":"alpha","b":"beta"}`}, []string{`{"a":"alpha"}`}},
		{"s: {a: x}\nf: {b: y}\ncondition: s and not f", []string{`{"a":"x"}`}, []string{`{"a":"x","b":"y"}`}},
		{"a: {a: x}\nb: {b: x}\nc: {c: x}\ncondition: a or b and c", []string{`{"a":"x"}`, `{"b":"x","c":"x"}`}, []string{`{"b":"x"}`}},
		{"a: {a: x}\nb: {b: x}\nc: {c: x}\ncondition: (a or b) and c", []string{`{"b":"x","c":"x"}`}, []string{`{"a":"x"}`}},
		{"a: {a: x}\nb: {b: x}\ncondition: not (a or b)", []string{`{}`}, []string{`{"b":"x"}`}},
		{"s_1: {a: x}\ns_2: {b: x}\nf: {c: x}\ncondition: 1 of s_* and not f", []string{`{"a":"x"}`, `{"b":"x"}`}, []string{`{"c":"x"}`, `{"a":"x","c":"x"}`}},
		{"s_1: {a: x}\ns_2: {b: x}\ncondition: all of s_*", []string{`{"a":"x","b":"x"}`}, []string{`{"a":"x"}`}},
		{"s: {a: x}\n_f: {b: x}\ncondition: all of them", []string{`{"a":"x"}`}, []string{`{"b":"x"}`}},
		{"s: {a: x}\nt: {b: x}\ncondition: [s, t]", []string{`{"a":"x"}`, `{"b":"x"}`}, []string{`{}`}},
		{"s: {a: x}\nt: {a: y}\ncondition: any of them", []string{`{"a":"y"}`}, []string{`{"a":"z"}`}},
	} {
		set := compile(t, rule(c.detection))
		e := set.Event()
		for want, records := range map[bool][]string{true: c.yes, false: c.no} {
			for _, r := range records {
				if err := e.Read(r); err != nil {
					t.Errorf("%s: %v", r, err)
				}
				if got := len(set.Match("test.x", e)) == 1; got != want {
					t.Errorf("%s\non %s: got %v, want %v", c.detection, r, got, want)
				}
			}
		}
	}
}

// A rule is about the records of its source only.
func TestSource(t *testing.T) {
	for _, c := range []struct {
		source sigma.LogSource
		name   string
		want   bool
	}{
		{sigma.LogSource{Product: "aws", Service: "cloudtrail"}, "aws.cloudtrail", true},
		{sigma.LogSource{Product: "aws"}, "aws.cloudtrail", true},
		{sigma.LogSource{Product: "aws", Service: "cloudtrail"}, "aws.vpcflow", false},
		{sigma.LogSource{Product: "aw"}, "aws.cloudtrail", false},
		{sigma.LogSource{Category: "dns"}, "dns", true},
		{sigma.LogSource{Category: "dns"}, "dns.bind", true},
		{sigma.LogSource{Category: "dns"}, "aws.dns", false},
	} {
		if got := c.source.Covers(c.name); got != c.want {
			t.Errorf("%+v covers %s: %v", c.source, c.name, got)
		}
	}
}

// A mistake is shown where it is, with what to do about it.
func TestMistakes(t *testing.T) {
	head := "title: t\nlogsource: {product: aws}\n"
	for _, c := range []struct{ text, want string }{
		{"title: [", "rule.yml:"},
		{"", "no rule"},
		{"- a", "rule.yml:1:1: a rule must be a mapping"},
		{"title: t", "rule.yml:1:1: the rule has no detection"},
		{"title: t\ndetektion: {}", `rule.yml:2:12: the rule has no detection (is "detektion" meant to be it?)`},
		{"title: t\ndetection: {s: {a: x}, condition: s}", "no logsource"},
		{head + "level: hihg\ndetection: {s: {a: x}, condition: s}", `rule.yml:3:8: unknown level "hihg" (one of informational, low, medium, high, critical)`},
		{head + "detection:\n  s: {a: x}", "rule.yml:4:3: the detection has no condition (condition: s)"},
		{head + "detection:\n  selection: {a: x}\n  condition: a and selektion", `rule.yml:5:14: there is no search "a"`},
		{head + "detection:\n  selection: {a: x}\n  condition: selection and selektion", `rule.yml:5:28: there is no search "selektion" (did you mean "selection"?)`},
		{head + "detection:\n  s: {a: x}\n  condition: 1 of x*", `rule.yml:5:19: no search is called "x*"`},
		{head + "detection:\n  s: {a: x}\n  condition: 2 of s*", `"2 of" is not supported`},
		{head + "detection:\n  s: {a: x}\n  condition: (s", "a parenthesis is not closed"},
		{head + "detection:\n  s: {a: x}\n  condition: s and", "the condition ends too early"},
		{head + "detection:\n  s: {a: x}\n  condition: s s", `"s" is not expected here`},
		{head + "detection:\n  s: {a: x}\n  condition: s | count() > 5", "aggregations in the condition are not supported (write a correlation"},
		{head + "detection:\n  s: {a: x}\n  timeframe: 5m\n  condition: s", "rule.yml:5:3: timeframe is not supported"},
		{head + "detection:\n  s: {a|contians: x}\n  condition: s", `modifier "contians" is not supported (did you mean "contains"?)`},
		{head + "detection:\n  s: {a|expand: x}\n  condition: s", `modifier "expand" is not supported`},
		{head + "detection:\n  s: {a|contains|endswith: x}\n  condition: s", "contains and endswith do not go together"},
		{head + "detection:\n  s: {a|re: '(?=x)'}\n  condition: s", "rule.yml:4:13: error parsing regexp"},
		{head + "detection:\n  s: {a|cidr: 10.0.0/8}\n  condition: s", `"10.0.0/8" is no network`},
		{head + "detection:\n  s: {a|gt: x}\n  condition: s", `"x" is no number`},
		{head + "detection:\n  s: {a: {b: x}}\n  condition: s", "nested fields are written with dots: a.b"},
		{head + "detection:\n  s: {a: x, a: y}\n  condition: s", `"a" is there twice`},
		{head + "detection:\n  s: {}\n  condition: s", "the search is empty"},
		{head + "detection:\n  s: {a: []}\n  condition: s", "the list of values is empty"},
		{head + "x: &x [a]\ndetection:\n  s: {a: *x}\n  condition: s", "aliases are not supported"},
		{"title: t\ncorrelation: {type: temporal}", `correlation type "temporal" is not supported (event_count and value_count are)`},
		{"title: t\ncorrelation: {type: event_count, rules: [a], timespan: 5x, condition: {gte: 1}}", `"5x" is no timespan`},
		{"title: t\ncorrelation: {type: event_count, rules: [a], timespan: 5m, condition: {lt: 1}}", `"lt" in the condition of a correlation is not supported`},
		{"title: t\ncorrelation: {type: value_count, rules: [a], timespan: 5m, condition: {gte: 1}}", "value_count has no field"},
		{"title: t\ncorrelation: {type: event_count, rules: [a], timespan: 5m, condition: {gte: 1}, aliases: {}}", `"aliases" of a correlation is not supported`},
	} {
		_, err := sigma.Parse("rule.yml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, fault.Invalid) {
			t.Errorf("%s\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

// Records that are not whole JSON objects are refused, whatever is wrong with them.
func TestBrokenRecords(t *testing.T) {
	set := compile(t, rule("s: {a.b: x}\nk: [word]\ncondition: s or k"))
	e := set.Event()
	for _, r := range []string{"", "x", "[]", `"a"`, "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a":x}`, `{"a":"x}`, `{"a":{"b":"x"}`, `{"a":1} x`, `{a:1}`, `{"a":{"b":[1,}}`,
		`{"a":` + strings.Repeat("[", 10_000), strings.Repeat(`{"a":`, 10_000)} {
		if err := e.Read(r); !errors.Is(err, fault.Invalid) {
			t.Errorf("%.40s: %v", r, err)
		}
	}
	if err := e.Read(`{"a":{"b":"x"}}`); err != nil || len(set.Match("test", e)) != 1 {
		t.Errorf("afterwards: %v", err)
	}
}

// The scanner sees in any JSON object what a real decoder sees.
func TestScanner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record, err := json.Marshal(map[string]any{"a": anything(t, 3), "b": anything(t, 3)})
		if err != nil {
			t.Fatal(err)
		}
		var want any
		if err := json.Unmarshal(record, &want); err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "indent") {
			if err := (*jsontext.Value)(&record).Indent(); err != nil {
				t.Fatal(err)
			}
		}
		rules, err := sigma.Parse("", []byte(rule("s: {x: y}\ncondition: s")))
		if err != nil {
			t.Fatal(err)
		}
		set, err := sigma.Compile(rules, "a", "a.b", "b.a.b")
		if err != nil {
			t.Fatal(err)
		}
		e := set.Event()
		if err := e.Read(string(record)); err != nil {
			t.Fatalf("%s: %v", record, err)
		}
		for _, path := range []string{"a", "a.b", "b.a.b"} {
			want, ok := first(want, strings.Split(path, "."))
			if got := e.Get(path); ok && got != want {
				t.Fatalf("%s of %s: got %q, want %q", path, record, got, want)
			}
		}
	})
}

func anything(t *rapid.T, depth int) any {
	switch rapid.IntRange(0, 5+min(depth, 2)).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return rapid.IntRange(-1000, 1000).Draw(t, "int")
	case 3, 4:
		return rapid.String().Draw(t, "string")
	case 5:
		return `q\"u"o\\`
	case 6:
		var list []any
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			list = append(list, anything(t, depth-1))
		}
		return list
	}
	m := map[string]any{}
	for _, k := range []string{"a", "b", `"\ü`} {
		if rapid.Bool().Draw(t, k) {
			m[k] = anything(t, depth-1)
		}
	}
	return m
}

// first is the first scalar at a path.
func first(v any, path []string) (string, bool) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			if s, ok := first(x, path); ok {
				return s, true
			}
		}
	case map[string]any:
		if len(path) > 0 {
			return first(v[path[0]], path[1:])
		}
	case nil:
	default:
		return fmt.Sprint(v), len(path) == 0
	}
	return "", false
}

// Rules find the same together as each finds alone.
func TestTogether(t *testing.T) {
	var texts []string
	rules := testdata(t, "detection/sigma/rules/cloud/aws")
	fs.WalkDir(rules, ".", func(name string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".yml") {
			text, _ := fs.ReadFile(rules, name)
			texts = append(texts, string(text))
		}
		return nil
	})
	records := cloudtrail(t)
	together := compile(t, texts...)
	all := together.Event()
	hits := 0
	alone := make([]*sigma.Set, len(texts))
	for i, text := range texts {
		alone[i] = compile(t, text)
	}
	for _, r := range records {
		if err := all.Read(r); err != nil {
			t.Fatal(err)
		}
		got := append([]int(nil), together.Match("aws.cloudtrail", all)...)
		var want []int
		for i, set := range alone {
			e := set.Event()
			if err := e.Read(r); err != nil {
				t.Fatal(err)
			}
			if len(set.Match("aws.cloudtrail", e)) > 0 {
				want = append(want, i)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n%s", r, diff)
		}
		hits += len(got)
	}
	t.Logf("%d rules, %d records, %d hits", len(texts), len(records), hits)
	if hits == 0 {
		t.Error("nothing was found")
	}
}

// cloudtrail is all CloudTrail records of the test data.
func cloudtrail(t testing.TB) []string {
	var all []string
	data := testdata(t, "detection")
	for _, pattern := range []string{"stratus/*.json", "samples/cloudtrail-benign/*.json"} {
		names, _ := fs.Glob(data, pattern)
		for _, name := range names {
			text, err := fs.ReadFile(data, name)
			if err != nil {
				t.Fatal(err)
			}
			var list []jsontext.Value
			var file struct{ Records []jsontext.Value }
			if json.Unmarshal(text, &list) != nil && json.Unmarshal(text, &file) != nil {
				continue // the manifest
			}
			for _, v := range append(list, file.Records...) {
				v.Compact()
				if strings.Contains(string(v), `"eventName"`) {
					all = append(all, string(v))
				}
			}
		}
	}
	if len(all) == 0 {
		t.Skip("no CloudTrail records")
	}
	return all
}

func correlation(kind, condition string) string {
	return rule("s: {event: fail}\ncondition: s") + "name: fail\n---\ntitle: many\ncorrelation:\n  type: " + kind +
		"\n  rules: [fail]\n  group-by: [ip]\n  timespan: 5m\n  condition: " + condition + "\n"
}

// A correlation holds when enough comes within its timespan, in whatever order, and one attack is one episode.
func TestCorrelation(t *testing.T) {
	set := compile(t, correlation("event_count", "{gte: 3}"))
	if !set.Quiet(0) || len(set.Counted(0)) != 1 || set.Quiet(1) {
		t.Fatalf("rule 0 is counted by %v", set.Counted(0))
	}
	c := set.Rule(1).Correlation
	for _, x := range []struct {
		name     string
		minutes  []int
		holds    string // one letter for each
		episodes int
	}{
		{"slow", []int{0, 4, 8, 12, 16}, "nnnnn", 0},
		{"fast", []int{0, 1, 2}, "nny", 1},
		{"goes on", []int{0, 1, 2, 6, 10, 15}, "nnyyyy", 1},
		{"comes back", []int{0, 1, 2, 10, 11, 12}, "nnynny", 2},
		{"late", []int{0, 2, 20, 1}, "nnny", 1},
		{"backwards", []int{2, 1, 0}, "nny", 1},
		{"far too late", []int{0, 1, 200, 2}, "nnnn", 0},
		{"just within", []int{0, 0, 5}, "nny", 1},
	} {
		var w sigma.Window
		got, episodes, last := "", map[int64]bool{}, int64(0)
		for _, m := range x.minutes {
			if c.Observe(&w, time.Unix(1e9, 0).Add(time.Duration(m)*time.Minute), "") {
				got += "y"
				episodes[w.First] = true
				last = max(last, w.Last)
			} else {
				got += "n"
			}
		}
		if got != x.holds || len(episodes) != x.episodes {
			t.Errorf("%s: %s, want %s; %d episodes, want %d", x.name, got, x.holds, len(episodes), x.episodes)
		}
	}
	values := compile(t, correlation("value_count", "{gte: 3, field: user}")).Rule(1).Correlation
	var w sigma.Window
	got := ""
	for _, user := range []string{"a", "a", "b", "", "a", "c", "d"} {
		got += map[bool]string{true: "y", false: "n"}[values.Observe(&w, time.Unix(1e9, 0), user)]
	}
	if got != "nnnnnyy" {
		t.Errorf("values: %s", got)
	}
}

// A correlation that counts what is not there is refused.
func TestCorrelationOfNothing(t *testing.T) {
	rules, err := sigma.Parse("x.yml", []byte(strings.Replace(correlation("event_count", "{gte: 3}"), "rules: [fail]", "rules: [fial]", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sigma.Compile(rules); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `"fial" that is not there`) {
		t.Errorf("got %v", err)
	}
}

// Whatever stands in a rule file, reading it ends in rules that can be used or in an error with a place.
func FuzzParse(f *testing.F) {
	f.Add(rule("s: {a|contains|all: [x, '*y?']}\nk: [w, null]\ncondition: 1 of s* and not (k or all of them)"))
	f.Add(correlation("value_count", "{gte: 3, field: user}"))
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := sigma.Parse("f.yml", []byte(text))
		if err != nil {
			if !strings.Contains(err.Error(), "f.yml") {
				t.Fatalf("no place: %v", err)
			}
			return
		}
		set, err := sigma.Compile(rules)
		if err != nil {
			return
		}
		e := set.Event()
		if err := e.Read(`{"a":"xy","b":["w",1,true,null]}`); err != nil {
			t.Fatal(err)
		}
		set.Match("aws.cloudtrail", e)
	})
}

// Whatever a record holds, reading it is quick and harmless, and what a decoder takes the scanner takes.
func FuzzRecord(f *testing.F) {
	f.Add(`{"a":{"b":["x",{"c":"\u00fc"}]},"d":1e5}`)
	f.Add(`{"a":"\\\"","a.b":"*"}`)
	set := compile(f, rule("s: {a.b|contains: x, a: ['*?y', null]}\nk: [word]\nr: {d|re: x+, d|cidr: 10.0.0.0/8, d|gt: 5}\ncondition: s or k or r"))
	f.Fuzz(func(t *testing.T, record string) {
		e := set.Event()
		err := e.Read(record)
		set.Match("test", e)
		if v := jsontext.Value(record); err != nil && v.IsValid() && v.Kind() == '{' && !strings.Contains(err.Error(), "too deep") {
			t.Fatalf("%q: %v", record, err)
		}
		e.ReadText(record)
		set.Match("test", e)
	})
}

func BenchmarkMatch(b *testing.B) {
	records := cloudtrail(b)
	data := testdata(b, "detection/sigma/rules")
	var aws, other []string
	fs.WalkDir(data, ".", func(name string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".yml") {
			text, _ := fs.ReadFile(data, name)
			if strings.HasPrefix(name, "cloud/aws") {
				aws = append(aws, string(text))
			} else {
				other = append(other, string(text))
			}
		}
		return nil
	})
	many := append([]string(nil), aws...)
	for i := 0; len(many) < 500; i++ {
		many = append(many, aws[i%len(aws)])
	}
	bytes := 0
	for _, r := range records {
		bytes += len(r)
	}
	for _, c := range []struct {
		name  string
		rules []string
	}{{"aws-57", aws}, {"aws-500", many}, {"all-335", append(append([]string(nil), aws...), other...)}} {
		b.Run(c.name, func(b *testing.B) {
			set := compile(b, c.rules...)
			e := set.Event()
			b.ReportAllocs()
			b.SetBytes(int64(bytes / len(records)))
			for i := range b.N {
				if err := e.Read(records[i%len(records)]); err != nil {
					b.Fatal(err)
				}
				set.Match("aws.cloudtrail", e)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
