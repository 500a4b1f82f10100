package jsonpath_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/lang/jsonpath"
	"github.com/haechi-dev/haechi/word/fault"
)

const document = `{"ref":"refs/heads/main","size":2,"forced":false,"none":null,"a.b":1,
"repository":{"name":"shop","owner":{"name":"acme"}},
"commits":[{"id":"1","added":["a","b"],"size":10},{"id":"2","added":[],"size":20},{"id":"3","size":30,"author":{"name":"Ada"}}]}`

// Paths select what JSONPath says that they do.
func TestFind(t *testing.T) {
	var root any
	if err := json.Unmarshal([]byte(document), &root); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"$.ref":                                    `["refs/heads/main"]`,
		"$['ref']":                                 `["refs/heads/main"]`,
		`$["a.b"]`:                                 `[1]`,
		"$.repository.owner.name":                  `["acme"]`,
		"$['repository']['name']":                  `["shop"]`,
		"$.nothing":                                `[]`,
		"$.ref.deeper":                             `[]`,
		"$.commits[0].id":                          `["1"]`,
		"$.commits[-1].id":                         `["3"]`,
		"$.commits[7].id":                          `[]`,
		"$.commits[*].id":                          `["1","2","3"]`,
		"$.commits[0,2].id":                        `["1","3"]`,
		"$.commits[1:].id":                         `["2","3"]`,
		"$.commits[:-1].id":                        `["1","2"]`,
		"$.commits[::2].id":                        `["1","3"]`,
		"$.commits[0].added[*]":                    `["a","b"]`,
		"$..name":                                  `["Ada","shop","acme"]`,
		"$..added[0]":                              `["a"]`,
		"$..['id','size']":                         `[2,"1",10,"2",20,"3",30]`,
		"$.repository.*":                           `["shop",{"name":"acme"}]`,
		"$['size', 'forced', 'none']":              `[2,false,null]`,
		"$.commits[?(@.size > 10)].id":             `["2","3"]`,
		"$.commits[?(@.id == '2')].id":             `["2"]`,
		"$.commits[?(@.author)].id":                `["3"]`,
		"$.commits[?(!@.author)].id":               `["1","2"]`,
		"$.commits[?@.size<=10].id":                `["1"]`,
		"$.commits[?(@.id =~ /[12]/)].id":          `["1","2"]`,
		"$.commits[?(@.author.name =~ /aDA/i)].id": `["3"]`,
		"$.commits[?(@.size >= 10 && (@.id != '1' || @.added))].id": `["1","2","3"]`,
		"$.commits[?(@.size == $.commits[1].size)].id":              `["2"]`,
		"$.commits[?(@.size == '10')].id":                           `[]`,
		"$.commits[?(@.author.name == null)].id":                    `[]`,
		"$":                                                         document,
	} {
		p, err := jsonpath.Parse(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		found, err := p.Find(root)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if found == nil {
			found = []any{}
		}
		if path == "$" {
			if len(found) != 1 {
				t.Errorf("$ is %d values", len(found))
			}
			continue
		}
		text, err := json.Marshal(found, json.Deterministic(true))
		if err != nil || string(text) != want {
			t.Errorf("%s: %s, want %s", path, text, want)
		}
	}
}

// What is no path says where it stops being one.
func TestMistakes(t *testing.T) {
	for path, want := range map[string]string{
		"":                                      "begins with $ (at character 1",
		"ref":                                   "begins with $",
		"$.":                                    "a name, or *, is missing (at character 3",
		"$.a b":                                 "goes on with .name or [ (at character 4",
		"$[":                                    "is missing",
		"$['a'":                                 "] is missing",
		"$['a]":                                 "quotes are not closed",
		"$[1:2:3:4]":                            "at most two colons",
		"$[::0]":                                "at least 1",
		"$[99999999999]":                        "no whole number",
		"$[?(@.a ==)]":                          "is missing",
		"$[?('a')]":                             "an operator is missing",
		"$[?(@.a =~ /[/)]":                      "not understood",
		"$[?(@.a =~ /a)]":                       "not closed",
		"$[?(@.a == 1]":                         ") is missing",
		"$.a.length()":                          "goes on with",
		"$[?" + strings.Repeat("(", 30) + "@.a": "nested too deep",
		"$." + strings.Repeat("a", 2000):        "at most 1000 bytes",
		"$.\xff":                                "UTF-8",
	} {
		if _, err := jsonpath.Parse(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %s", path, err, want)
		}
	}
}

// A path that looks at everything again and again has an end.
func TestBounds(t *testing.T) {
	deep := any("leaf")
	for range 3000 {
		deep = []any{deep, deep}[:1]
	}
	wide := []any{}
	for range 2000 {
		wide = append(wide, map[string]any{"a": 1.0})
	}
	for _, c := range []struct {
		path string
		on   any
	}{{"$..*..*..*", deep}, {"$..*..*", map[string]any{"a": wide, "b": wide, "c": wide, "d": wide, "e": wide, "f": wide}}, {"$[?(@..a == $..a)]", wide}, {"$[" + strings.Repeat("*,", 300) + "*]", wide}} {
		p, err := jsonpath.Parse(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Find(c.on); !errors.Is(err, fault.Limit) {
			t.Errorf("%s: %v", c.path, err)
		}
	}
}

// What is found is compared as text.
func TestText(t *testing.T) {
	for want, value := range map[string]any{"a": "a", "12": 12.0, "1.5": 1.5, "true": true, "null": nil} {
		if text, ok := jsonpath.Text(value); !ok || text != want {
			t.Errorf("%v: %s", value, text)
		}
	}
	if _, ok := jsonpath.Text(map[string]any{}); ok {
		t.Error("an object is a text")
	}
}

// Any text is a path or a mistake, and any path has an answer for any document.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"$.a", "$..a[*]", "$[?(@.a == 'x' && !@.b)]", "$['a',1,2:3]", "$[?(@ =~ /a|b/i)]"} {
		f.Add(path, document)
	}
	f.Fuzz(func(t *testing.T, path, text string) {
		p, err := jsonpath.Parse(path)
		if err != nil {
			return
		}
		var root any
		if json.Unmarshal([]byte(text), &root) != nil {
			return
		}
		if found, err := p.Find(root); err == nil && len(found) > 10_000 {
			t.Errorf("%d values", len(found))
		}
	})
}
