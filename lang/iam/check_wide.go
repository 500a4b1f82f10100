package iam

import (
	"slices"
	"strings"
)

// powerful are services of which every action on everything is the account itself.
var powerful = []string{"iam", "sts", "organizations", "kms", "s3", "secretsmanager", "lambda", "cloudformation", "ssm", "ec2"}

// wildcards is what grants more than it may seem to.
func (c *checker) wildcards(s *statement) {
	limiting := c.kind == ServiceControl || c.kind == ResourceControl || c.kind == Endpoint // there an Allow grants nothing
	if s.deny || limiting {
		return
	}
	for _, r := range s.resources {
		if r.bare && !s.notThose {
			c.say(Warning, "bare-variable", r.at, "put text beside the variable, as in user/${aws:username}", "readers of policies disagree whether a variable can be the whole name of a resource; here this allows nothing")
		}
	}
	everything := slices.ContainsFunc(s.resources, func(r arn) bool { return r.all }) && !s.notThose
	free := len(s.conditions) == 0
	if s.notActions {
		c.say(Warning, "not-action", s.actions[0].at, "list what is allowed, or deny with NotAction", "this allows every other action there is and will be, of all services")
	}
	if s.notThose {
		c.say(Warning, "not-resource", s.resources[0].at, "", "this allows it on everything else there is and will be")
	}
	if s.notActions || !everything {
		return
	}
	for _, a := range s.actions {
		switch {
		case a.all && free:
			c.say(Warning, "administrator", a.at, "", "this allows everything on everything")
		case a.service != "" && a.name == "*" && free && slices.Contains(powerful, a.service):
			c.say(Warning, "full-access", a.at, "list the actions that are needed", "this allows all of %s on everything", a.service)
		case passes(a) && !slices.ContainsFunc(s.conditions, func(c condition) bool { return c.key == "iam:passedtoservice" }):
			c.say(Warning, "pass-role", a.at, "name the roles, and the service in a condition on iam:PassedToService", "this passes every role of the account to every service")
		case a.service == "" && !a.all && free:
			c.say(Warning, "any-service", a.at, "", "this is about actions of that name in all services")
		}
	}
}

// passes tells of patterns by which PassRole is meant, and not everything.
func passes(a action) bool {
	return !a.broken && a.service == "iam" && a.name != "*" && matchFold(a.name, "PassRole")
}

// conditions are those that do not say what they seem to.
func (c *checker) conditions(s *statement, old bool) {
	for i := range s.conditions {
		one := &s.conditions[i]
		if one.unknown {
			continue
		}
		c.key(one)
		o := one.operator
		if o.set == "ForAllValues" && !s.deny && !slices.ContainsFunc(s.conditions, func(n condition) bool { return n.operator.null && n.key == one.key }) {
			c.say(Warning, "for-all-values", one.at, `add "Null": {"`+one.key+`": "false"}`, "this holds too where the request has no %s at all", one.key)
		}
		if s.deny && !o.ifExists && one.key == "aws:multifactorauthpresent" && strings.HasSuffix(one.name, "Bool") && slices.Contains(one.texts, "false") {
			c.say(Warning, "mfa", one.at, "BoolIfExists", "this does not deny long-term access keys: their requests do not have the key")
		}
		for _, text := range one.texts {
			c.value(s, one, text, old)
		}
	}
}

// value is what is odd about one value of a condition.
func (c *checker) value(s *statement, one *condition, text string, old bool) {
	variable := !old && strings.Contains(text, "${")
	plain := text
	for _, literal := range []string{"${*}", "${?}", "${$}"} {
		plain = strings.ReplaceAll(plain, literal, "")
	}
	family, _ := strings.CutSuffix(one.name[strings.LastIndexByte(one.name, ':')+1:], "IfExists")
	if strings.HasPrefix(family, "String") && !strings.HasSuffix(family, "Like") && strings.ContainsAny(plain, "*?") && !strings.Contains(plain, "${") {
		c.say(Warning, "literal-wildcard", one.at, strings.Replace(strings.TrimSuffix(family, "IgnoreCase"), "Equals", "Like", 1), "%s compares the wildcard in %q as it stands", family, text)
	}
	if variable && s.deny && one.operator.negated && plain != "" && strings.Contains(plain, "${") && !strings.Contains(plain, ",") {
		c.say(Warning, "deny-variable", one.at, "give it a default, ${key, 'none'}, or deny with Null too", "this denies nothing where %s has no value", text)
	}
}

// trust is whom a role's trust policy lets in beyond what was meant.
func (c *checker) trust(s *statement) {
	if c.kind != Trust || s.deny {
		return
	}
	for _, p := range s.principals {
		switch {
		case p.kind == everyone && s.public():
			c.say(Warning, "public", p.at, "name the accounts or principals", "everybody in the world may assume this role, as far as it is concerned")
		case p.kind == aProvider && strings.Contains(p.text, "oidc-provider/"):
			c.provider(s, p)
		}
	}
}

// provider looks for who of an identity provider's people is meant.
func (c *checker) provider(s *statement, p principal) {
	_, host, _ := strings.Cut(p.text, "oidc-provider/")
	host = strings.ToLower(host)
	fixed := false
	for _, one := range s.conditions {
		if one.key != host+":sub" || one.unknown || one.operator.negated || one.operator.ifExists || one.operator.null || one.operator.set == "ForAllValues" {
			continue
		}
		fixed = true
		for _, text := range one.texts {
			if wideSubject(text) {
				c.say(Warning, "oidc-subject", one.at, "name the organisation and the repository, or the namespace and the account", "%q lets in subjects of others", text)
			}
		}
	}
	if !fixed {
		c.say(Warning, "oidc-subject", p.at, `add "StringEquals": {"`+host+`:sub": …}`, "every token of %s is let in", host)
	}
}

// wideSubject tells of a subject that leaves open whose it is: repo:*, system:serviceaccount:*.
func wideSubject(text string) bool {
	for _, lead := range []string{"repo:", "project_path:", "system:serviceaccount:"} {
		text = strings.TrimPrefix(text, lead)
	}
	return text == "" || strings.HasPrefix(text, "*") || strings.HasPrefix(text, "?")
}
