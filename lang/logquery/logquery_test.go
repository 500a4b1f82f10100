package logquery_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/lang/logquery"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

var events = []map[string]string{ // the newest first
	{"@message": "GET /cart took 31 ms", "level": "info", "status": "200", "took": "31", "@logStream": "b"},
	{"@message": "GET /pay took 912 ms", "level": "error", "status": "500", "took": "912", "@logStream": "a", "user.id": "7"},
	{"@message": "starting", "@logStream": "b"},
	{"@message": "POST /pay took 8.5 ms", "level": "warn", "status": "404", "took": "8.5", "@logStream": "a"},
	{"@message": "GET /cart took 30 ms", "level": "info", "status": "200", "took": "30", "@logStream": "a"},
}

// ask answers a query in a line a row.
func ask(t testing.TB, text string) (string, error) {
	t.Helper()
	q, err := logquery.Parse(text)
	if err != nil {
		return "", err
	}
	run := q.Run(100)
	for i, e := range events {
		e["@timestamp"] = logquery.Time(time.Date(2026, 11, 25, 10, 9-2*i, 30, 0, time.UTC))
		if !run.Add(func(name string) (string, bool) { v, ok := e[name]; return v, ok }) {
			break
		}
	}
	rows, err := run.Rows()
	var b strings.Builder
	for _, r := range rows {
		for i, c := range r {
			fmt.Fprintf(&b, "%s%s=%s", map[bool]string{true: " "}[i > 0], c.Field, c.Value)
		}
		b.WriteString("; ")
	}
	return strings.TrimSpace(b.String()), err
}

// A query answers as Logs Insights does.
func TestAnswers(t *testing.T) {
	for query, want := range map[string]string{
		"fields @message | limit 1":                                                "@message=GET /cart took 31 ms;",
		"fields level, status | filter level = 'error'":                            "level=error status=500;",
		"filter @message like /^GET/ and status >= 300 | display took":             "took=912;",
		"filter @message like 'pay' | fields took":                                 "took=912; took=8.5;",
		"filter @message not like /took/ | fields @message, @logStream":            "@message=starting @logStream=b;",
		"filter status in [404, 500] | fields status | sort status":                "status=404; status=500;",
		"filter status not in [200] | fields status":                               "status=500; status=404;",
		"filter not ispresent(level) | fields @message":                            "@message=starting;",
		"filter level != 'info' | fields level":                                    "level=error; level=warn;",
		"filter (level = 'warn' or level = 'error') and took < 100 | fields level": "level=warn;",
		"filter user.id = 7 | fields user.id as who":                               "who=7;",
		"fields took | sort took desc | limit 2":                                   "took=912; took=31;",
		"fields took | sort @timestamp asc | limit 2":                              "took=30; took=8.5;",
		"fields took | sort @timestamp desc | limit 1":                             "took=31;",
		"sort took | filter level = 'warn' | fields status":                        "status=404;",
		"fields took | sort level, took desc":                                      "took=912; took=31; took=30; took=8.5; ;",
		"fields toupper(level) as l, strlen(@message) as n | limit 2":              "l=INFO n=20; l=ERROR n=20;",
		"fields concat(level, '/', status) as x | filter x = 'warn/404'":           "x=warn/404;",
		"fields coalesce(user.id, level) as x | limit 2":                           "x=info; x=7;",
		"stats count(*)": "count(*)=5;",
		"filter level = 'none' | stats count() as n":                                            "n=0;",
		"stats count(*) as n by @logStream | sort n desc":                                       "@logStream=a n=3; @logStream=b n=2;",
		"stats count(*) by level | sort count(*) desc, level asc | limit 2":                     "level=info count(*)=2; level=error count(*)=1;",
		"stats sum(took), avg(took) as mean, min(took), max(took) by level | filter mean > 30":  "level=info sum(took)=61 mean=30.5 min(took)=30 max(took)=31; level=error sum(took)=912 mean=912 min(took)=912 max(took)=912;",
		"stats count_distinct(level) as n, earliest(took) as e, latest(took) as l":              "n=3 e=30 l=31;",
		"stats count(*) as n by bin(5m) as t | sort t":                                          "t=2026-11-25 10:00:00.000 n=2; t=2026-11-25 10:05:00.000 n=3;",
		"stats count(*) by bin(1h)":                                                             "bin(1h)=2026-11-25 10:00:00.000 count(*)=5;",
		"stats count(*) by none":                                                                "count(*)=5;",
		"stats max(took) as m by level | stats sum(m)":                                          "sum(m)=951.5;",
		"parse @message '* /* took * ms' as verb, path, ms | stats sum(ms) by path | sort path": "path=cart sum(ms)=61; path=pay sum(ms)=920.5; ;",
		`parse /(?<verb>[A-Z]+) \/(?<path>\w+)/ | filter verb = "POST" | display path`:          "path=pay;",
		"dedup level | fields level":                                                            "level=info; level=error; ; level=warn;",
		"# all of it\nfields @message # this\n| limit 1":                                        "@message=GET /cart took 31 ms;",
		"FIELDS `level` | FILTER level LIKE 'warn'":                                             "level=warn;",
		"limit 1": "@timestamp=2026-11-25 10:09:30.000 @message=GET /cart took 31 ms;",
	} {
		if got, err := ask(t, query); err != nil || got != want {
			t.Errorf("%s:\n got %s %v\nwant %s", query, got, err, want)
		}
	}
}

