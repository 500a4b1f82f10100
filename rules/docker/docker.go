// Package docker holds the rules about Dockerfiles and compose files: one txtar file each.
package docker

import "embed"

// Files are the rules.
//
//go:embed *.txtar
var Files embed.FS
