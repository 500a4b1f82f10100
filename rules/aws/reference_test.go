package aws_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/rules/aws"
	"go.yaml.in/yaml/v4"
)

// verdict is what others and we say of a document: its identifier, where it comes from.
type verdict struct{ id, from, want, got string }

// Where the Guard rules registry or AWS Control Tower has a rule for the same
// identifier, our rule says of their documents what theirs says, or
// testdata/differences.yaml says why not.
func TestReference(t *testing.T) {
	root := filepath.Join(os.Getenv("HAECHI_TESTDATA"), "compliance")
	if _, err := os.Stat(filepath.Join(root, "guard-rules")); err != nil {
		t.Skip("there is no compliance/guard-rules in HAECHI_TESTDATA")
	}
	policies, err := guard.ParsePolicies(aws.Files)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]*guard.Policy{}
	for _, p := range policies {
		byID[p.ID] = p
	}
	var known map[string]string
	text, err := os.ReadFile("testdata/differences.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &known); err != nil {
		t.Fatal(err)
	}
	all := append(registry(t, root, policies), controlTower(t, root, byID)...)
	same, rules, used := 0, map[string]bool{}, map[string]bool{}
	for _, v := range all {
		rules[v.id] = true
		if v.got == v.want || v.got != "FAIL" && v.want != "FAIL" { // what is not judged breaks nothing
			same++
			continue
		}
		name, any := v.id+" "+v.got+" "+v.want, "* "+v.got+" "+v.want
		if known[name] != "" || known[any] != "" {
			used[name], used[any] = true, true
			continue
		}
		t.Errorf("%s of %s: %s, want %s", v.id, v.from, v.got, v.want)
	}
	for name := range known {
		if !used[name] {
			t.Errorf("testdata/differences.yaml: %s is no difference", name)
		}
	}
	fmt.Printf("rules/aws: %d of %d verdicts of others on %d rules are ours too\n", same, len(all), len(rules))
}

// registry are the expectations of the Guard rules registry, by the names of its rules.
func registry(t *testing.T, root string, policies []*guard.Policy) (all []verdict) {
	files, err := filepath.Glob(filepath.Join(root, "guard-rules", "*", "tests", "*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := guard.ParseTests(file, text)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range cases {
			for _, p := range policies {
				for _, e := range c.Run(p.Rules, time.Time{}) {
					all = append(all, verdict{e.Rule, fmt.Sprintf("%s:%d", strings.TrimSuffix(filepath.Base(file), ".yml"), i+1), e.Want.String(), e.Got.String()})
				}
			}
		}
	}
	return all
}

var ruleName = regexp.MustCompile(`(?m)^rule ([a-z0-9_]+)`)

// controlTower are the verdicts of AWS Control Tower's rules. Several rules may
// serve an identifier: it fails if one does.
func controlTower(t *testing.T, root string, byID map[string]*guard.Policy) (all []verdict) {
	root = filepath.Join(root, "control-tower-guard")
	serves := map[string]string{}
	metas, _ := filepath.Glob(filepath.Join(root, "metadata", "*", "*.json"))
	for _, file := range metas {
		var m struct{ Id, ConfigRuleIdentifier string }
		text, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(text, &m) != nil {
			t.Fatal(file, err)
		}
		rules, err := os.ReadFile(filepath.Join(root, "rules", strings.TrimSuffix(filepath.Base(file), ".metadata.json")+".guard"))
		if err != nil || m.ConfigRuleIdentifier == "" {
			continue
		}
		for _, name := range ruleName.FindAllSubmatch(rules, -1) {
			serves[string(name[1])] = m.ConfigRuleIdentifier
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "verdicts-cfn-guard-3.1.1.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Input  string            `json:"input"`
			Status map[string]string `json:"status"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(root, "inputs", line.Input+".json")
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := guard.Load(name, text)
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]string{}
		for rule, status := range line.Status {
			if id := serves[rule]; byID[id] != nil && said[id] != "FAIL" {
				said[id] = status
			}
		}
		ids := make([]string, 0, len(said))
		for id := range said {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			all = append(all, verdict{id, "ct:" + line.Input, said[id], byID[id].Check(doc, time.Time{}).Status.String()})
		}
	}
	return all
}
