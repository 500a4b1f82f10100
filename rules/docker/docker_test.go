package docker_test

import (
	"testing"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/rules/docker"
	"github.com/haechi-dev/haechi/tool/scan/iac"
)

// Every rule fails on its bad files and passes on its good ones.
func TestProve(t *testing.T) {
	if _, err := guard.Prove(docker.Files, iac.Documents); err != nil {
		t.Fatal(err)
	}
}
