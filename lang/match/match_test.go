package match_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// The rules that are easily got wrong.
func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, event string
		want           bool
	}{
		// numbers
		{`{"a": [300]}`, `{"a": 3.0e2}`, true},
		{`{"a": [300]}`, `{"a": "300"}`, false},
		{`{"a": [0.1]}`, `{"a": 0.10}`, true},
		{`{"a": [0]}`, `{"a": -0.0e5}`, true},
		{`{"a": [12345678901234567890]}`, `{"a": 12345678901234567891}`, false},
		{`{"a": [12345678901234567890]}`, `{"a": 12345678901234567890.0}`, true},
		{`{"a": [{"anything-but": 12345678901234567890}]}`, `{"a": 12345678901234567891}`, true},
		{`{"a": [{"numeric": [">", -5, "<=", 3.018e2]}]}`, `{"a": 301.8}`, true},
		{`{"a": [{"numeric": [">", -5]}]}`, `{"a": -5}`, false},
		{`{"a": [{"numeric": ["=", 1e400]}]}`, `{"a": 10e399}`, true},
		{`{"a": [{"numeric": [">", 0]}]}`, `{"a": "5"}`, false},
		// addresses
		{`{"a": ["2001:db8::1"]}`, `{"a": "2001:DB8:0:0:0:0:0:1"}`, true},
		{`{"a": [{"exactly": "2001:db8::1"}]}`, `{"a": "2001:DB8:0:0:0:0:0:1"}`, false},
		{`{"a": [{"anything-but": ["2001:db8::1"]}]}`, `{"a": "2001:DB8:0:0:0:0:0:1"}`, false},
		{`{"a": ["10.0.0.9"]}`, `{"a": "::ffff:10.0.0.9"}`, false},
		{`{"a": [{"cidr": "10.0.0.7/24"}]}`, `{"a": "10.0.0.9"}`, true},
		{`{"a": [{"cidr": "10.0.0.7/24"}]}`, `{"a": "::ffff:10.0.0.9"}`, false},
		{`{"a": [{"cidr": "0.0.0.0/0"}]}`, `{"a": "2001:db8::1"}`, false},
		{`{"a": [{"cidr": "0.0.0.0/0"}]}`, `{"a": 5}`, false},
		{`{"a": [{"cidr": "::/0"}]}`, `{"a": "10.0.0.9"}`, false},
		{`{"a": [{"cidr": "::/0"}]}`, `{"a": "fe80::1%eth0"}`, false},
		{`{"a": [{"cidr": "10.0.0.0/8"}]}`, `{"a": "10.00.0.1"}`, false},
		// texts
		{`{"a": [{"equals-ignore-case": "straße"}]}`, `{"a": "STRASSE"}`, false},
		{`{"a": [{"equals-ignore-case": "STRAßE"}]}`, `{"a": "straße"}`, true},
		{`{"a": [{"prefix": {"equals-ignore-case": "ÉT"}}]}`, `{"a": "été"}`, true},
		{`{"a": [{"suffix": "\u0065"}]}`, `{"a": "\u0078\u0065"}`, true},
		{`{"a": ["😀"]}`, `{"a": "\ud83d\ude00"}`, true},
		{`{"a": [{"wildcard": "*a"}, {"suffix": {"equals-ignore-case": "AL"}}]}`, `{"a": "a.b.c.example.com"}`, false},
		{`{"a": [{"wildcard": "a*a"}]}`, `{"a": "a"}`, false},
		{`{"a": [{"wildcard": "*ab*ab*"}]}`, `{"a": "xabab"}`, true},
		{`{"a": [null]}`, `{"a": ""}`, false},
		{`{"a": ["arn:aws:x/y"]}`, `{"a": "arn:aws:x:y"}`, false},
		// names
		{`{"a": {"b": ["x"]}}`, `{"a.b": "x"}`, true},
		{`{"a.b": ["x"]}`, `{"a": {"b": "x"}}`, true},
		{`{"a.b.c": ["x"]}`, `{"a": {"b.c": "x"}}`, true},
		{`{"é": ["x"]}`, `{"\u00e9": "x"}`, true},
		{`{"": ["x"]}`, `{"": "x"}`, true},
		{`{"A": ["x"]}`, `{"a": "x"}`, false},
		{`{"a": ["1"]}`, `{"a": "1", "a": "x"}`, true},
		{`{"a": ["x"]}`, `{"a": "1", "a": "x"}`, true},
		// what is there
		{`{"a": [{"exists": true}]}`, `{"a": null}`, true},
		{`{"a": [{"exists": true}]}`, `{"a": {"b": 1}}`, false},
		{`{"a": [{"exists": true}]}`, `{"a": []}`, false},
		{`{"a": [{"exists": false}]}`, `{"a": {"b": 1}}`, true},
		{`{"a": [{"exists": false}]}`, `{"a": [{}, []]}`, true},
		{`{"a": [{"anything-but": "x"}]}`, `{"a": [null]}`, true},
		{`{"a": [{"anything-but": "x"}]}`, `{"a": ["x", "z"]}`, true},
		{`{"a": [{"anything-but": "x"}]}`, `{"b": 1}`, false},
		{`{"a": [{"anything-but": "x"}, {"anything-but": "y"}]}`, `{"a": "x"}`, true},
		// arrays
		{`{"p": ["q"]}`, `{"p": ["p", ["q"]]}`, true},
		{`{"e": {"f": ["Anna"], "l": ["Jones"]}}`, `{"e": [{"f": "Anna", "l": "Smith"}, {"f": "Peter", "l": "Jones"}]}`, false},
		{`{"e": {"f": ["Anna"], "l": ["Smith"]}}`, `{"e": [{"f": "Anna", "l": "Smith"}, {"f": "Peter", "l": "Jones"}]}`, true},
		{`{"e": {"f": ["Anna"], "l": [{"exists": false}]}}`, `{"e": [{"f": "Anna"}, {"f": "Peter", "l": "Jones"}]}`, true},
		{`{"e": {"l": [{"exists": false}]}}`, `{"e": [{"f": "Anna"}, {"f": "Peter", "l": "Jones"}]}`, false},
	} {
		if got := parse(t, c.pattern).Match([]byte(c.event)); got != c.want {
			t.Errorf("%s on %s: got %v, want %v", c.pattern, c.event, got, c.want)
		}
	}
}

