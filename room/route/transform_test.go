package route

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/fault"
)

const sampleEvent = `{"version":"0","id":"e1","detail-type":"T","source":"s","account":"111122223333","time":"2026-01-01T00:00:00Z","region":"us-east-1","resources":["arn:a","arn:b"],` +
	`"detail":{"title":"a \"quoted\" <b>","n":12345678901234567890,"null":null,"odd name":{"x/y":1},"findings":[{"Title":"one","Tags":{"a":1}},{"Title":"two"}],"empty":[]}}`

func sampleSubject() subject {
	return subject{event: jsontext.Value(sampleEvent), ruleARN: "arn:aws:events:us-east-1:111122223333:rule/r", ruleName: "r", received: time.Date(2026, 1, 1, 0, 0, 5, 0, time.UTC)}
}

// A path leads to members, elements, or with * to a list of all.
func TestPath(t *testing.T) {
	for path, want := range map[string]string{
		"$.detail.findings[0].Title":    `"one"`,
		"$['detail'][\"findings\"][1]":  `{"Title":"two"}`,
		"$.detail.n":                    `12345678901234567890`,
		"$.detail.null":                 `null`,
		"$.detail['odd name']['x/y']":   `1`,
		"$.detail['odd name'].x/y":      `1`,
		"$.detail.findings[*].Title":    `["one","two"]`,
		"$.detail.findings.*.Title":     `["one","two"]`,
		"$.detail.findings[*].Tags.a":   `[1]`,
		"$.resources":                   `["arn:a","arn:b"]`,
		"$.detail-type":                 `"T"`,
		"$.detail.findings[2]":          ``,
		"$.detail.nothing.deeper":       ``,
		"$.detail.title[0]":             ``,
		"$.detail.empty[*]":             ``,
		"$.detail.findings.Title":       ``,
		"$.detail.findings[0]['Title']": `"one"`,
	} {
		p, err := parsePath(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if got := string(p.find(jsontext.Value(sampleEvent))); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	p, _ := parsePath("$")
	if got := string(p.find(jsontext.Value(sampleEvent))); got != sampleEvent {
		t.Errorf("$ is %s", got)
	}
}

func TestPathRefused(t *testing.T) {
	for _, text := range []string{"", "detail", "$detail", "$.", "$..a", "$.a[", "$.a[x]", "$.a[-1]", "$['a", "$.a b", "$.a[?(@.b)]", "$.a[0:2]", "$[99999999999]", "$." + strings.Repeat("a", 256)} {
		if _, err := parsePath(text); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: got %v, want it refused", text, err)
		}
	}
}

func TestTransform(t *testing.T) {
	paths := map[string]string{"title": "$.detail.title", "n": "$.detail.n", "one": "$.detail.findings[0]", "none": "$.detail.none", "null": "$.detail.null", "all": "$.detail.findings[*].Title"}
	for template, want := range map[string]string{
		`"<title>"`: `"a \"quoted\" <b>"`,
		`<title>`:   `"a \"quoted\" <b>"`,
		`{"t":<title>,"n":<n>,"deep":{"list":[<n>,"<n>",<none>]}}`: `{"t":"a \"quoted\" <b>","n":12345678901234567890,"deep":{"list":[12345678901234567890,"12345678901234567890"]}}`,
		`{"gone":<none>,"null":<null>,"text":"[<none>]"}`:          `{"null":null,"text":"[]"}`,
		`{ "one" : <one> , "same" : "<one>" }`:                     `{"one":{"Title":"one","Tags":{"a":1}},"same":"{\"Title\":\"one\",\"Tags\":{\"a\":1}}"}`,
		`[<all>]`:                                                  `[["one","two"]]`,
		"\"<aws.events.rule-name>: <n>\"\n\"more\"":                `"r: 12345678901234567890\nmore"`,
		`{"arn":"<aws.events.rule-arn>"}`:                          `{"arn":"arn:aws:events:us-east-1:111122223333:rule/r"}`,
		`{"at":<aws.events.event.ingestion-time>}`:                 `{"at":"2026-01-01T00:00:05Z"}`,
		`{"e":<aws.events.event.json>}`:                            `{"e":` + sampleEvent + `}`,
		`{"e":<aws.events.event>}`:                                 `{"e":{"account":"111122223333","detail-type":"T","id":"e1","region":"us-east-1","resources":["arn:a","arn:b"],"source":"s","time":"2026-01-01T00:00:00Z","version":"0"}}`,
		`"1 < 2 and 3 > 2"`:                                        `"1 < 2 and 3 > 2"`,
		`{"plain":[1,2.50,true,null,{}],"q":"\"<n>"}`:              `{"plain":[1,2.50,true,null,{}],"q":"\"12345678901234567890"}`,
		`<none>`: `null`,
	} {
		tr, err := compile("", "", &Transformer{Paths: paths, Template: template})
		if err != nil {
			t.Errorf("%s: %v", template, err)
			continue
		}
		if got := string(tr.apply(sampleSubject())); got != want {
			t.Errorf("%s\n gives %s\n want %s", template, got, want)
		}
	}
}

// Without a transformer the target gets the whole event, a constant or a part of it.
func TestInputs(t *testing.T) {
	for _, c := range []struct{ input, path, want string }{
		{"", "", sampleEvent}, {`{"a":1}`, "", `{"a":1}`}, {"", "$.detail.findings[1]", `{"Title":"two"}`}, {"", "$.none", "null"}, {"", "$", sampleEvent},
	} {
		tr, err := compile(c.input, c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(tr.apply(sampleSubject())); got != c.want {
			t.Errorf("input %q path %q gives %s, want %s", c.input, c.path, got, c.want)
		}
	}
}

func TestTransformRefused(t *testing.T) {
	paths := map[string]string{"title": "$.detail.title"}
	for template, says := range map[string]string{
		``:                              "1 to 8,192",
		`{"<title>":1}`:                 "member's name",
		`{<title>:1}`:                   "member's name",
		`{"a":<titel>}`:                 `did you mean "title"?`,
		`"<titel>"`:                     `did you mean "title"?`,
		`{"a":<title}`:                  "has no >",
		`{"a":`:                         "not JSON",
		`{"a":1} {"b":2}`:               "several values",
		`hello <title>`:                 "not JSON",
		`"a` + "\x00" + `"`:             "zero character",
		`{"a":1,"a":2}`:                 "not JSON",
		`"` + strings.Repeat("x", 8192): "8,192",
	} {
		_, err := compile("", "", &Transformer{Paths: paths, Template: template})
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40q: got %v, want it to say %q", template, err, says)
		}
	}
	for _, p := range []map[string]string{{"AWS.x": "$"}, {"a b": "$"}, {"": "$"}, {"a": "x"}} {
		if _, err := compile("", "", &Transformer{Paths: p, Template: `"x"`}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%v: got %v", p, err)
		}
	}
	if _, err := compile(`{}`, "$.a", nil); !errors.Is(err, fault.Invalid) {
		t.Errorf("two ways: got %v", err)
	}
	if _, err := compile(`{`, "", nil); !errors.Is(err, fault.Invalid) {
		t.Errorf("broken input: got %v", err)
	}
}

// Whatever template is accepted makes JSON of any event.
func FuzzTransform(f *testing.F) {
	f.Add(`{"a":<x>,"b":"<x> <aws.events.event>"}`, "$.detail.*[0]", sampleEvent)
	f.Add("\"<x>\"\n\"\\\"<x>\"", "$['a']", `{"a":"<x>"}`)
	f.Add(`[<x>,<x>]`, "$.a[*].b", `{"a":[{"b":1},{"b":{}}]}`)
	f.Fuzz(func(t *testing.T, template, path, event string) {
		if !jsontext.Value(event).IsValid() {
			return
		}
		tr, err := compile("", "", &Transformer{Paths: map[string]string{"x": path}, Template: template})
		if err != nil {
			return
		}
		s := subject{event: jsontext.Value(event), ruleName: "\xff"}
		if out := tr.apply(s); !out.IsValid() {
			t.Fatalf("template %q path %q event %q gives %q", template, path, event, out)
		}
	})
}

func FuzzPath(f *testing.F) {
	f.Add("$.detail.findings[0].Title", sampleEvent)
	f.Add("$['a'][\"b\"][*].*", `{"a":{"b":[{"c":1}]}}`)
	f.Fuzz(func(t *testing.T, text, event string) {
		p, err := parsePath(text)
		if err != nil || !jsontext.Value(event).IsValid() {
			return
		}
		if v := p.find(jsontext.Value(event)); v != nil && !v.IsValid() {
			t.Fatalf("%q of %q gives %q", text, event, v)
		}
	})
}
