// Package aws holds the rules about resources of AWS that its conformance packs ask for: one txtar file each, with its help, its Guard rule, and bad and good examples.
package aws

import "embed"

// Files are the rules, named as AWS Config calls them.
//
//go:embed *.txtar
var Files embed.FS
