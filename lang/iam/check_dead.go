package iam

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/haechi-dev/haechi/word/diag"
)

// dead finds statements that change nothing: what they allow is allowed or
// denied by another, what they deny denied by another.
func (c *checker) dead(p *Policy) {
	// To compare each with each costs the square of the text: past what AWS
	// takes of most kinds it is left alone.
	const most = 16 << 10
	if len(c.text) > most {
		return
	}
	for i := range p.statements {
		s := &p.statements[i]
		c.twice(s)
		for j := range p.statements {
			other := &p.statements[j]
			if i == j || !other.implies(s) || !other.deny && s.deny {
				continue
			}
			same := s.implies(other) && s.deny == other.deny
			switch {
			case same && j > i: // of two that say the same the second is in vain
			case other.deny && !s.deny:
				c.say(Warning, "dead-statement", s.place, "", "this allows nothing: statement %d denies all of it", j+1)
			default:
				c.say(Suggestion, "dead-statement", s.place, "", "this changes nothing: statement %d says all of it", j+1)
			}
			break
		}
	}
}

// implies tells whether a statement matches whatever another does. It errs towards no.
func (s *statement) implies(other *statement) bool {
	if s.notActions || other.notActions || s.notThose || other.notThose || len(s.conditions) > 0 || s.notPrincipals || other.notPrincipals || s.unnamed || other.unnamed {
		return false
	}
	for _, a := range other.actions {
		if !a.broken && !slices.ContainsFunc(s.actions, func(b action) bool { return b.contains(a) }) {
			return false
		}
	}
	for i := range other.resources {
		if !slices.ContainsFunc(s.resources, func(b arn) bool { return b.contains(&other.resources[i], nil) }) {
			return false
		}
	}
	if len(other.resources) == 0 && len(s.resources) > 0 {
		return false
	}
	for _, p := range other.principals {
		if !slices.ContainsFunc(s.principals, func(b principal) bool { return b.kind == p.kind && b.text == p.text }) {
			return false
		}
	}
	return len(other.actions) > 0 && s.anybody == other.anybody
}

// contains tells whether an action's pattern matches whatever another does.
func (a action) contains(b action) bool {
	switch {
	case a.broken || b.broken:
		return false
	case a.all:
		return true
	case b.all:
		return false
	case a.service != "" && a.service != b.service:
		return false
	}
	return contains(a.pieces(), b.pieces())
}

// twice finds actions and resources of one statement that others of it cover.
func (c *checker) twice(s *statement) {
	for i, a := range s.actions {
		for j, b := range s.actions {
			if i != j && b.contains(a) && !(a.contains(b) && j > i) {
				c.say(Suggestion, "covered", a.at, "", "%s is part of %s", a.text, b.text)
				break
			}
		}
	}
	for i := range s.resources {
		for j := range s.resources {
			a, b := &s.resources[i], &s.resources[j]
			if i != j && b.contains(a, nil) && !(a.contains(b, nil) && j > i) {
				c.say(Suggestion, "covered", a.at, "", "%s is part of %s", a.text, b.text)
				break
			}
		}
	}
}

// own are services whose actions are about their own resources and no others'.
var own = []string{"s3", "sqs", "sns", "dynamodb", "lambda", "kms", "secretsmanager", "ecr", "kinesis", "iam"}

// reach finds resources that none of the statement's actions can be about.
func (c *checker) reach(s *statement) {
	if s.notActions || s.notThose || c.kind == Trust {
		return
	}
	for i := range s.resources {
		r := &s.resources[i]
		if r.all || !strings.HasPrefix(r.text, "arn:") {
			continue
		}
		c.oddARN(r)
		if len(r.parts) < arnParts && !strings.HasSuffix(r.text, "*") {
			c.say(Warning, "short-arn", r.at, "arn:partition:service:region:account:resource", "this ARN has %d parts, %d are needed: it matches nothing", len(r.parts), arnParts)
			continue
		}
		if !slices.ContainsFunc(s.actions, func(a action) bool { return a.broken || a.reaches(r) }) {
			c.say(Warning, "unreachable", r.at, r.objectHint(), "none of the actions here is about such a resource")
		}
	}
}

// partitions are AWS's.
var partitions = []string{"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"}

// oddARN finds parts of an ARN that no ARN has: it matches nothing.
func (c *checker) oddARN(r *arn) {
	parts := splitARN(r.text, true)
	fixed := func(i int) bool {
		return len(parts) == arnParts && parts[i] != "" && !strings.ContainsAny(parts[i], "*?$")
	}
	if fixed(1) && !slices.Contains(partitions, parts[1]) {
		hint := diag.DidYouMean(parts[1], partitions)
		for _, letter := range parts[1] {
			if letter > unicode.MaxASCII {
				hint = fmt.Sprintf("%q is U+%04X, and no letter of an ARN", letter, letter)
				break
			}
		}
		c.say(Warning, "odd-arn", r.at, hint, "there is no partition %q: this matches nothing", parts[1])
	}
	if fixed(4) && parts[4] != "aws" && !accountID(parts[4]) {
		c.say(Warning, "odd-arn", r.at, "", "%q is no account, which has 12 digits: this matches nothing", parts[4])
	}
}

// reaches tells whether an action could be about such a resource. It errs towards yes.
func (a action) reaches(r *arn) bool {
	if a.all || a.service == "" || !slices.Contains(own, a.service) || len(r.parts) < 3 {
		return true
	}
	of := r.parts[2]
	if of.shape == exact && of.text != a.service {
		return false
	}
	if a.service != "s3" || len(r.parts) < arnParts || strings.ContainsAny(a.name, "*?") || of.shape != exact {
		return true
	}
	last, _, _ := strings.Cut(r.text[strings.LastIndexByte(r.text, ':')+1:], "${")
	slash := strings.Contains(last, "/")
	open := strings.ContainsAny(last, "*?") || strings.Contains(r.text, "${")
	switch a.name {
	case "getobject", "putobject", "deleteobject", "getobjectversion", "putobjectacl", "getobjectacl", "deleteobjectversion", "abortmultipartupload", "restoreobject":
		return slash || open
	case "listbucket", "getbucketlocation", "getbucketpolicy", "putbucketpolicy", "deletebucket", "createbucket", "getbucketacl", "putbucketacl", "listbucketversions":
		return !slash
	}
	return true
}

func (r *arn) objectHint() string {
	if strings.HasPrefix(r.text, "arn:aws:s3:::") {
		return "a bucket is arn:aws:s3:::NAME, its objects are arn:aws:s3:::NAME/*"
	}
	return ""
}
