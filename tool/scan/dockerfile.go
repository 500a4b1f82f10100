package scan

import (
	"path"
	"strings"
)

// IsDockerfile tells a Dockerfile by its path: Dockerfile, Dockerfile.dev,
// web.dockerfile, Containerfile; but not Dockerfile.md or dockerfile.go.
func IsDockerfile(name string) bool {
	base := strings.ToLower(path.Base(name))
	switch base {
	case "dockerfile", "containerfile":
		return true
	}
	switch path.Ext(base) {
	case ".dockerignore", ".md", ".rst", ".txt", ".html", ".go", ".py", ".rb", ".js", ".mjs", ".ts", ".java", ".kt", ".cs", ".rs", ".c", ".h", ".php", ".lua", ".vim", ".json", ".yml", ".yaml", ".toml", ".tmpl", ".j2", ".erb":
		return false
	}
	return strings.HasPrefix(base, "dockerfile.") || strings.HasPrefix(base, "containerfile.") || strings.HasSuffix(base, ".dockerfile") || strings.HasSuffix(base, ".containerfile")
}
