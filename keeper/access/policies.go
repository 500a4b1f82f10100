package access

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/lang/iam"
)

// The policies that come with Haechi, a file each.
//
//go:embed policies/*.json
var policyFiles embed.FS

// The names of the managed policies that the program itself hands out.
const (
	Administrator = "AdministratorAccess"
	SecurityAudit = "SecurityAudit"
	Developer     = "HaechiDeveloper"
)

// oursAre the policies that come with Haechi, by name. A test finds a malformed one first.
var oursAre = sync.OnceValues(func() ([]Policy, error) {
	files, err := policyFiles.ReadDir("policies")
	if err != nil {
		return nil, err
	}
	began := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	var all []Policy
	for _, f := range files {
		text, err := policyFiles.ReadFile("policies/" + f.Name())
		if err != nil {
			return nil, err
		}
		if _, err := iam.Parse(f.Name(), text); err != nil {
			return nil, fmt.Errorf("managed policy: %w", err)
		}
		name := strings.TrimSuffix(f.Name(), ".json")
		all = append(all, Policy{Name: name, ID: "ANPA" + strings.ToUpper(fmt.Sprintf("%016x", sum(name))), Path: "/", Created: began, Updated: began, Default: "v1", Ours: true,
			Versions: []Version{{ID: "v1", Document: string(text), Created: began}}})
	}
	return all, nil
})

// sum is FNV-1a: ids of what comes with Haechi are the same everywhere.
func sum(text string) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range []byte(text) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

func ours() []Policy {
	all, err := oursAre()
	if err != nil {
		panic(err)
	}
	return all
}

// Managed are the names of the policies that come with Haechi.
func Managed() (names []string) {
	for _, p := range ours() {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names
}

const oursPrefix = "arn:aws:iam::aws:policy/"

// policyARN is the ARN of a policy: of one that comes with Haechi where a name is given.
func policyARN(text string) string {
	if strings.HasPrefix(text, "arn:") {
		return text
	}
	return oursPrefix + text
}

// policyName is how an attachment is kept: by name where the policy comes with Haechi, else by ARN.
func policyName(arn string) string { return strings.TrimPrefix(arn, oursPrefix) }
