package toml_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/lang/toml"
)

// A document is read as TOML 1.0 says.
func TestParse(t *testing.T) {
	got, err := toml.Parse("a.toml", []byte("title = \"a\\tb \\u00e9\" # comment\nn = 1_000\nhex = 0xff\nf = -2.5e3\nyes = true\nday = 2026-01-02\nat = 2026-01-02T03:04:05Z\n"+
		"re = '''(?i)\\b\"[a-z']+'''\nlong = \"\"\"\none \\\n   two\\n\"\"\"\nlist = [\n  \"a\", # first\n  'b',\n]\nmixed = [1, [2.0], {x.y = 3}]\n\"quoted name\" = 1\na.b.c = 'dotted'\n"+
		"[[rules]]\nid = \"x\"\n[rules.allowlist]\npaths = ['''a''']\n[[rules]]\nid = 'y'\n[[rules.allowlists]]\nstopwords=['s']\n[extend]\nuseDefault = true\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := toml.Table{"title": "a\tb é", "n": int64(1000), "hex": int64(255), "f": -2500.0, "yes": true, "day": time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), "at": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"re": `(?i)\b"[a-z']+`, "long": "one two\n", "list": []any{"a", "b"}, "mixed": []any{int64(1), []any{2.0}, toml.Table{"x": toml.Table{"y": int64(3)}}}, "quoted name": int64(1), "a": toml.Table{"b": toml.Table{"c": "dotted"}},
		"rules":  []any{toml.Table{"id": "x", "allowlist": toml.Table{"paths": []any{"a"}}}, toml.Table{"id": "y", "allowlists": []any{toml.Table{"stopwords": []any{"s"}}}}},
		"extend": toml.Table{"useDefault": true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A mistake is named with its place.
func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"a = \n":               "a.toml:1:5: a value is missing",
		"a = b\n":              `a.toml:1:5: "b" is no value`,
		"x = 1\na = 'b\n":      "a.toml:2:5: this text does not end on its line",
		"a = 1\na = 2\n":       `a.toml:2:1: "a" has a value already`,
		"[a]\n[a]\n":           `the table "a" stands here a second time`,
		"a = {b = 1}\n[a.c]\n": `nothing can be added to "a"`,
		"a = \"\\q\"\n":        "this is no escape",
		"a = [1 2]\n":          "a comma or ] is missing",
		"a = 1 b = 2\n":        "the line should end here",
		"a = 01\n":             "is no value",
		"[[a]\n":               "]] is missing",
		"a = 1\n[[a]]\n":       `"a" has a value already`,
		"a\n":                  "= is missing",
		"\xff":                 "not UTF-8",
		strings.Repeat("a=[", 1) + strings.Repeat("[", 1000): "nested more than 100 deep",
	} {
		if _, err := toml.Parse("a.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text[:min(len(text), 40)], err, want)
		}
	}
}

// Whatever the text holds, reading it ends, with a place where it is wrong.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a=1", "[[a.b]]\nc='''x'''", "a={b=[1,{c=2}]}", "a=\"\"\"\\\n \\u0041\"\"\"", "a=1979-05-27 07:32:00", "[a]\nb.c=1\n[a.b]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := toml.Parse("f.toml", text); err != nil && !strings.Contains(err.Error(), "f.toml") {
			t.Errorf("%v names no place", err)
		}
	})
}
