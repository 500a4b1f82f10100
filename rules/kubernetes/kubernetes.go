// Package kubernetes holds the rules about objects of Kubernetes: the Pod Security Standards and the policies of the CIS Benchmark, one txtar file each.
package kubernetes

import "embed"

// Files are the rules.
//
//go:embed *.txtar
var Files embed.FS
