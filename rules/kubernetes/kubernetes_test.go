package kubernetes_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/rules/kubernetes"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"go.yaml.in/yaml/v4"
)

// Every rule fails on its bad manifests and passes on its good ones, of all kinds that make pods.
func TestProve(t *testing.T) {
	if _, err := guard.Prove(kubernetes.Files, iac.Documents); err != nil {
		t.Fatal(err)
	}
}

// Every control of the Pod Security Standards, and every policy of the CIS
// Benchmark, is served by rules, or testdata/controls.yaml says why by none.
func TestControls(t *testing.T) {
	text, err := os.ReadFile("testdata/controls.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var controls struct {
		Standards map[string]map[string][]string `yaml:"standards"`
		Without   map[string]string              `yaml:"without"`
		Sections  map[string]int                 `yaml:"sections"`
	}
	if err := yaml.Unmarshal(text, &controls); err != nil {
		t.Fatal(err)
	}
	policies, err := guard.ParsePolicies(kubernetes.Files)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]*guard.Policy{}
	served := map[string]bool{}
	for _, p := range policies {
		byID[p.ID] = p
		for _, number := range p.Controls["CIS Kubernetes 1.9"] {
			served[number] = true
		}
	}
	named := map[string]bool{}
	for profile, all := range controls.Standards {
		for control, ids := range all {
			if len(ids) == 0 {
				t.Errorf("%s of %s has no rule", control, profile)
			}
			for _, id := range ids {
				named[id] = true
				if p := byID[id]; p == nil || !slices.Contains(p.Packs, "Pod Security "+profile) {
					t.Errorf("%s of %s: %s is no rule of that profile", control, profile, id)
				}
			}
		}
	}
	for id, p := range byID {
		if slices.Contains(p.Packs, "Pod Security Restricted") && !named[id] {
			t.Errorf("%s is a rule of the Pod Security Standards, and of none of their controls", id)
		}
	}
	for section, last := range controls.Sections {
		for n := range last {
			number := fmt.Sprintf("%s.%d", section, n+1)
			if !served[number] && controls.Without[number] == "" {
				t.Errorf("CIS %s has neither rule nor reason", number)
			}
		}
	}
}
