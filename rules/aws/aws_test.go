package aws_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/shape"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/rules/aws"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"go.yaml.in/yaml/v4"
)

// Every rule fails on its bad examples and passes on its good ones, templates and configuration items alike.
func TestProve(t *testing.T) {
	proof, err := guard.Prove(aws.Files, iac.Documents)
	if err != nil {
		t.Fatal(err)
	}
	if proof.Policies < 150 {
		t.Errorf("only %d rules", proof.Policies)
	}
}

// A rule is about a type whose shape is known, so that it serves live resources
// too: other types are what CloudFormation keeps apart from it.
func TestTypes(t *testing.T) {
	policies, err := guard.ParsePolicies(aws.Files)
	if err != nil {
		t.Fatal(err)
	}
	known := append(shape.New().Types(), // and what AWS's schema of configuration items does not have
		"AWS::Logs::LogGroup", "AWS::DAX::Cluster", "AWS::ElastiCache::ReplicationGroup", "AWS::DocDB::DBCluster", "AWS::Neptune::DBCluster", "AWS::Transfer::Server", "AWS::EC2::ClientVpnAuthorizationRule")
	for _, p := range policies {
		if !slices.ContainsFunc(p.Types, func(typ string) bool { return slices.Contains(known, typ) }) {
			t.Errorf("%s is about %v, of which package shape knows none", p.ID, p.Types)
		}
	}
}

// What the packs name, each with AWS's identifier, is a rule of that name which
// says so, or stands in testdata/undecided.yaml with the reason.
func TestPacks(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(os.Getenv("HAECHI_TESTDATA"), "compliance", "pack-identifiers.json"))
	if err != nil {
		t.Skip("there is no compliance/pack-identifiers.json in HAECHI_TESTDATA")
	}
	var packs struct {
		IDs struct{ KISMS, CIS, PCI []string }
	}
	if err := json.Unmarshal(text, &packs, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for _, pack := range []struct {
		name string
		ids  []string
	}{{"K-ISMS", packs.IDs.KISMS}, {"CIS AWS", packs.IDs.CIS}, {"PCI DSS", packs.IDs.PCI}} {
		for _, id := range pack.ids {
			want[id] = append(want[id], pack.name)
		}
	}
	var undecided map[string]string
	if text, err = os.ReadFile("testdata/undecided.yaml"); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &undecided); err != nil {
		t.Fatal(err)
	}
	policies, err := guard.ParsePolicies(aws.Files)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range policies {
		if !slices.Equal(want[p.ID], p.Packs) {
			t.Errorf("%s is of the packs %v, and says %v", p.ID, want[p.ID], p.Packs)
		}
		for pack, framework := range map[string]string{"K-ISMS": "ISMS-P", "CIS AWS": "CIS AWS 1.4", "PCI DSS": "PCI DSS 3.2.1"} {
			if slices.Contains(p.Packs, pack) && len(p.Controls[framework]) == 0 {
				t.Errorf("%s is of the pack %s and serves no control of %s", p.ID, pack, framework)
			}
		}
		if undecided[p.ID] != "" {
			t.Errorf("%s is a rule and stands in undecided.yaml", p.ID)
		}
		delete(want, p.ID)
	}
	for id := range want {
		if undecided[id] == "" {
			t.Errorf("%s is neither a rule nor in undecided.yaml", id)
		}
		delete(undecided, id)
	}
	for id := range undecided {
		t.Errorf("undecided.yaml: %s is of no pack", id)
	}
}