// What is not a JSON object matches nothing, and one is told what is wrong where.
func TestInvalidEvents(t *testing.T) {
	p := parse(t, `{"a": ["x"], "b": [{"exists": false}]}`)
	set := match.NewSet(match.Rule[string]{ID: "r", Pattern: p})
	for _, c := range []struct{ event, want string }{
		{``, `event:1:1: the JSON ends too early`},
		{`"x"`, `event:1:1: an event is a JSON object`},
		{`{"a": "x"} 1`, `event:1:12: something follows the event`},
		{`{"a": "x"`, `event:1:10: the JSON ends too early`},
		{`{"a": "x}`, `event:1:10: the text does not end`},
		{`{"a": "x",}`, `event:1:11: the name of a member is missing`},
		{`{"a" "x"}`, `event:1:6: a colon is missing`},
		{`{"a": "x" "c": 1}`, `event:1:11: a comma or } is missing`},
		{`{"a": ["x" 1]}`, `event:1:12: a comma or ] is missing`},
		{`{"a": "x", "c": [1,]}`, `event:1:20: not a JSON value`},
		{`{"a": "x", "c": 01}`, `event:1:17: a number with a zero in front`},
		{`{"a": "x", "c": 1.}`, `event:1:17: a number that ends in a point`},
		{`{"a": "x", "c": 1e}`, `event:1:17: a number without its exponent`},
		{`{"a": "x", "c": nul}`, `event:1:17: not a JSON value`},
		{"{\"a\": \"x\",\n\"c\": \"\t\"}", `event:2:7: a control character within a text`},
		{`{"a": "x", "c": "\x"}`, `event:1:18: not an escape`},
		{`{"a": "x", "c": "\ud800"}`, `event:1:18: not an escape`},
		{"{\"a\": \"x\", \"c\": \"\xff\"}", `event:1:18: not UTF-8`},
		{`{"a": "x", "c": ` + strings.Repeat("[", 1000), `event:1:1016: nested deeper than 1000 levels`},
	} {
		event := []byte(c.event)
		ids, err := set.Match(event, nil)
		if p.Match(event) || p.Why(event).Matched || len(ids) > 0 {
			t.Errorf("%s matches", c.event)
		}
		if err == nil || err.Error() != c.want || fault.Of(err) != fault.Invalid {
			t.Errorf("%s\ngot  %v\nwant %s", c.event, err, c.want)
			continue
		}
		if e := match.Check(event); e == nil || diag.Detail(e) == "" || e.Error() != err.Error() {
			t.Errorf("%s: Check says %v", c.event, e)
		}
	}
	deepest := `{"a": "x", "c": ` + strings.Repeat("[", 999) + strings.Repeat("]", 999) + `}`
	if err := match.Check([]byte(deepest)); err != nil || !p.Match([]byte(deepest)) {
		t.Errorf("a thousand levels: %v", err)
	}
}

