// Package detect holds the rules that tell attacks in log records: one txtar file each, with its help, its Sigma rule, and bad and good examples.
package detect

import "embed"

// Files are the rules. What they say beyond Sigma stands under haechi: how the
// finding is typed, which resource it is about, and what to do.
//
//go:embed *.txtar
var Files embed.FS
