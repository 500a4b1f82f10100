package logfilter_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/lang/logfilter"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// trail is an event of many kinds of values.
const trail = `{"kind": "UpdateTrail", "from": "111.111.111.111", "empty": "", "n": 123, "f": 12.34, "round": 12.0, "small": 1e-3, "escaped": "error \"message\"",
	"list": ["value", "another value"], "things": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "object": {}, "none": null, "yes": true, "no": false,
	"na.me": "c", "detail-type": "x", "user": {"id": 1, "email": "ada@example.com"}, "grid": [[0, 1, 2], [4, 5, 6]], "twice": 1, "twice": 2, "k\u00e9y": "v"}`

const access = `127.0.0.1 - frank [10/Oct/2026:13:25:15 -0700] "GET /apache.html HTTP/1.0" 404 1534`

// A pattern matches the events that CloudWatch Logs says it does.
func TestMatch(t *testing.T) {
	bad, unauthorized, missing := "[ERROR 400] BAD REQUEST\n", "[ERROR 401] UNAUTHORIZED REQUEST\n", "[ERROR 419] MISSING ARGUMENTS\n"
	for _, c := range []struct {
		pattern, event string
		want           bool
	}{
		{"", "anything", true},
		{"  ", "anything", true},
		{`" "`, "anything", true},
		{`""`, "", true},
		{"ERROR", bad, true},
		{"error", bad, false},
		{"AUTHORIZED", unauthorized, true}, // within a word, too
		{"ERROR ARGUMENTS", missing, true},
		{"ERROR ARGUMENTS", bad, false},
		{"?ERROR ?ARGUMENTS", bad, true},
		{"?WARN ?ARGUMENTS", missing, true},
		{"?WARN ?ARGUMENTS", bad, false},
		{"?WARN ?ARGUMENTS REQUEST", bad, true}, // beside a term that must be there, the others do not count
		{"ERROR -ARGUMENTS", bad, true},
		{"ERROR -ARGUMENTS", missing, false},
		{"-ERROR", "fine", true},
		{"-ERROR ?fine", "bad", true},
		{`"BAD REQUEST"`, bad, true},
		{`"REQUEST BAD"`, bad, false},
		{`-"BAD REQUEST" ERROR`, unauthorized, true},
		{`?"BAD REQUEST" ?"MISSING"`, missing, true},
		{`"say \"hello\" \\"`, `they say "hello" \ twice`, true},
		{"오류 발생", "빌드 오류가 발생했습니다", true},
		{"%AUTHORIZED%", unauthorized, true},
		{"%^.ERROR 4[01]{2}%", unauthorized, true},
		{"%^ERROR%", bad, false},
		{"%REQUEST$%", bad, true}, // the end of the line is not part of it
		{`%\[ERROR\x20\d+\]%`, missing, true},
		{"%gra|ey%", "grey", true},
		{"%a{,2}b%", "aab", true},
		{"%^shutting down|^starting%", "shutting down", true},
		{"-%4[0-9]+% ERROR", bad, false},

		{"[ip, user, name, time, request = *.html*, status = 4*, bytes]", access, true},
		{"[ip, user, name, time, request = *.html*, status = 4*, bytes > 2000]", access, false},
		{`[ip=%127\.0\.0\.[1-9]%, user, name, time, request =*.html*, status = 4*, bytes]`, access, true},
		{"[..., request = *.html*, status = 4*, bytes]", access, true},
		{"[..., status = 404 || status = 410, bytes]", access, true},
		{"[..., (status = 404 || status = 410) && status != 404, bytes]", access, false},
		{"[..., status >= 400 && status < 500, bytes]", access, true},
		{"[..., status < 400, bytes]", access, false},
		{"[ip, ...]", access, true},
		{"[ip != 127.0.0.1, ...]", access, false},
		{`[ip, user = "-", ...]`, access, true},
		{"[ip, ..., bytes = 1534.0]", access, true},
		{"[a, b, c, d, e, f, g, h]", access, false},
		{"[w1=ERROR, w2]", "ERROR 09/25/2026 12:00:02 Failed to process request", true},
		{"[w1=ERROR, w2]", "WARNING 09/25/2026 12:00:02 Invalid user request", false},
		{"[w1=ERROR || w1=WARNING, w2]", "WARNING 09/25/2026 12:00:02 Invalid user request", true},
		{"[w1!=ERROR && w1!=WARNING, w2]", "INFO it is fine", true},
		{"[w1=ERROR]", "ERROR and more", false}, // the last field has all that is left
		{"[w1=ERROR]", "ERROR", true},
		{`[a, b = "and more"]`, "ERROR and more \n", true},
		{"[level, date, time, method, url=%/service/resource/[0-9]+$%, took]", "INFO 09/25/2026 12:00:00 GET /service/resource/67 1200", true},
		{"[level, date, time, method, url=%/service/resource/[0-9]+$%, took]", "INFO 09/25/2026 12:00:01 POST /service/resource/67/part/111 1310", false},
		{"[a, b]", "", false},
		{"[a > 3, ...]", "x", false},
		{"[...]", "", true},

		{`{ $.kind = "UpdateTrail" }`, trail, true},
		{`{ $.kind = UpdateTrail }`, trail, true},
		{`{ $.kind != "Other" }`, trail, true},
		{`{ $.kind = "update*" }`, trail, false},
		{`{ $.from != 123.123.* }`, trail, true},
		{`{ $.from = 111.111.* }`, trail, true},
		{`{ $.from = *.111 }`, trail, true},
		{`{ $.from = "*11.1*" }`, trail, true},
		{`{ $.from = "11*1" }`, trail, false}, // only at the ends
		{`{ $.empty = * }`, trail, true},
		{`{ $.empty = "" }`, trail, true},
		{`{ $.n = * }`, trail, true},
		{`{ $.n = 123 }`, trail, true},
		{`{ $.n = 123.0 }`, trail, true},
		{`{ $.n = "123" }`, trail, true},
		{`{ $.n = "123.0" }`, trail, false},
		{`{ $.n != "123.0" }`, trail, true},
		{`{ $.n = 12* }`, trail, true},
		{`{ $.n = *3 }`, trail, true},
		{`{ $.n != 123 }`, trail, false},
		{`{ $.round = 12 }`, trail, true},
		{`{ $.small = 1e-3 }`, trail, true},
		{`{ $.small < 1e+3 }`, trail, true},
		{`{ $.n >= 123 && $.f <= 12.34 && $.n < 124 && $.f > 12 }`, trail, true},
		{`{ $.from > 123 }`, trail, false},
		{`{ $.from = 123 }`, trail, false},
		{`{ $.escaped = "error \"message\"" }`, trail, true},
		{`{ $.object = "x" }`, trail, false},
		{`{ $.object != "x" }`, trail, false},
		{`{ $.list != 1 }`, trail, false},
		{`{ $.none != 1 }`, trail, false},
		{`{ $.yes = true }`, trail, false},
		{`{ $.absent != "x" }`, trail, false},
		{`{ $.none IS NULL }`, trail, true},
		{`{ $.kind IS NULL }`, trail, false},
		{`{ $.yes IS TRUE && $.no IS FALSE }`, trail, true},
		{`{ $.absent NOT EXISTS }`, trail, true},
		{`{ $.none NOT EXISTS }`, trail, false},
		{`{ $.none EXISTS }`, trail, true},
		{`{ $.list[0] = "value" }`, trail, true},
		{`{ $.list[1] = "value" }`, trail, false},
		{`{ $.list[2] != "value" }`, trail, false},
		{`{ $.things[1].id = 2 }`, trail, true},
		{`{ $.grid[1][2] = 6 }`, trail, true},
		{`{ $.list[*] = %val.{2}% }`, trail, true},
		{`{ $.things[*].name = "b" }`, trail, true},
		{`{ $.things[*].name = "c" }`, trail, false},
		{`{ $.* = %111\.1{1,3}% }`, trail, true},
		{`{ $.user.* = 1 }`, trail, true},
		{`{ $.['na.me'] = "c" }`, trail, true},
		{`{ $['na.me'] = c }`, trail, true},
		{`{ $.detail-type = "x" }`, trail, true},
		{`{ $.twice = 2 }`, trail, true},
		{`{ $.twice = 1 }`, trail, false},
		{`{ $.kéy = "v" }`, trail, true},
		{`{ ($.user.id = 1) && ($.user.email = "ada@example.com") }`, trail, true},
		{`{ $.user.id = 1 || $.grid[0][1] = "no" && $.list[0] = "no" }`, trail, true},
		{`{ ($.user.id = 1 || $.grid[0][1] = "no") && $.list[0] = "no" }`, trail, false},
		{`{ ($.user.id = 2 && $.kind = "no") || $.list[0] = "no" }`, trail, false},
		{`{$.n=123}`, "  " + trail + " \r\n", true},
		{`{ $.n = 123 }`, trail + "x", false},
		{`{ $.n NOT EXISTS }`, "no JSON", false},
		{`{ $[0] = 1 }`, "[1]", true},
	} {
		f, err := logfilter.Parse(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := f.Match([]byte(c.event)); got != c.want {
			t.Errorf("%s: %v, want %v of %s", c.pattern, got, c.want, c.event)
		}
	}
}

// What is no pattern is refused, with the place.
func TestRefused(t *testing.T) {
	for pattern, want := range map[string]string{
		"error: x":                              "filterPattern:1:6: Invalid character(s) in term ':' (what holds",
		"a (b)":                                 "filterPattern:1:3: Invalid character(s) in term '('",
		"ERROR*":                                "filterPattern:1:6: Invalid character(s) in term '*'",
		"?":                                     "filterPattern:1:2: the pattern ends too early",
		`"open`:                                 "filterPattern:1:1: the quotation mark is not closed",
		"%open":                                 "filterPattern:1:1: the percent sign is not closed",
		"%(a)%":                                 "filterPattern:1:2: Invalid character(s) in term '('",
		"%é%":                                   "filterPattern:1:2: Invalid character(s) in term 'é'",
		`%\b%`:                                  `filterPattern:1:2: Invalid character(s) in term '\'`,
		"%[a%":                                  "filterPattern:1:1: error parsing regexp",
		"%a{900}b{900}c{900}%":                  "steps, 2000 are allowed",
		"[a, b":                                 "filterPattern:1:6: the pattern ends too early",
		"[a, b] c":                              "filterPattern:1:8: Invalid character(s) in term 'c'",
		"[a, ..., b, ...]":                      "there is more than one ...",
		"[a, a]":                                `there are two fields "a"`,
		"[a = 1 && b = 2]":                      `this field is called "a"`,
		"[a = [, b]":                            "filterPattern:1:6: Invalid character(s) in term '['",
		"[a > x]":                               "Invalid character(s) in term 'x' (> compares with a number",
		"[]":                                    "Invalid character(s) in term ']'",
		"[(a = 1, b]":                           "a parenthesis is not closed",
		"{}":                                    "Invalid character(s) in term '}'",
		"{ $.a }":                               "after a selector comes",
		`{ $.a > "1" }`:                         `Invalid character(s) in term '"1"'`,
		"{ $.a > b }":                           "Invalid character(s) in term 'b'",
		`{ $."a-b" = 1 }`:                       `filterPattern:1:5: Invalid character(s) in term '"'`,
		"{ $.a IS NOT NULL }":                   "IS NULL, IS TRUE or IS FALSE",
		"{ $.a NOT NULL }":                      "only NOT EXISTS is known",
		"{ $.a = 1, $.b = 2 }":                  "Invalid character(s) in term ','",
		"{ $ = 1 }":                             "after $ comes",
		"{ a = 1 }":                             "a selector begins with $.",
		"{ $.*.* = 1 }":                         "at most 1 wildcard",
		"{ $.a[x] = 1 }":                        "between [ and ]",
		"{ $.a[1 = 1 }":                         "a bracket is not closed",
		"{ $.a = %x% || $.b = %y% || $.c=%z% }": "more than 2 expressions",
		"{ $.*=1 && $.*=2 && $.*=3 && $.*=4 }":  "at most 3 wildcards together",
		"{ $.a = b@c }":                         "Invalid character(s) in term '@'",
		strings.Repeat("a", 1025):               "longer than 1024",
	} {
		_, err := logfilter.Parse(pattern)
		if d, ok := errors.AsType[*diag.Error](err); !ok || fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), want) || d.Line != 1 {
			t.Errorf("%s: %v, want %s", pattern, err, want)
		}
	}
}

