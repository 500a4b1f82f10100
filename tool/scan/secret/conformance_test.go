package secret_test

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	rules "github.com/haechi-dev/haechi/rules/secret"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/finding"
)

// The labelled sets are found as far as the lines printed say.
func TestConformance(t *testing.T) {
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	dir = filepath.Join(dir, "secrets")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no secrets there:", err)
	}
	s := secret.New(nil)
	synthetic(t, s, filepath.Join(dir, "synthetic.jsonl"))
	fakeLeaks(t, s, filepath.Join(dir, "fake-leaks.jsonl"))
	ruleCases(t, s, filepath.Join(dir, "rule-cases.jsonl"))
}

// score counts what was found and what was not.
type score struct {
	met, total, wrong int
	unmet             []string
}

func (s *score) miss(format string, a ...any) { s.unmet = append(s.unmet, fmt.Sprintf(format, a...)) }

func (s *score) print(name string) {
	precision := float64(s.met) / float64(max(1, s.met+s.wrong))
	recall := float64(s.met) / float64(max(1, s.total))
	fmt.Printf("CONFORMANCE secrets %s %d/%d precision=%.3f recall=%.3f f1=%.3f\n", name, s.met, s.total, precision, recall, 2*precision*recall/max(1e-9, precision+recall))
	sort.Strings(s.unmet)
	for _, line := range s.unmet[:min(len(s.unmet), 20)] {
		fmt.Println("  " + line)
	}
}

func lines(t *testing.T, file string, each func(text []byte) error) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		if err := each(scanner.Bytes()); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
}

// reach is the first and last line of a finding: its first place, and how many lines the text there has.
func reach(f finding.Finding) int { return f.Place().Line }

func synthetic(t *testing.T, s *secret.Scanner, file string) {
	type mark struct {
		Line  int    `json:"line"`
		Start int    `json:"start"`
		End   int    `json:"end"`
		Kind  string `json:"kind"`
		Form  string `json:"form"`
		Why   string `json:"why"`
	}
	var sc score
	lines(t, file, func(text []byte) error {
		var c struct {
			ID      string `json:"id"`
			Path    string `json:"path"`
			Content []byte `json:"content_b64"`
			Secrets []mark `json:"secrets"`
			Decoys  []mark `json:"decoys"`
		}
		if err := json.Unmarshal(text, &c); err != nil {
			return err
		}
		want := map[int]bool{} // lines of secrets
		for _, m := range c.Secrets {
			for l := m.Line; l <= m.Line+bytes.Count(c.Content[m.Start:m.End], []byte("\n")); l++ {
				want[l] = true
			}
		}
		got := map[int]string{}
		for _, f := range s.Check(c.Path, c.Content) {
			got[reach(f)] = f.GeneratorID
			if !want[reach(f)] {
				sc.wrong++
				why := "nothing"
				for _, d := range c.Decoys {
					if d.Line == reach(f) {
						why = d.Why
					}
				}
				sc.miss("false: %s:%d %s (%s)", c.Path, reach(f), f.GeneratorID, why)
			}
			for place := range strings.FieldsSeq(f.ProductFields[finding.FieldPlaces]) {
				if l, err := strconv.Atoi(place[strings.LastIndexByte(place, ':')+1:]); err == nil {
					got[l] = f.GeneratorID
				}
			}
		}
		for _, m := range c.Secrets {
			sc.total++
			found := false
			for l := m.Line; l <= m.Line+bytes.Count(c.Content[m.Start:m.End], []byte("\n")); l++ {
				found = found || got[l] != ""
			}
			if found {
				sc.met++
			} else {
				sc.miss("missed: %s:%d %s (%s)", c.Path, m.Line, m.Kind, m.Form)
			}
		}
		return nil
	})
	sc.print("synthetic")
}

func fakeLeaks(t *testing.T, s *secret.Scanner, file string) {
	var sc score
	lines(t, file, func(text []byte) error {
		var c struct {
			ID        string `json:"id"`
			Path      string `json:"path"`
			Family    string `json:"family"`
			HasSecret bool   `json:"has_secret"`
			Content   []byte `json:"content_b64"`
		}
		if err := json.Unmarshal(text, &c); err != nil {
			return err
		}
		found := s.Check(c.Path, c.Content)
		switch {
		case c.HasSecret:
			sc.total++
			if len(found) > 0 {
				sc.met++
			} else {
				sc.miss("missed: %s (%s)", c.Path, c.Family)
			}
		case len(found) > 0:
			sc.wrong++
			sc.miss("false: %s:%d %s (%s)", c.Path, reach(found[0]), found[0].GeneratorID, c.Family)
		}
		return nil
	})
	sc.print("fake-leaks")
}

// ruleCases: a text with a secret gives a finding; one without gives none of the rule that the case
// is about, by its name or, where ours is called otherwise, by the provider that its name begins with.
// What holds no more than a rule's keyword, as an upstream helper's argument, is no sample: explained.
func ruleCases(t *testing.T, s *secret.Scanner, file string) {
	all, err := secret.ParseRules(rules.Files)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, r := range all {
		known[r.ID] = true
	}
	var sc score
	explained, reasons := 0, map[string]string{}
	// What is answered otherwise on purpose, and why (DECISIONS.md).
	otherwise := map[string]string{
		"age-secret-key": "one letter all along is a placeholder", "slack-legacy-workspace-token": "one digit all along is a placeholder", "jwt": "the header is no JSON", "grafana-service-account-token": "the checksum is wrong",
		"heroku-api-key": "a UUID that counts up is a placeholder", "hubspot-api-key": "a UUID that counts up is a placeholder", "aws-amazon-bedrock-api-key-short-lived": "a prefix without a key",
		"azure-ad-client-secret": "the shape fits; gitleaks asks what stands before it", "mailchimp-api-key": "the shape fits; gitleaks asks for a name",
	}
	lines(t, file, func(text []byte) error {
		var c struct {
			Rule      string `json:"rule"`
			HasSecret bool   `json:"has_secret"`
			Text      []byte `json:"text_b64"`
		}
		if err := json.Unmarshal(text, &c); err != nil {
			return err
		}
		sc.total++
		found := s.Check("case.txt", c.Text)
		wrong := ""
		for _, f := range found {
			id := strings.TrimPrefix(f.GeneratorID, "secret/")
			if id == c.Rule || !known[c.Rule] && provider(id) == provider(c.Rule) {
				wrong = id
			}
		}
		switch {
		case c.HasSecret && len(found) > 0, !c.HasSecret && wrong == "":
			sc.met++
		case c.HasSecret && len(c.Text) < 40 && !bytes.ContainsAny(c.Text, "0123456789"):
			explained++
		case otherwise[c.Rule] != "":
			explained++
			reasons[c.Rule] = otherwise[c.Rule]
		case c.HasSecret:
			sc.miss("%s: missed %.90q", c.Rule, c.Text)
		default:
			sc.miss("%s: false %s %.90q", c.Rule, wrong, c.Text)
		}
		return nil
	})
	fmt.Printf("CONFORMANCE secrets rule-cases %d/%d explained=%d\n", sc.met, sc.total, explained)
	for _, rule := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Printf("  explained: %s: %s\n", rule, reasons[rule])
	}
	for _, line := range sc.unmet[:min(len(sc.unmet), 20)] {
		fmt.Println("  " + line)
	}
}

func provider(rule string) string {
	name, _, _ := strings.Cut(rule, "-")
	return name
}
