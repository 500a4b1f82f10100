// Package secret holds the rules that tell secrets: one txtar file each, with its help, its rule, and bad and good examples.
package secret

import "embed"

// Files are the rules. Examples that look like a secret end in .hex and are
// written as hexadecimal digits, so that nobody's push protection, ours
// included, stumbles on them.
//
//go:embed *.txtar
var Files embed.FS
