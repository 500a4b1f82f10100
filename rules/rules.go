// Package rules lists the families of rules that come with Haechi.
package rules

import (
	"io/fs"

	"github.com/haechi-dev/haechi/rules/aws"
	"github.com/haechi-dev/haechi/rules/build"
	"github.com/haechi-dev/haechi/rules/detect"
	"github.com/haechi-dev/haechi/rules/docker"
	"github.com/haechi-dev/haechi/rules/kubernetes"
	"github.com/haechi-dev/haechi/rules/secret"
)

// Family is a folder of rules.
type Family struct {
	Name  string
	Files fs.FS
}

// Policies are the families of Guard policies.
func Policies() []Family {
	return []Family{{"aws", aws.Files}, {"kubernetes", kubernetes.Files}, {"docker", docker.Files}, {"build", build.Files}}
}

// Families are all of them.
func Families() []Family {
	return append(Policies(), Family{"detect", detect.Files}, Family{"secret", secret.Files})
}
