package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

func found(rule, file string, line int, label finding.Label, title string) finding.Finding {
	fields := finding.At(diag.Place{File: file, Line: line, Column: 5})
	fields[finding.FieldFingerprint] = finding.Fingerprint(rule, file, title)
	fields[finding.FieldTool] = "secret"
	fields[finding.FieldCWE] = "CWE-798"
	return finding.Finding{ID: "id/" + rule + title, GeneratorID: rule, Title: title, Description: "about " + title, Severity: &finding.Severity{Label: label}, ProductFields: fields,
		Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: "mend it", URL: "https://example.org/"}}, Resources: []finding.Resource{}}
}

func some() []finding.Finding {
	excused := found("secret/b", "a dir/ü:b.env", 3, finding.Medium, "b in ü")
	excused.ProductFields[finding.FieldAllow] = "a test"
	return []finding.Finding{excused, found("secret/a", "app.env", 1, finding.Critical, "a in app.env"), found("secret/a", "z.env", 9, finding.Critical, "a \x1b[31min 한글 z.env"), found("deps/x", "go.mod", 0, finding.Low, "x")}
}

var scans = []finding.Scan{{Tool: "secret", Complete: true}, {Tool: "deps", Skipped: []diag.Place{{File: "pom.xml", Line: 2, Why: "broken"}, {File: "x"}}}}

// A line a finding, the worst first, in columns that awk can cut; a terminal is not steered.
func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := report.Table(&b, some(), 0, false); err != nil {
		t.Fatal(err)
	}
	want := "SEVERITY  WHERE            RULE      TITLE\n" +
		"CRITICAL  app.env:1        secret/a  a in app.env\n" +
		"CRITICAL  z.env:9          secret/a  a  [31min 한글 z.env\n" +
		"MEDIUM    a\u00a0dir/ü:b.env:3  secret/b  b in ü\n" +
		"LOW       go.mod           deps/x    x\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

// On a terminal no line is longer than it, and the end of a path is kept.
func TestTableFits(t *testing.T) {
	long := []finding.Finding{found("secret/"+strings.Repeat("r", 60), strings.Repeat("한글/", 40)+"app.env", 123, finding.High, strings.Repeat("title ", 40))}
	for _, width := range []int{40, 80, 132} {
		var b bytes.Buffer
		if err := report.Table(&b, long, width, true); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(strings.TrimSpace(b.String()), "\n") {
			plain := strings.NewReplacer("\x1b[31m", "", "\x1b[0m", "").Replace(line)
			n := 0
			for _, r := range plain {
				n++
				if r >= 0x1100 && r < 0xd7a4 && r != '…' {
					n++
				}
			}
			if n > width {
				t.Errorf("%d columns of %d: %s", n, width, plain)
			}
		}
		if !strings.Contains(b.String(), "env:123") {
			t.Errorf("width %d hides the place:\n%s", width, b.String())
		}
	}
}

// What is written as ASFF or SARIF is read again as the same findings: a baseline of either leaves nothing new.
func TestBaseline(t *testing.T) {
	var asff, sarif bytes.Buffer
	if err := report.ASFF(&asff, some()); err != nil {
		t.Fatal(err)
	}
	both := some()
	both[3].ProductFields[finding.FieldTool] = "deps"
	if err := report.SARIF(&sarif, "v1", scans, both); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"ASFF": asff.Bytes(), "wrapped": []byte(`{"Findings":` + asff.String() + `}`), "SARIF": sarif.Bytes(), "with a mark": append([]byte("\xef\xbb\xbf"), sarif.Bytes()...)} {
		known, err := report.Read(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		fresh := found("secret/new", "app.env", 1, finding.Low, "new")
		got := report.NewBaseline(known).Fresh(append(both, fresh))
		if len(got) != 1 || got[0].GeneratorID != "secret/new" {
			t.Errorf("%s: %d are new", name, len(got))
		}
		for i, f := range known {
			if want := report.Sorted(both)[i]; name == "ASFF" && cmp.Diff(want.Place(), f.Place()) != "" {
				t.Errorf("%s: place %v, want %v", name, f.Place(), want.Place())
			}
		}
	}
	if got := report.NewBaseline(nil).Fresh(some()); len(got) != 4 {
		t.Errorf("nothing known: %d are new", len(got))
	}
}

