package match_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// What EventBridge refuses is refused, with the clause, the place and a hint.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ pattern, want string }{
		{`{}`, `pattern:1:1: the pattern is an empty object (leave the field out to accept anything)`},
		{`{"a": {"b": {}}}`, `pattern:1:13: a.b is an empty object (leave the field out to accept anything)`},
		{`{"a": []}`, `pattern:1:7: a has an empty list (write [{"exists": true}] to accept any value)`},
		{`{"a": "x"}`, `pattern:1:7: a must be a list of values or an object (write ["x"])`},
		{`{"a": [["x"]]}`, `pattern:1:8: a has a list within its list (put its values into the outer list)`},
		{`{"a": [{}]}`, `pattern:1:8: a has an empty match expression (write one operator, such as {"prefix": "x"})`},
		{`{"a": [{"prefix": "x", "suffix": "y"}]}`, `pattern:1:24: a has a match expression with 2 operators, and may have one (several in one list mean that one of them suffices: [{…}, {…}])`},
		{`{"a": [{"wildcard": "a**b"}]}`, `pattern:1:21: a: the wildcard "a**b" has consecutive wildcards (one * stands for any number of characters)`},
		{`{"a": [{"wildcard": "a\\b"}]}`, `pattern:1:21: a: the wildcard "a\\b" has a backslash that escapes nothing (only \* and \\ are escapes; JSON doubles each backslash again)`},
		{`{"a": [{"wildcard": "a\\"}]}`, `pattern:1:21: a: the wildcard "a\\" has a backslash that escapes nothing (only \* and \\ are escapes; JSON doubles each backslash again)`},
		{`{"a": [{"wildcard": 5}]}`, `pattern:1:21: a: "wildcard" takes a text`},
		{`{"a": [{"prefix": {"suffix": "x"}}]}`, `pattern:1:19: a: "prefix" takes a text or {"equals-ignore-case": text}`},
		{`{"a": [{"suffix": null}]}`, `pattern:1:19: a: "suffix" takes a text`},
		{`{"a": [{"exactly": 1}]}`, `pattern:1:20: a: "exactly" takes a text`},
		{`{"a": [{"numeric": ["<", 5, ">", 0]}]}`, `pattern:1:21: a: "numeric" does not take "<" here (one of =, >, >=, <, <=; of a range the lower end comes first, with > or >=, then the upper, with < or <=)`},
		{`{"a": [{"numeric": [">", 5, "<", 0]}]}`, `pattern:1:26: a: the lower end 5 of "numeric" is not below the upper end 0`},
		{`{"a": [{"numeric": [">=", 5, "<=", 5.0]}]}`, `pattern:1:27: a: the lower end 5 of "numeric" is not below the upper end 5.0`},
		{`{"a": [{"numeric": [">", 5, ">", 0]}]}`, `pattern:1:29: a: "numeric" does not take ">" here (one of =, >, >=, <, <=; of a range the lower end comes first, with > or >=, then the upper, with < or <=)`},
		{`{"a": [{"numeric": ["!=", 5]}]}`, `pattern:1:21: a: "numeric" does not take "!=" here (one of =, >, >=, <, <=; of a range the lower end comes first, with > or >=, then the upper, with < or <=)`},
		{`{"a": [{"numeric": []}]}`, `pattern:1:20: a: "numeric" takes ["<", 5], or both ends of a range with the lower one first: [">=", 0, "<", 5]`},
		{`{"a": [{"numeric": ["<", "5"]}]}`, `pattern:1:20: a: "numeric" takes ["<", 5], or both ends of a range with the lower one first: [">=", 0, "<", 5]`},
		{`{"a": [{"anything-but": ["x", 5]}]}`, `pattern:1:31: a: "anything-but" takes texts only or numbers only, and here is 5 (use true, false or null in the list of values itself, to name what is wanted)`},
		{`{"a": [{"anything-but": []}]}`, `pattern:1:25: a: "anything-but" has an empty list`},
		{`{"a": [{"anything-but": true}]}`, `pattern:1:25: a: "anything-but" takes texts only or numbers only, and here is true (use true, false or null in the list of values itself, to name what is wanted)`},
		{`{"a": [{"anything-but": {"exists": true}}]}`, `pattern:1:26: a: "anything-but" does not take "exists" (it takes values, or one of prefix, suffix, equals-ignore-case, wildcard)`},
		{`{"a": [{"anything-but": {"prefix": ""}}]}`, `pattern:1:36: a: "anything-but" of an empty prefix matches nothing`},
		{`{"a": [{"anything-but": {"suffix": ["x", ""]}}]}`, `pattern:1:42: a: "anything-but" of an empty suffix matches nothing`},
		{`{"a": [{"anything-but": {"prefix": [1]}}]}`, `pattern:1:37: a: "prefix" takes a text`},
		{`{"a": [{"anything-but": {}}]}`, `pattern:1:25: a: "anything-but" takes one operator, and here are 0`},
		{`{"a": [{"exists": "true"}]}`, `pattern:1:19: a: "exists" takes true or false`},
		{`{"a": [{"cidr": "10.0.0.1"}]}`, `pattern:1:17: a: "10.0.0.1" is not an address block (write 10.0.0.1/32 for this address alone)`},
		{`{"a": [{"cidr": "10.0.0/8"}]}`, `pattern:1:17: a: "10.0.0/8" is not an address block (such as 10.0.0.0/24 or 2001:db8::/32)`},
		{`{"a": [{"cidr": "10.0.0.0/33"}]}`, `pattern:1:17: a: "10.0.0.0/33" is not an address block (such as 10.0.0.0/24 or 2001:db8::/32)`},
		{`{"a": [{"cidr": 1}]}`, `pattern:1:17: a: "cidr" takes a text`},
		{`{"a": [{"prefxi": "x"}]}`, `pattern:1:9: a has the unknown operator "prefxi" (did you mean "prefix"?)`},
		{`{"a": [{"regex": "x"}]}`, `pattern:1:9: a has the unknown operator "regex" (the operators are prefix, suffix, equals-ignore-case, wildcard, anything-but, numeric, cidr, exists, exactly)`},
		{`{"$or": [{"a": [1]}]}`, `pattern:1:11: $or has the unknown operator "a" ($or takes a list of two or more objects, and none of their fields may be named like an operator)`},
		{`{"x": {"$or": [{"prefix": [1]}, {"b": [1]}]}}`, `pattern:1:27: x.$or: "prefix" takes a text`},
		{`{"$or": [{"a": [1]}, {}]}`, `pattern:1:22: an alternative of $or is an empty object (leave the field out to accept anything)`},
		{`[]`, `pattern:1:1: a pattern is an object (such as {"source": ["aws.securityhub"]})`},
		{``, `pattern:1:1: the JSON ends too early`},
		{`{"a": ["x"`, `pattern:1:11: the JSON ends too early`},
		{"{\n  \"a\": [x]\n}", `pattern:2:9: not valid JSON: invalid character 'x' at start of value`},
		{`{"a": ["x"]} {}`, `pattern:1:13: something follows the pattern`},
	} {
		_, err := match.Parse([]byte(c.pattern))
		if err == nil {
			t.Errorf("%s is accepted", c.pattern)
			continue
		}
		if err.Error() != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.pattern, err, c.want)
		}
		if _, ok := errors.AsType[*diag.Error](err); !ok || fault.Of(err) != fault.Invalid {
			t.Errorf("%s: the error is not an invalid place", c.pattern)
		}
	}
}

