package guard

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// compliance is the folder of other people's rules and verdicts, or skips the test.
func compliance(t testing.TB) string {
	folder := os.Getenv("HAECHI_TESTDATA")
	if folder == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	folder = filepath.Join(folder, "compliance")
	if _, err := os.Stat(folder); err != nil {
		t.Skip("there is no folder compliance in HAECHI_TESTDATA")
	}
	return folder
}

// tally counts what was met, and keeps the first lines of what was not.
type tally struct {
	met, total, refused int
	unmet               []string
}

func (c *tally) expect(met bool, format string, a ...any) {
	c.total++
	if met {
		c.met++
		return
	}
	if len(c.unmet) < 20 {
		c.unmet = append(c.unmet, fmt.Sprintf(format, a...))
	}
}

func (c *tally) print(name string) {
	fmt.Printf("CONFORMANCE compliance %s %d/%d refused=%d\n", name, c.met, c.total, c.refused)
	for _, line := range c.unmet {
		fmt.Println("  " + line)
	}
}

// The verdicts are the reference implementation's, on its own rules and tests.
func TestConformance(t *testing.T) {
	folder := compliance(t)
	for _, suite := range []struct {
		name string
		run  func(*testing.T, string) tally
	}{{"guard-rules", registry}, {"control-tower", controlTower}, {"functional", functional}} {
		c := suite.run(t, folder)
		c.print(suite.name)
		if c.met < c.total {
			t.Errorf("%s: %d of %d expectations are not met", suite.name, c.total-c.met, c.total)
		}
	}
}

func read(t testing.TB, path string) []byte {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func glob(t testing.TB, pattern ...string) []string {
	files, err := filepath.Glob(filepath.Join(pattern...))
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing matches %v: %v", pattern, err)
	}
	sort.Strings(files)
	return files
}

// registry runs the tests of the rules registry.
func registry(t *testing.T, folder string) (c tally) {
	for _, file := range glob(t, folder, "guard-rules/*/tests/*.yml") {
		base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".yml"), "_tests")
		rules := filepath.Join(filepath.Dir(filepath.Dir(file)), base+".guard")
		if _, err := os.Stat(rules); err != nil { // the one whose test has another name
			rules = filepath.Join(filepath.Dir(rules), strings.Replace(base, "enable", "enabled", 1)+".guard")
		}
		c.runTests(t, rules, file)
	}
	return c
}

// runTests holds a rule file against a test file; expectations of rules that do not exist do not count.
func (c *tally) runTests(t *testing.T, rules, tests string) {
	r, err := Parse(filepath.Base(rules), read(t, rules))
	cases, testErr := ParseTests(filepath.Base(tests), read(t, tests))
	if testErr != nil {
		t.Fatal(testErr)
	}
	if err != nil {
		c.refused++
		for _, x := range cases {
			for range x.Want {
				c.expect(false, "%v", err)
			}
		}
		return
	}
	for i, x := range cases {
		for _, m := range x.Run(r, time.Now()) {
			c.expect(m.Got == m.Want, "%s case %d %q: %s is %v, want %v", filepath.Base(tests), i+1, x.Name, m.Rule, m.Got, m.Want)
		}
	}
}

// controlTower holds 237 rule files against 764 templates.
func controlTower(t *testing.T, folder string) (c tally) {
	folder = filepath.Join(folder, "control-tower-guard")
	var rules []*Rules
	for _, file := range glob(t, folder, "rules/*.guard") {
		r, err := Parse(filepath.Base(file), read(t, file))
		if err != nil {
			c.refused++
			c.unmet = append(c.unmet, err.Error())
			continue
		}
		rules = append(rules, r)
	}
	for line := range strings.Lines(string(read(t, filepath.Join(folder, "verdicts-cfn-guard-3.1.1.jsonl")))) {
		var want struct {
			Input  string            `json:"input"`
			Status map[string]Status `json:"status"`
		}
		if err := json.Unmarshal([]byte(line), &want); err != nil {
			t.Fatal(err)
		}
		doc, err := Load(want.Input+".json", read(t, filepath.Join(folder, "inputs", want.Input+".json")))
		if err != nil {
			c.expect(false, "%v", err)
			continue
		}
		var wrong []string
		for _, r := range rules {
			for _, v := range r.Check(doc, time.Time{}).Rules {
				if v.Status != want.Status[v.Rule] {
					wrong = append(wrong, fmt.Sprintf("%s is %v, want %v (%v)", v.Rule, v.Status, want.Status[v.Rule], v.Err))
				}
			}
		}
		c.expect(len(wrong) == 0 && c.refused == 0, "%s: %s", want.Input, strings.Join(wrong, "; "))
	}
	return c
}

