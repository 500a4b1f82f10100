package rules_test

import (
	"testing"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/rules"
)

// No two families have a rule of the same ID.
func TestIDs(t *testing.T) {
	from := map[string]string{}
	for _, f := range rules.Policies() {
		policies, err := guard.ParsePolicies(f.Files)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range policies {
			if from[p.ID] != "" {
				t.Errorf("%s is of %s and of %s", p.ID, from[p.ID], f.Name)
			}
			from[p.ID] = f.Name
			if p.Help == "" || p.Link == "" {
				t.Errorf("%s has no help or no link", p.ID)
			}
		}
	}
}

// How long the start of a scan waits for its rules.
func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		for _, f := range rules.Policies() {
			if _, err := guard.ParsePolicies(f.Files); err != nil {
				b.Fatal(err)
			}
		}
	}
}