// Events that are made to be slow are not: a megabyte takes at most a few
// hundred milliseconds, whichever pattern it meets.
func TestHostileEvents(t *testing.T) {
	patterns := []string{
		`{"a": {"x": ["1"], "y": ["1"], "z": ["1"]}}`,
		`{"a": {"x": [{"exists": false}, "1"], "y": ["1", {"exists": false}], "z": ["1"]}}`,
		`{"u": {"x": ["1"]}, "v": {"y": ["1"]}, "w": {"z": ["1"]}}`,
		`{"a": {"a": {"a": {"x": ["1"], "y": ["2"]}, "x": ["3"]}, "y": ["4"]}}`,
		`{"a": [{"wildcard": "*a*a*a*a*b"}], "b": [{"wildcard": "*aaaa*aaab*"}]}`,
		`{"a": ["1"], "b": ["1"]}`,
	}
	const n = 30_000
	list := func(items ...string) string {
		var all []string
		for i := range n {
			all = append(all, items[i%len(items)])
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	chain := strings.Repeat("[", 900) + `{"x":"1"},{"y":"1"}` + strings.Repeat("]", 900)
	for name, event := range map[string]string{
		"alternating elements": `{"a":` + list(`{"x":"1"}`, `{"y":"1"}`, `{"z":"1"}`) + `}`,
		"pairs only":           `{"a":` + list(`{"x":"1","y":"1"}`, `{"y":"1","z":"1"}`, `{"z":"1","x":"1"}`) + `}`,
		"independent arrays":   `{"u":` + list(`{"x":"1"}`) + `,"v":` + list(`{"y":"1"}`) + `,"w":` + list(`{"z":"2"}`) + `}`,
		"repeated names":       `{` + strings.Repeat(`"a":[{"x":"1"},{"y":"1"}],`, n) + `"b":1}`,
		"repeated deep":        `{` + strings.Repeat(`"a":{"a":[{"x":"3"},{"a":[{"x":"1"},{"y":"2"}]}]},`, n/2) + `"b":1}`,
		"deep chains":          `{"a":[` + strings.TrimSuffix(strings.Repeat(chain+",", 500), ",") + `]}`,
		"one deep list":        `{"a":` + strings.Repeat("[", 900) + list(`{"x":"1"}`, `{"y":"1"}`) + strings.Repeat("]", 900) + `}`,
		"long text":            `{"a":"` + strings.Repeat("a", 1<<20) + `","b":"` + strings.Repeat("a", 1<<20) + `"}`,
		"many texts":           `{"a":` + list(`"1"`) + `,"b":` + list(`"2"`) + `}`,
		"dotted names":         `{"` + strings.Repeat("a.", 1<<19) + `":"1"}`,
	} {
		set := match.NewSet[int]()
		for i, text := range patterns {
			set = set.With(match.Rule[int]{ID: i, Pattern: parse(t, text)})
		}
		start := time.Now()
		if _, err := set.Match([]byte(event), nil); err != nil && !strings.Contains(err.Error(), "repeated names") {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s (%d bytes) takes %v", name, len(event), took)
		} else {
			t.Logf("%-22s %7d bytes %v", name, len(event), took)
		}
	}
}

// An event that cannot be decided for one rule is decided for the others.
func TestUndecided(t *testing.T) {
	const n = 30
	event := `{`
	for i := range n {
		event += fmt.Sprintf(`"a": [{"x%d": 1}, {"x%d": 1}], `, i, (i+1)%n)
	}
	event += `"b": [{"x": 1}, {"y": 1}]}`
	var hard []string
	for i := range n {
		hard = append(hard, fmt.Sprintf(`"x%d": [1], "y%d": [{"exists": false}, 1]`, i, i))
	}
	hardest := parse(t, `{"a": {`+strings.Join(hard, ", ")+`, "z": [{"exists": false}]}, "b": {"x": [1], "y": [1]}}`)
	easy := parse(t, `{"b": {"x": [1], "y": [{"exists": false}]}}`)
	set := match.NewSet(match.Rule[string]{ID: "hardest", Pattern: hardest}, match.Rule[string]{ID: "easy", Pattern: easy})
	ids, err := set.Match([]byte(event), nil)
	if len(ids) != 1 || ids[0] != "easy" || err == nil {
		t.Errorf("got %v, %v; want the easy one and an error", ids, err)
	}
	if why := hardest.Why([]byte(event)); why.Matched || why.Err == nil {
		t.Errorf("why: %v", why)
	}
}

// A list of many values takes no longer than a list of few.
func TestLongLists(t *testing.T) {
	var texts []string
	for i := range 15_000 {
		texts = append(texts, fmt.Sprintf("%q", fmt.Sprint("value ", i)))
	}
	list := strings.Join(texts, ",")
	wanted, unwanted := parse(t, `{"a": [`+list+`, 5]}`), parse(t, `{"a": [{"anything-but": [`+list+`]}]}`)
	long := []byte(`{"a": [` + strings.Repeat(`"value x",`, 20_000) + `"value 14999"]}`)
	start := time.Now()
	if !wanted.Match(long) || !unwanted.Match(long) {
		t.Error("no match")
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("it takes %v", took)
	}
	for event, want := range map[string]bool{`{"a": "value 7"}`: true, `{"a": "value x"}`: false, `{"a": 5}`: true, `{"a": 6}`: false} {
		if wanted.Match([]byte(event)) != want {
			t.Errorf("%s: want %v", event, want)
		}
	}
	if unwanted.Match([]byte(`{"a": "value 7"}`)) || !unwanted.Match([]byte(`{"a": 5}`)) {
		t.Error("anything-but is wrong")
	}
}

// White space and the order of members mean nothing.
func TestSpace(t *testing.T) {
	p := parse(t, `{"a": {"b": [1]}}`)
	if !p.Match(bytes.ReplaceAll([]byte(` { "c" : [ ] , "d" : { } , "a" : [ { "b" : 1 } ] } `), []byte(" "), []byte("\r\n\t "))) {
		t.Error("white space is in the way")
	}
}