// What is no query is refused with the place.
func TestRefused(t *testing.T) {
	for query, want := range map[string]string{
		"":                                   "is no command",
		"field a":                            `query:1:1: "field" is no command that is known here (did you mean "fields"?)`,
		"fields a b":                         `query:1:10: unexpected "b" (commands have | between them)`,
		"fields":                             "the name of a field is missing",
		"filter a like b":                    "a text stands between quotation marks, and an expression between slashes",
		"filter a like /(/":                  "error parsing regexp",
		"filter a like /a{900}b{900}c{900}/": "2000 are allowed",
		"filter (a = 1":                      "the parenthesis is not closed",
		"filter a not 1":                     "after not comes like or in",
		"filter a in 1":                      "after in comes a list",
		"filter a in [b]":                    "a text stands between quotation marks",
		"filter f(a)":                        "the function f is not known here",
		"filter 'a":                          "the quotation mark is not closed",
		"stats pct(a, 9)":                    `"pct" is no sum`,
		"stats count(*) by bin(5x)":          `"5x" is no length of time`,
		"limit x":                            "limit has a number",
		"limit 1 | limit 0":                  "limit has a number",
		"parse 'a * b'":                      "after the text comes as",
		"parse 'a * b' as c, d":              "there are 1 places and 2 names",
		"parse /a/":                          "there are 0 places and 0 names",
		"fields `a":                          "the backquote is not closed",
		"filter " + strings.Repeat("(", 200) + "a":   "nested too deeply",
		strings.Repeat("limit 1 | ", 60) + "limit 1": "more than 50 commands",
	} {
		_, err := logquery.Parse(query)
		if _, ok := errors.AsType[*diag.Error](err); !ok || fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
}

// A query that needs no more events says so; one that keeps too many is refused.
func TestBounds(t *testing.T) {
	for query, want := range map[string]int{"fields @message | limit 3": 3, "filter @message like 'x' | limit 3 | stats count(*)": 3, "fields @message": 10, "sort @timestamp desc": 10, "stats count(*)": 1000, "sort a": 1000} {
		q, err := logquery.Parse(query)
		if err != nil {
			t.Fatal(err)
		}
		run, n := q.Run(10), 0
		for n < 1000 {
			n++
			if !run.Add(func(string) (string, bool) { return "x", true }) {
				break
			}
		}
		if n != want {
			t.Errorf("%s: %d events", query, n)
		}
	}
	q, err := logquery.Parse("stats count(*) by a")
	if err != nil {
		t.Fatal(err)
	}
	run, n := q.Run(10), 0
	for run.Add(func(string) (string, bool) { n++; return fmt.Sprint(n), true }) && n < 200_000 {
	}
	if _, err := run.Rows(); fault.Of(err) != fault.Limit {
		t.Errorf("%d: %v", n, err)
	}
}

// No query breaks the parser or the answer.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"fields a, b as c | filter a like /x/ and (b not in [1, 'y'] or not ispresent(c)) | sort a desc | limit 3", "stats count(*) as n, avg(b) by bin(5m), a | sort n | dedup a",
		"parse @message 'a * b *' as x, y | display toupper(x)", "parse /(?<a>.)(?<b>.)/ | stats max(a) | stats sum(a)", "# c\nfields `a b`",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := ask(t, query); err != nil && fault.Of(err) != fault.Invalid && fault.Of(err) != fault.Limit {
			t.Fatal(err)
		}
	})
}
