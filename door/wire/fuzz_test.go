package wire

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// No form makes the query decoder panic, or write what is no JSON.
func FuzzQuery(f *testing.F) {
	m := tableOf(f, "sts")
	f.Add("Action=AssumeRole&Tags.member.1.Key=a&Tags.member.1.Value=b&PolicyArns=")
	f.Add("Action=AssumeRole&DurationSeconds=1e9&Tags.member.0=x&Tags..=&RoleArn=%22")
	f.Fuzz(func(t *testing.T, text string) {
		form, failed := parseForm(text)
		if failed != nil {
			return
		}
		for name, o := range m.Operations {
			input, err := m.formJSON(o.Input, form, 20)
			if err != nil {
				continue
			}
			if !jsontext.Value(input).IsValid(jsontext.AllowInvalidUTF8(true)) {
				t.Fatalf("%s: %q", name, input)
			}
			walked(t, m, o.Input, input)
		}
	})
}

// No method, path, query and body make the rest-json decoder panic, and what
// it lets through fits the shape.
func FuzzRest(f *testing.F) {
	m := tableOf(f, "securityhub")
	f.Add("GET", "/insights/results/arn%3Aaws%3Ainsight/a1?MaxResults=5", `{}`)
	f.Add("DELETE", "/tags/a%2Fb?tagKeys=a&tagKeys=b", ``)
	f.Add("POST", "/findings", ` {"Filters":{"Id":[{"Value":"x","Comparison":"EQUALS"}]},"MaxResults":1}`)
	f.Add("PATCH", "/automationrulesv2/%zz", `}`)
	f.Fuzz(func(t *testing.T, method, uri, body string) {
		path, query, _ := strings.Cut(uri, "?")
		name, labels, err := m.match(method, path)
		if err != nil {
			t.Fatal(err)
		}
		if name == "" {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil || deepest([]byte(body)) > 60 {
			return
		}
		input, err := m.restJSON(m.Operations[name].Input, labels, values, http.Header{}, []byte(body))
		if err == nil {
			walked(t, m, m.Operations[name].Input, input)
		}
	})
}

// walked walks an input, and what comes out once more: it must be JSON, and stay as it is.
func walked(t *testing.T, m *Model, shape string, input []byte) {
	limits := Limits{}.orDefaults()
	one := walk{model: m, limits: limits, way: inward}
	out, err := one.do(shape, input)
	if err != nil {
		return
	}
	if !jsontext.Value(out).IsValid() {
		t.Fatalf("%q became %q", input, out)
	}
	two := walk{model: m, limits: limits, way: inward}
	again, err := two.do(shape, out)
	if err != nil || !bytes.Equal(again, out) {
		t.Fatalf("%q became %q, and that %q: %v", input, out, again, err)
	}
}

// How deep a text nests is told right, or too high, but never too low.
func FuzzDeepest(f *testing.F) {
	f.Add(`{"a":["\"[[",[1]]}`)
	f.Fuzz(func(t *testing.T, text string) {
		dec := jsontext.NewDecoder(strings.NewReader(text))
		most := 0
		for {
			if _, err := dec.ReadToken(); err != nil {
				break
			}
			most = max(most, dec.StackDepth())
		}
		if got := deepest([]byte(text)); got < most {
			t.Errorf("%q nests %d deep, not %d", text, most, got)
		}
	})
}

// BenchmarkWalk: a batch of 100 findings of 2.5 KB, checked and written anew.
func BenchmarkWalk(b *testing.B) {
	m := tableOf(b, "securityhub")
	finding := fmt.Sprintf(`{"SchemaVersion":"2018-10-08","Id":"f","ProductArn":"p","GeneratorId":"g","AwsAccountId":"111122223333","Types":["a/b/c"],"CreatedAt":"2026-01-01T00:00:00Z","UpdatedAt":"2026-01-01T00:00:00Z","Severity":{"Label":"HIGH"},"Title":"t","Description":%q,"Resources":[{"Type":"Container","Id":"i"}]}`, strings.Repeat("d", 2100))
	batch := []byte(`{"Findings":[` + strings.Repeat(finding+",", 99) + finding + `]}`)
	for name, loose := range map[string][]string{"checked": nil, "loose": {"Findings"}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			for b.Loop() {
				w := walk{model: m, limits: Limits{}.orDefaults(), way: inward, loose: loose}
				if _, err := w.do("BatchImportFindingsRequest", batch); err != nil || len(w.problems) > 0 {
					b.Fatal(err, w.problems)
				}
			}
		})
	}
}
