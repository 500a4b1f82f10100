package route

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/finding"
)

// findingIn is the one finding that an event of the hub tells of.
func findingIn(e event.Event) (f finding.Finding, ok bool) {
	if e.Source != finding.Source || e.Type != finding.Imported {
		return f, false
	}
	var detail struct {
		Findings []finding.Finding `json:"findings"`
	}
	if json.Unmarshal(e.Detail, &detail) != nil || len(detail.Findings) != 1 {
		return f, false
	}
	return detail.Findings[0], true
}

// wrong tells whether a finding is something to be told of: it is open, and no
// control that has passed.
func wrong(f *finding.Finding) bool {
	return f.Open() && (f.Compliance == nil || f.Compliance.Status != finding.Passed)
}

func identity(f *finding.Finding) Identity { return Identity{f.AccountID, f.ProductARN, f.ID} }

const between = "\n" // cannot stand in any of an identity's parts

func (i Identity) subject() string { return i.Account + between + i.ProductARN + between + i.ID }

// identityOf is the finding that a subject stands for, if it is one.
func identityOf(subject string) (i Identity, ok bool) {
	parts := strings.SplitN(subject, between, 3)
	if len(parts) != 3 {
		return i, false
	}
	return Identity{parts[0], parts[1], parts[2]}, true
}

// groupOf is what belongs together in one message: the same problem in the
// same place of the same account, though several standards or packages raise it.
func groupOf(f *finding.Finding) string {
	where := ""
	if len(f.Resources) > 0 {
		where = root(f.Resources[0].ID)
	}
	return f.AccountID + between + problemOf(f) + between + where
}

// problemOf is the control, the vulnerability in a package, or else the rule that found it.
func problemOf(f *finding.Finding) string {
	if f.Compliance != nil && f.Compliance.SecurityControlID != "" {
		return f.Compliance.SecurityControlID
	}
	if len(f.Vulnerabilities) > 0 {
		v := f.Vulnerabilities[0]
		if len(v.Packages) > 0 {
			return v.ID + " " + v.Packages[0].Name
		}
		return v.ID
	}
	return f.GeneratorID
}

// root is the thing that a resource is part of: the bucket of an object, the
// repository of a file, the type and name of what has an ARN.
func root(id string) string {
	service, rest, ok := resource(id)
	switch {
	case ok && service == "s3":
		bucket, _, _ := strings.Cut(rest, "/")
		return id[:len(id)-len(rest)] + bucket
	case ok:
		parts := strings.SplitN(rest, "/", 3)
		if len(parts) == 3 {
			return strings.TrimSuffix(id, "/"+parts[2])
		}
		return id
	}
	if scheme, after, ok := strings.Cut(id, "://"); ok {
		host, _, _ := strings.Cut(after, "/")
		return scheme + "://" + host
	}
	first, _, _ := strings.Cut(id, "/")
	return first
}