// What one might think is refused, and is not.
func TestParseAccepts(t *testing.T) {
	for _, c := range []struct {
		pattern, event string
		want           bool
	}{
		{`{"a": [{"prefix": ""}]}`, `{"a": "x"}`, true},
		{`{"a": [{"prefix": ""}]}`, `{"a": 5}`, false},
		{`{"a": [{"wildcard": "\\**\\\\"}]}`, `{"a": "*x\\"}`, true},
		{`{"a": [{"cidr": "10.0.0.1/32"}]}`, `{"a": "10.0.0.1"}`, true},
		{`{"a": [{"cidr": "2001:db8::1/128"}]}`, `{"a": "2001:DB8:0:0::1"}`, true},
		{`{"$or": {"a": ["x"]}}`, `{"$or": {"a": "x"}}`, true},
		{`{"$or": ["x", {"prefix": "y"}]}`, `{"$or": "yes"}`, true},
		{`{"$or": [{"prefix": "x"}, {"prefix": "y"}]}`, `{"$or": "yes"}`, true},
		{`{"a": ["x"], "a": ["y"]}`, `{"a": "y"}`, true},
		{`{"a": ["x"], "a": ["y"]}`, `{"a": "x"}`, false},
		{`{"a": ["x"], "$or": [{"a": ["y"]}, {"b": [1]}]}`, `{"a": "y"}`, true},
		{`{"a": ["x"], "$or": [{"a": ["y"]}, {"b": [1]}]}`, `{"a": "x", "b": 1}`, true},
		{`{"$or": [{"a": ["y"]}, {"b": [1]}], "a": ["x"]}`, `{"a": "y"}`, false},
		{`{"$or": [{"a": ["y"]}, {"b": [1]}], "a": ["x"]}`, `{"a": "x"}`, true},
		{`{"a.b": ["x"], "a": {"b": ["y"]}}`, `{"a.b": "y"}`, true},
		{`{"a.b": ["x"], "a": {"b": ["y"]}}`, `{"a.b": "x"}`, false},
	} {
		if got := parse(t, c.pattern).Match([]byte(c.event)); got != c.want {
			t.Errorf("%s on %s: got %v, want %v", c.pattern, c.event, got, c.want)
		}
	}
}

// A pattern that would grow beyond all bounds is refused, soon.
func TestParseIsBounded(t *testing.T) {
	or := `"$or": [{"a": [1]}, {"b": [1]}]`
	nested := `{"x": [1]}`
	for i := range 11 {
		nested = fmt.Sprintf(`{"f%d": %s, %s}`, i, nested, or)
	}
	for name, pattern := range map[string]string{
		"combinations": nested,
		"clauses":      `{` + strings.Repeat(or+`,"y":{`, 9) + or + `,"z":{` + many(200) + `}` + strings.Repeat(`}`, 10),
		"alternatives": `{"$or": [` + strings.Repeat(`{"a":[1]},`, 1000) + `{"a":[1]}]}`,
		"deep":         strings.Repeat(`{"a":`, 1001) + `[1]` + strings.Repeat(`}`, 1001),
		"deep lists":   `{"a":` + strings.Repeat(`[`, 100_000),
		"long":         `{"a": ["` + strings.Repeat("x", 300_000) + `"]}`,
	} {
		if _, err := match.Parse([]byte(pattern)); fault.Of(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	// And what is merely large is not.
	p := parse(t, `{`+many(10_000)+`}`)
	if p.Match([]byte(`{"m1": 1}`)) {
		t.Error("a pattern of many fields is met by one")
	}
	parse(t, strings.Repeat(`{"a":`, 999)+`[1]`+strings.Repeat(`}`, 999))
}

func many(n int) string {
	fields := make([]string, n)
	for i := range fields {
		fields[i] = fmt.Sprintf(`"m%d": [1]`, i)
	}
	return strings.Join(fields, ", ")
}
