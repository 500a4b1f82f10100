package gate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
	"pgregory.net/rapid"
)

func found(rule string, label finding.Label) finding.Finding {
	return finding.Finding{GeneratorID: rule, Title: "about " + rule, Severity: &finding.Severity{Label: label}, ProductFields: finding.At(diag.Place{File: "app.env", Line: 3}),
		Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: "mend it"}}}
}

func titles(v gate.Verdict) (all []string) {
	for _, f := range v.Blocking {
		all = append(all, f.Title)
	}
	return all
}

func policy(t *testing.T, text string) gate.Policy {
	t.Helper()
	p, err := gate.Parse("gate.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var ran = []finding.Scan{{Tool: "secret", Complete: true}, {Tool: "deps", Complete: true}}

// Without a policy what is severe and new stops, the worst first, each with what, where and what to do.
func TestDefault(t *testing.T) {
	v := gate.Policy{}.Judge([]string{"secret", "deps"}, ran, []finding.Finding{found("a", finding.High), found("b", finding.Medium), found("c", finding.Critical)}, found("old", finding.Critical))
	if v.Pass || len(v.Missing) != 0 {
		t.Errorf("pass %v, missing %v", v.Pass, v.Missing)
	}
	if diff := cmp.Diff([]string{"about c", "about a"}, titles(v)); diff != "" {
		t.Error(diff)
	}
	want := "CRITICAL app.env:3: about c\n    mend it\n    stopped by the rule \"severe and new\""
	if got := v.Reason(0); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if v := (gate.Policy{}).Judge([]string{"secret"}, ran, []finding.Finding{found("b", finding.Medium)}); !v.Pass {
		t.Errorf("a medium finding: %+v", v)
	}
}

// A scanner that did not run, or did not see everything, is a no, even without a finding.
func TestMissing(t *testing.T) {
	skipped := []diag.Place{{File: "a"}, {File: "b", Why: "permission denied"}, {File: "c"}, {File: "d"}, {File: "e"}}
	v := policy(t, "block: []").Judge([]string{"secret", "deps", "iac"}, []finding.Scan{{Tool: "secret", Skipped: skipped}, {Tool: "deps"}, {Tool: "deps", Complete: true}}, nil)
	var got []string
	for _, m := range v.Missing {
		got = append(got, m.String())
	}
	want := []string{"the scanner secret did not look at everything: a, b (permission denied), c, and 2 more", "the scanner iac did not run"}
	if diff := cmp.Diff(want, got); diff != "" || v.Pass {
		t.Error(v.Pass, diff)
	}
}

// A rule is an event pattern over the finding; its scope says whether what the base has counts too.
func TestRules(t *testing.T) {
	p := policy(t, `
block:
  - name: keys
    scope: all
    pattern: { GeneratorId: [ { prefix: secret/ } ] }
  - name: no leave
    pattern: '{"Severity": {"Label": ["MEDIUM"]}, "ProductFields": {"haechi/allow": [{"exists": false}]}}'
`)
	excused := found("deps/x", finding.Medium)
	excused.ProductFields[finding.FieldAllow] = "a test"
	v := p.Judge(nil, nil, []finding.Finding{found("deps/a", finding.Medium), excused, found("deps/b", finding.Critical)}, found("secret/old", finding.Low), found("deps/old", finding.Medium))
	if diff := cmp.Diff([]string{"about deps/a", "about secret/old"}, titles(v)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"no leave", "keys"}, v.By); diff != "" {
		t.Error(diff)
	}
}

// Mistakes in the file come with line, column and hint.
func TestParseMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "gate.yaml:1: there is no block (say `block: []` if nothing is to be stopped)",
		"blokc: []":                   `gate.yaml:1:1: unknown key "blokc" (did you mean "block"?)`,
		"block:\n- name: a":           `gate.yaml:2:3: the rule "a" has no pattern`,
		"block:\n- pattern: {a: [b]}": "gate.yaml:2:3: a rule needs a name",
		"block:\n- nmae: a":           `gate.yaml:2:3: unknown key "nmae" (did you mean "name"?)`,
		"block:\n- {name: a, scope: x, pattern: {a: [b]}}":                       `gate.yaml:2:20: scope is new or all, not "x"`,
		"block:\n- {name: a, pattern: {a: [b]}}\n- {name: a, pattern: {a: [b]}}": `gate.yaml:3:3: two rules are called "a"`,
		"block: [": "gate.yaml:2: ",
		"block:\n- {name: a, pattern: {a: [{prefxi: b}]}}": "gate.yaml:2:22: ",
	} {
		_, err := gate.Parse("gate.yaml", []byte(text))
		if err == nil || fault.Of(err) != fault.Invalid {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := err.Error(); got != want && (!strings.HasSuffix(want, " ") || !strings.HasPrefix(got, strings.TrimSuffix(want, " "))) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// The default policy passes exactly when all scanners were complete and nothing new is severe.
func TestDefaultProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		labels := rapid.SliceOf(rapid.SampledFrom(finding.Labels[:])).Draw(t, "labels")
		complete := rapid.Bool().Draw(t, "complete")
		var fresh []finding.Finding
		for _, l := range labels {
			fresh = append(fresh, found("x", l))
		}
		v := gate.Policy{}.Judge([]string{"secret"}, []finding.Scan{{Tool: "secret", Complete: complete}}, fresh)
		severe := slices.Contains(labels, finding.Critical) || slices.Contains(labels, finding.High)
		if v.Pass != (complete && !severe) {
			t.Fatalf("%v with %v, complete %v", v.Pass, labels, complete)
		}
	})
}

// Any file is a policy or an error that names it.
func FuzzParse(f *testing.F) {
	f.Add([]byte("block:\n- {name: a, scope: all, pattern: {a: [{prefix: b}, 1, true, null, 'x']}}\n"))
	f.Add([]byte("block: &a\n- name: x\n  pattern: *a\n"))
	f.Add([]byte("block: []"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := gate.Parse("gate.yaml", text)
		if err != nil {
			if !strings.Contains(err.Error(), "gate.yaml") {
				t.Errorf("%v does not name the file", err)
			}
			return
		}
		p.Judge(nil, nil, []finding.Finding{found("x", finding.High)})
	})
}
