package secret_test

import (
	"strings"
	"testing"

	rules "github.com/haechi-dev/haechi/rules/secret"
	"github.com/haechi-dev/haechi/tool/scan/secret"
)

// Every rule finds its bad examples, and nobody finds anything in its good ones.
func TestRulesProveThemselves(t *testing.T) {
	all, err := secret.ParseRules(rules.Files)
	if err != nil {
		t.Fatal(err)
	}
	s := secret.New(nil)
	for _, r := range all {
		if len(r.Bad) == 0 || len(r.Good) == 0 {
			t.Errorf("%s has %d bad and %d good examples", r.ID, len(r.Bad), len(r.Good))
		}
		if !strings.HasPrefix(r.Link, "https://") {
			t.Errorf("%s has no link", r.ID)
		}
		for _, e := range r.Bad {
			found := s.Check(e.Path, e.Content)
			if len(found) != 1 || found[0].GeneratorID != "secret/"+r.ID {
				t.Errorf("%s: bad/%s gives %d findings:\n%s", r.ID, e.Path, len(found), e.Content)
				for _, f := range found {
					t.Logf("  %s %s", f.GeneratorID, f.ProductFields)
				}
			}
		}
		for _, e := range r.Good {
			for _, f := range s.Check(e.Path, e.Content) {
				t.Errorf("%s: good/%s gives %s on line %d:\n%s", r.ID, e.Path, f.GeneratorID, f.Place().Line, e.Content)
			}
		}
	}
}

// What is read without a YAML parser is read as one reads it.
func TestPlainRules(t *testing.T) {
	names, err := rules.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := rules.Files.ReadFile(name.Name())
		if err != nil {
			t.Fatal(err)
		}
		plain, err := secret.ParseRule(name.Name(), text)
		if err != nil {
			t.Fatal(err)
		}
		// A comment is what only the parser knows.
		slow, err := secret.ParseRule(name.Name(), []byte(strings.Replace(string(text), "-- rule.yaml --\n", "-- rule.yaml --\n# comment\n", 1)))
		if err != nil {
			t.Fatal(err)
		}
		if secret.Say(plain) != secret.Say(slow) {
			t.Errorf("%s: %s, and by the parser %s", name.Name(), secret.Say(plain), secret.Say(slow))
		}
	}
}
