package build_test

import (
	"testing"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/rules/build"
	"github.com/haechi-dev/haechi/tool/scan/iac"
)

// Every rule fails on its bad workflows and build files and passes on its good ones.
func TestProve(t *testing.T) {
	if _, err := guard.Prove(build.Files, iac.Documents); err != nil {
		t.Fatal(err)
	}
}
