package scan_test

import (
	"testing"

	"github.com/haechi-dev/haechi/tool/scan"
)

// A Dockerfile is told by its name, and what is only about one is none.
func TestIsDockerfile(t *testing.T) {
	for name, want := range map[string]bool{
		"Dockerfile": true, "a/dockerfile": true, "Dockerfile.dev": true, "web.Dockerfile": true, "Containerfile": true, "Containerfile.arm": true, "Dockerfile.ubuntu-22.04": true,
		"dockerfile.go": false, "Dockerfile.md": false, "Dockerfile.dockerignore": false, "docker/dockerfile_test.py": false, "Dockerfiles": false, "Dockerfile.tmpl": false,
	} {
		if got := scan.IsDockerfile(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
