package detect_test

import (
	"testing"

	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/rules/detect"
)

// Each rule finds its bad examples and none of its good ones, says how bad it is, and which technique it tells.
func TestRules(t *testing.T) {
	proofs, err := sigma.Prove(detect.Files)
	if err != nil {
		t.Fatal(err)
	}
	if len(proofs) < 8 {
		t.Errorf("%d files", len(proofs))
	}
	for _, p := range proofs {
		for _, u := range p.Unmet {
			t.Errorf("%s: %s", p.File, u)
		}
	}
	files, err := sigma.Load(detect.Files)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, r := range sigma.Rules(files) {
		if r.ID == "" || r.Name == "" || r.Level == "" || r.Description == "" || len(r.Tags) < 2 || ids[r.ID] || ids[r.Name] {
			t.Errorf("%s: it lacks something, or its id or name is there twice: %+v", r.Place, r)
		}
		ids[r.ID], ids[r.Name] = true, true
	}
	if _, err := sigma.Compile(sigma.Rules(files)); err != nil {
		t.Error(err)
	}
}
