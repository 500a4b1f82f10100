package access

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/lang/iam"
)

// The policies that come with Haechi, a file each.
//
//go:embed policies/*.json
var policyFiles embed.FS

// The names of the managed policies.
const (
	Administrator = "AdministratorAccess"
	SecurityAudit = "SecurityAudit"
	Developer     = "HaechiDeveloper"
)

// managedPolicies are the policies by name. They are ours: a test finds a malformed one first.
var managedPolicies = sync.OnceValues(func() (map[string]*iam.Policy, error) {
	files, err := policyFiles.ReadDir("policies")
	if err != nil {
		return nil, err
	}
	all := map[string]*iam.Policy{}
	for _, f := range files {
		text, err := policyFiles.ReadFile("policies/" + f.Name())
		if err != nil {
			return nil, err
		}
		p, err := iam.Parse(f.Name(), text)
		if err != nil {
			return nil, fmt.Errorf("managed policy: %w", err)
		}
		all[strings.TrimSuffix(f.Name(), ".json")] = p
	}
	return all, nil
})

// Managed are the names of the policies that a user can be given.
func Managed() []string {
	all, err := managedPolicies()
	if err != nil {
		panic(err)
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
