package report_test

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/finding"
)

// said is a result as a tool of code says it.
type said struct {
	rule, path, code, message string
	line                      int
}

func results(t *rapid.T) []said {
	one := rapid.Custom(func(t *rapid.T) said {
		return said{rapid.SampledFrom([]string{"r1", "r2", "a.b.r1"}).Draw(t, "rule"), rapid.SampledFrom([]string{"a.py", "dir/b.py", "./a.py"}).Draw(t, "path"),
			rapid.SampledFrom([]string{"", "f(x)", "  f( x )", "g()"}).Draw(t, "code"), rapid.SampledFrom([]string{"m", "n"}).Draw(t, "message"), rapid.IntRange(1, 20).Draw(t, "line")}
	})
	return rapid.SliceOfN(one, 0, 12).Draw(t, "results")
}

// asSemgrep and asSARIF write the same results in two forms.
func asSemgrep(all []said) []byte {
	var list []any
	for _, s := range all {
		list = append(list, map[string]any{"check_id": s.rule, "path": s.path, "start": map[string]int{"line": s.line, "col": 1}, "extra": map[string]any{"severity": "ERROR", "message": s.message, "lines": s.code, "metadata": map[string]any{}}})
	}
	return document(map[string]any{"version": "1", "errors": []any{}, "paths": map[string]any{}, "results": list})
}

func asSARIF(all []said) []byte {
	list := []any{}
	for _, s := range all {
		region := map[string]any{"startLine": s.line}
		if s.code != "" {
			region["snippet"] = map[string]string{"text": s.code}
		}
		list = append(list, map[string]any{"ruleId": s.rule, "message": map[string]string{"text": s.message}, "locations": []any{map[string]any{"physicalLocation": map[string]any{"artifactLocation": map[string]string{"uri": s.path}, "region": region}}}})
	}
	return document(map[string]any{"version": "2.1.0", "runs": []any{map[string]any{"tool": map[string]any{"driver": map[string]string{"name": "t"}}, "results": list}}})
}

func document(v any) []byte {
	text, err := json.Marshal(v, json.FormatNilSliceAsNull(false))
	if err != nil {
		panic(err)
	}
	return text
}

// prints are the fingerprints of a report's findings, and how often each occurs.
func prints(t *rapid.T, text []byte) map[string]string {
	r, all, err := read(text, report.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, records := map[string]string{}, 0
	for _, f := range all {
		n := f.ProductFields["haechi/occurrences"]
		if n == "" {
			n = "1"
		}
		var count int
		fmt.Sscan(n, &count)
		records += count
		m[f.ProductFields[finding.FieldFingerprint]] = n
	}
	if len(m) != len(all) || records != r.Records {
		t.Fatalf("%d findings with %d fingerprints, %d occurrences of %d records", len(all), len(m), records, r.Records)
	}
	return m
}

// Who a finding is does not depend on the order of records, on where a line has moved to, or on
// how often equal records are there; and no record is lost.
func TestIdentity(t *testing.T) {
	for name, write := range map[string]func([]said) []byte{"semgrep": asSemgrep, "sarif": asSARIF} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				all := results(t)
				want := prints(t, write(all))

				shuffled := slices.Clone(all)
				rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed"))).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
				if diff := cmp.Diff(want, prints(t, write(shuffled))); diff != "" {
					t.Fatalf("in another order: %s", diff)
				}

				moved := slices.Clone(all)
				down := rapid.IntRange(1, 500).Draw(t, "down")
				for i := range moved {
					moved[i].line += down
					moved[i].path = "./" + strings.TrimPrefix(moved[i].path, "./")
				}
				if diff := cmp.Diff(want, prints(t, write(moved))); diff != "" {
					t.Fatalf("moved by %d: %s", down, diff)
				}

				twice := prints(t, write(append(slices.Clone(all), all...)))
				if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(twice))); diff != "" {
					t.Fatalf("each twice: %s", diff)
				}
			})
		})
	}
}
