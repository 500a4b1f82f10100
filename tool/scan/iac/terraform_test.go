package iac

import (
	"slices"
	"testing"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/rules/aws"
)

// liveOnly are types that the rules are about and that no template makes: they are
// of what has happened, or Terraform's provider has none.
var liveOnly = []string{"AWS::ACM::Certificate", "AWS::Backup::RecoveryPoint", "AWS::RDS::DBSnapshot", "AWS::RDS::DBClusterSnapshot", "AWS::SSM::AssociationCompliance", "AWS::SSM::PatchCompliance"}

// Every type of AWS that a rule is about comes of a type of Terraform, so that the
// rules see Terraform as they see templates.
func TestTerraformTable(t *testing.T) {
	made := map[string]bool{}
	for _, entries := range terraformTypes() {
		for _, e := range entries {
			made[e.Type] = true
			for _, also := range e.Also {
				made[also.Type] = true
			}
		}
	}
	if n := len(terraformTypes()); n < 120 {
		t.Errorf("only %d types of Terraform", n)
	}
	policies, err := guard.ParsePolicies(aws.Files)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range policies {
		if !slices.ContainsFunc(p.Types, func(typ string) bool { return made[typ] || slices.Contains(liveOnly, typ) }) {
			t.Errorf("%s is about %v, of which no type of Terraform makes one", p.ID, p.Types)
		}
	}
}
