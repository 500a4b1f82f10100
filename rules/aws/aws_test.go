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
)

// Every rule fails on its bad examples and passes on its good ones, templates and configuration items alike.
func TestProve(t *testing.T) {
	proof, err := guard.Prove(aws.Files, shape.New().Documents)
	if err != nil {
		t.Fatal(err)
	}
	if proof.Policies < 10 {
		t.Errorf("only %d rules", proof.Policies)
	}
}

// A rule is only about types whose shape is known, so that it serves live resources too.
func TestTypes(t *testing.T) {
	policies, err := guard.ParsePolicies(aws.Files)
	if err != nil {
		t.Fatal(err)
	}
	known := shape.New().Types()
	for _, p := range policies {
		for _, typ := range p.Types {
			if !slices.Contains(known, typ) {
				t.Errorf("%s is about %s, which package shape does not know", p.ID, typ)
			}
		}
	}
}

// Every rule is one of AWS's pack.
func TestPack(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(os.Getenv("HAECHI_TESTDATA"), "compliance", "pack-identifiers.json"))
	if err != nil {
		t.Skip("there is no compliance/pack-identifiers.json in HAECHI_TESTDATA")
	}
	var pack struct {
		IDs struct{ KISMS []string } `json:"ids"`
	}
	if err := json.Unmarshal(text, &pack); err != nil {
		t.Fatal(err)
	}
	policies, err := guard.ParsePolicies(aws.Files)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range policies {
		if !slices.Contains(pack.IDs.KISMS, p.ID) {
			t.Errorf("%s is not in the pack", p.ID)
		}
	}
}