// SARIF's places, levels and suppressions come back, and a scan that saw not everything says so.
func TestSARIF(t *testing.T) {
	var b bytes.Buffer
	if err := report.SARIF(&b, "v1", scans, some()); err != nil {
		t.Fatal(err)
	}
	known, err := report.ReadSARIF(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range known {
		got = append(got, string(f.Label())+" "+f.GeneratorID+" "+f.Where()+" "+string(f.Status()))
	}
	want := []string{"CRITICAL secret/a app.env:1 NEW", "CRITICAL secret/a z.env:9 NEW", "MEDIUM secret/b a dir/ü:b.env:3 NEW", "LOW deps/x go.mod NEW"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{`"executionSuccessful": false`, `"not looked at: broken"`, `"kind": "inSource"`, `"external/cwe/cwe-798"`, `"haechi/v1"`, `"uri": "a%20dir/%C3%BC:b.env"`} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("no %s in\n%s", text, b.String())
		}
	}
}

// Other tools' forms of SARIF: rules in extensions, messages by id, places by index, results that are none.
func TestReadSARIF(t *testing.T) {
	known, err := report.ReadSARIF([]byte(`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t"},"extensions":[{"name":"e","rules":[{"id":"r1","defaultConfiguration":{"level":"note"},"messageStrings":{"m":{"text":"{0} is bad"}}}]}]},
		"artifacts":[{"location":{"uri":"src/a%20b.c"}}],
		"results":[{"rule":{"index":0,"toolComponent":{"index":0}},"message":{"id":"m","arguments":["it"]},"locations":[{"physicalLocation":{"artifactLocation":{"index":0},"region":{"charOffset":3}}}]},
		{"ruleId":"r2","kind":"pass","message":{"text":"fine"}},{"ruleId":"r2","message":{"text":"same"},"suppressions":[{"kind":"external"}]},{"ruleId":"r2","message":{"text":"same"},"suppressions":[{"kind":"external","status":"rejected"}]}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	seen := map[string]bool{}
	for _, f := range known {
		got = append(got, string(f.Label())+" "+f.GeneratorID+" "+f.Where()+" "+f.Title+" "+string(f.Status()))
		seen[f.ProductFields[finding.FieldFingerprint]] = true
	}
	want := []string{"LOW r1 src/a b.c it is bad NEW", "MEDIUM r2  same SUPPRESSED", "MEDIUM r2  same NEW"}
	if diff := cmp.Diff(want, got); diff != "" || len(seen) != 3 {
		t.Errorf("%d fingerprints; %s", len(seen), diff)
	}
}

// What is written holds to the published schema.
func TestSARIFSchema(t *testing.T) {
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	text, err := os.ReadFile(filepath.Join(dir, "schemas", "sarif-2.1.0.schema.json"))
	if err != nil {
		t.Skip("no schemas there:", err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	for _, findings := range [][]finding.Finding{some(), nil} {
		var b bytes.Buffer
		if err := report.SARIF(&b, "v1", scans, findings); err != nil {
			t.Fatal(err)
		}
		var document any
		if err := json.Unmarshal(b.Bytes(), &document); err != nil {
			t.Fatal(err)
		}
		for _, wrong := range hold(schema, schema, document, "") {
			t.Error(wrong)
		}
	}
	if len(hold(schema, schema, map[string]any{"version": "2.1.0", "runs": []any{map[string]any{"tool": map[string]any{"driver": map[string]any{}}}}}, "")) == 0 {
		t.Error("the check lets a driver without a name pass")
	}
}

// hold says where value does not hold to schema: the part of JSON Schema that SARIF's uses.
func hold(root, schema map[string]any, value any, at string) (wrong []string) {
	if ref, ok := schema["$ref"].(string); ok {
		to := any(root)
		for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
			to = to.(map[string]any)[name]
		}
		return hold(root, to.(map[string]any), value, at)
	}
	if any, ok := schema["anyOf"].([]any); ok && !holdsOne(root, any, value) {
		wrong = append(wrong, at+" holds to none of anyOf")
	}
	if enum, ok := schema["enum"].([]any); ok {
		one := false
		for _, e := range enum {
			one = one || cmp.Equal(e, value)
		}
		if !one {
			wrong = append(wrong, at+" is not one of the enum")
		}
	}
	switch v := value.(type) {
	case map[string]any:
		wrong = append(wrong, holdType(schema, "object", at)...)
		for _, name := range list(schema["required"]) {
			if _, ok := v[name.(string)]; !ok {
				wrong = append(wrong, at+" lacks "+name.(string))
			}
		}
		properties, _ := schema["properties"].(map[string]any)
		for name, member := range v {
			if p, ok := properties[name].(map[string]any); ok {
				wrong = append(wrong, hold(root, p, member, at+"/"+name)...)
			} else if schema["additionalProperties"] == false {
				wrong = append(wrong, at+" may not have "+name)
			} else if p, ok := schema["additionalProperties"].(map[string]any); ok {
				wrong = append(wrong, hold(root, p, member, at+"/"+name)...)
			}
		}
	case []any:
		wrong = append(wrong, holdType(schema, "array", at)...)
		if least, ok := schema["minItems"].(float64); ok && len(v) < int(least) {
			wrong = append(wrong, at+" has too few items")
		}
		if items, ok := schema["items"].(map[string]any); ok {
			for _, item := range v {
				wrong = append(wrong, hold(root, items, item, at+"/[]")...)
			}
		}
	case string:
		wrong = append(wrong, holdType(schema, "string", at)...)
	case bool:
		wrong = append(wrong, holdType(schema, "boolean", at)...)
	case float64:
		if least, ok := schema["minimum"].(float64); ok && v < least {
			wrong = append(wrong, at+" is too small")
		}
		if schema["type"] != "integer" {
			wrong = append(wrong, holdType(schema, "number", at)...)
		}
	}
	return wrong
}

func holdsOne(root map[string]any, schemas []any, value any) bool {
	for _, s := range schemas {
		if len(hold(root, s.(map[string]any), value, "")) == 0 {
			return true
		}
	}
	return false
}

func holdType(schema map[string]any, kind, at string) []string {
	switch t := schema["type"].(type) {
	case string:
		if t != kind {
			return []string{at + " is " + kind + ", not " + t}
		}
	case []any:
		for _, one := range t {
			if one == kind {
				return nil
			}
		}
		return []string{at + " is " + kind}
	}
	return nil
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// The samples of SARIF and ASFF are read, or refused, without breaking.
func TestSamples(t *testing.T) {
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	files, err := filepath.Glob(filepath.Join(dir, "reports", "sarif", "*"))
	if err != nil || len(files) == 0 {
		t.Skip("no samples there", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte(`"runs"`)) {
			continue
		}
		findings, err := report.Read(text)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
		fingerprints := map[string]bool{}
		for _, f := range findings {
			key := f.GeneratorID + f.ProductFields[finding.FieldFingerprint]
			if fingerprints[key] {
				t.Errorf("%s: two findings of %s are the same", filepath.Base(file), f.GeneratorID)
			}
			fingerprints[key] = true
		}
	}
}

// Any text is a report or an error.
func FuzzRead(f *testing.F) {
	var sarif, asff bytes.Buffer
	if report.SARIF(&sarif, "v1", scans, some()) != nil || report.ASFF(&asff, some()) != nil {
		f.Fatal("cannot write")
	}
	f.Add(sarif.Bytes())
	f.Add(asff.Bytes())
	f.Add([]byte(`{"runs":[{"results":[{"ruleIndex":-1,"rule":{"toolComponent":{"index":9}},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"%zz","index":5}}}]}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		findings, err := report.Read(text)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := report.Table(&b, findings, 80, true); err != nil {
			t.Error(err)
		}
	})
}
