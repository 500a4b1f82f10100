// Package kisms holds rules of AWS's conformance pack for Korea's ISMS: one txtar file each, with its help, its Guard rule, and bad and good examples.
package kisms

import "embed"

// Files are the rules, named as AWS Config calls them.
//
//go:embed *.txtar
var Files embed.FS