// functional runs upstream's own examples and fixtures: those with tests, the
// function rules, and the rules and templates whose report is there.
func functional(t *testing.T, folder string) (c tally) {
	folder = filepath.Join(folder, "cfn-guard-functional")
	for _, file := range glob(t, folder, "guard-examples/*/*-tests.yaml") {
		c.runTests(t, strings.TrimSuffix(file, "-tests.yaml")+".guard", file)
	}
	c.runTests(t, filepath.Join(folder, "resources/test-command/dir/s3_bucket_logging_enabled.guard"),
		filepath.Join(folder, "resources/test-command/dir/tests/s3_bucket_logging_enabled_tests.yaml"))
	c.functions(t, filepath.Join(folder, "resources/validate/functions"))
	c.reports(t, folder)
	return c
}

// functions holds the rules about functions against their template: all pass, but
// those that are there to fail. The time is one at which the reference passes them.
func (c *tally) functions(t *testing.T, folder string) {
	fails := map[string]bool{"failing_complex_rule": true, "count_with_message": true, "join_with_message": true}
	doc, err := Load("template.yaml", read(t, filepath.Join(folder, "data/template.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range glob(t, folder, "rules/*.guard") {
		name := strings.TrimSuffix(filepath.Base(file), ".guard")
		want := map[bool]Status{true: Fail, false: Pass}[fails[name]]
		if name == "parse_epoch" { // 3023 is before 4024
			want = Pass
		}
		r, err := Parse(filepath.Base(file), read(t, file))
		if err != nil {
			c.refused++
			c.expect(false, "%v", err)
			continue
		}
		report := r.Check(doc, time.Date(2024, 9, 1, 0, 0, 0, 0, time.UTC))
		c.expect(report.Status == want, "%s is %v, want %v: %+v", name, report.Status, want, report.Rules)
	}
}

// reports holds rules against templates and compares with the report of the
// reference implementation. A rule with look-behind is refused, on purpose.
func (c *tally) reports(t *testing.T, folder string) {
	var files []struct {
		Name          string   `json:"name"`
		Compliant     []string `json:"compliant"`
		NotApplicable []string `json:"not_applicable"`
		NotCompliant  []struct {
			Rule struct {
				Name string `json:"name"`
			}
		} `json:"not_compliant"`
	}
	if err := json.Unmarshal(read(t, filepath.Join(folder, "generated-cfn-guard-3.1.1/structured.json")), &files); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]Status{}
	for _, file := range glob(t, folder, "resources/validate/rules-dir/*.guard") {
		r, err := Parse(filepath.Base(file), read(t, file))
		if err != nil {
			c.refused++
			continue
		}
		for _, f := range files {
			name := filepath.Base(f.Name)
			doc, err := Load(name, read(t, filepath.Join(folder, "resources/validate/data-dir", name)))
			if err != nil {
				t.Fatal(err)
			}
			if got[name] == nil {
				got[name] = map[string]Status{}
			}
			for _, v := range r.Check(doc, time.Time{}).Rules {
				got[name][v.Rule] = v.Status
			}
		}
	}
	for _, f := range files {
		name := filepath.Base(f.Name)
		want := func(rule string, status Status) {
			if strings.HasPrefix(rule, "advanced_regex_negative_lookbehind") {
				return
			}
			c.expect(got[name][rule] == status, "%s: %s is %v, want %v", name, rule, got[name][rule], status)
		}
		for _, rule := range f.Compliant {
			want(rule, Pass)
		}
		for _, rule := range f.NotApplicable {
			want(rule, Skip)
		}
		for _, x := range f.NotCompliant {
			want(x.Rule.Name, Fail)
		}
	}
}
