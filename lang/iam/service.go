package iam

import "strings"

// reading are the beginnings of IAM's actions that change nothing.
var reading = [...]string{"get", "list", "generate", "simulate"}

// immutable tells of what a service lets nobody do: to change or pass on what
// AWS keeps in the account.
func immutable(q *query) bool {
	resource := q.request.Resource
	switch q.service {
	case "kms":
		return strings.Contains(resource, ":alias/aws/") && matchFold("*alias", q.name) && !matchFold("list*", q.name)
	case "iam":
		return kept(resource, q.name)
	}
	return false
}

func kept(resource, name string) bool {
	switch {
	case strings.Contains(resource, ":iam::aws:policy/"):
	case strings.Contains(resource, ":role/aws-reserved/"):
	case strings.Contains(resource, ":role/aws-service-role/"):
		if matchFold("*servicelinkedrole", name) || matchFold("updateroledescription", name) {
			return false
		}
	default:
		return false
	}
	for _, r := range reading {
		if len(name) > len(r) && matchFold(r, name[:len(r)]) {
			return false
		}
	}
	return true
}

// needsPolicy tells where the account is not trusted of itself: what the
// resource's own policy does not let in, no policy of an identity does. A KMS
// key without a policy is nobody's; a role without a trust policy is one
// whose policy was not handed in.
func needsPolicy(q *query, given bool) bool {
	switch q.service {
	case "kms":
		return strings.Contains(q.request.Resource, ":key/")
	case "sts":
		return given && (matchFold("assume*", q.name))
	}
	return false
}
