// Package build holds the rules about workflows of GitHub Actions and build files: one txtar file each.
package build

import "embed"

// Files are the rules.
//
//go:embed *.txtar
var Files embed.FS