// Fields have names, or numbers where ... stands for them; selectors are named as they are written.
func TestValues(t *testing.T) {
	for pattern, want := range map[string]map[string]string{
		"[ip, user, ..., bytes]": {"$ip": "127.0.0.1", "$user": "-", "$3": "frank", "$4": "10/Oct/2026:13:25:15 -0700", "$5": "GET /apache.html HTTP/1.0", "$6": "404", "$bytes": "1534"},
		"[ip, rest]":             {"$ip": "127.0.0.1", "$rest": access[len("127.0.0.1 "):]},
		"frank":                  {},
	} {
		f, err := logfilter.Parse(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, f.Values([]byte(access+"\n"))); diff != "" {
			t.Errorf("%s: %s", pattern, diff)
		}
	}
	f, err := logfilter.Parse(`{ $.escaped = * && $.n > 1 && $.object NOT EXISTS && $.things[*].id = 2 }`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"$.escaped": `error "message"`, "$.n": "123", "$.things[*].id": "2"}, f.Values([]byte(trail))); diff != "" {
		t.Error(diff)
	}
}

// Matching allocates nothing, whatever the kind of pattern.
func TestAllocations(t *testing.T) {
	for pattern, event := range map[string]string{
		`frank "GET /apache" -POST`: access, "[..., request = *.html*, status > 400, bytes]": access,
		`{ $.kind = "Up*" && $.n > 3 && $.things[*].name = "b" && $.absent NOT EXISTS }`: strings.ReplaceAll(trail, `k\u00e9y`, "key"),
	} {
		f, err := logfilter.Parse(pattern)
		if err != nil {
			t.Fatal(err)
		}
		text := []byte(event)
		if n := testing.AllocsPerRun(100, func() {
			if !f.Match(text) {
				t.Fatal(pattern)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", pattern, n)
		}
	}
}

// No pattern and no event breaks the parser or the match, and what matches has its values.
func FuzzFilter(f *testing.F) {
	for _, seed := range [][2]string{
		{`ERROR -x ?"y z" %[a-c]{1,3}%`, "ERROR"}, {"[a, b = 4* && b != 41, ..., c > 3]", access}, {`{ $.a.b[0] = "x*" || ($.* > 3 && $.c IS NULL) }`, trail},
		{`{ $.['na.me'] NOT EXISTS }`, `{"a":[{}, "\"", {"b":1}]}`}, {`{ $[*].a = * }`, `[[],{"a":1e5}]`}, {"%a{,3}%", "aaa"},
	} {
		f.Add(seed[0], []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, pattern string, event []byte) {
		filter, err := logfilter.Parse(pattern)
		if err != nil {
			if fault.Of(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		if filter.All() && !filter.Match(event) {
			t.Fatal("it matches all but this")
		}
		filter.Match(event)
		if filter.Values(event) == nil {
			t.Fatal("no values")
		}
	})
}
