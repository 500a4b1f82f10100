package detect

import (
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// about is what a rule says under haechi: how its finding looks.
type about struct {
	Types       []string
	Remediation string
	URL         string
	Resource    *resource
	Other       *resource // where a field of Resource is not there
}

// resource is an ARN with {fields}; {partition}, {region} and {account} are the record's.
type resource struct{ Type, ID string }

// fields are those that an ARN is made of.
func (r *resource) fields() (all []string) {
	for rest := r.ID; ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			return all
		}
		name, after, _ := strings.Cut(after, "}")
		if name != "partition" && name != "region" && name != "account" {
			all = append(all, name)
		}
		rest = after
	}
}

// fill is the ARN, or "" if a field has no value. A value that is an ARN itself is the answer.
func (r *resource) fill(value func(string) string) string {
	var b strings.Builder
	rest := r.ID
	for {
		before, after, ok := strings.Cut(rest, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, after, _ := strings.Cut(after, "}")
		v := value(name)
		if v == "" || strings.HasPrefix(v, "arn:") {
			return v
		}
		b.WriteString(v)
		rest = after
	}
}

// aboutRule reads it; a rule that says nothing gets what can be told from its tags.
func aboutRule(r *sigma.Rule) (about, error) {
	var a about
	if _, err := r.Custom("haechi", &a); err != nil {
		return a, fault.Invalid.Wrap(err)
	}
	for _, x := range []*resource{a.Resource, a.Other} {
		if x != nil && (x.Type == "" || x.ID == "") {
			return a, fault.Invalid.Wrap(diag.Errorf(r.Place, "a resource under haechi needs a type and an id"))
		}
	}
	for _, t := range a.Types {
		if namespace, rest, _ := strings.Cut(t, "/"); !slices.Contains(namespaces[:], namespace) || strings.Count(rest, "/") > 1 {
			return a, fault.Invalid.Wrap(diag.Errorf(r.Place, "type %q under haechi is not namespace/category/classifier", t).WithHint("namespaces are %s", strings.Join(namespaces[:], ", ")))
		}
	}
	if len(a.Types) == 0 {
		a.Types = typesOf(r.Tags)
	}
	return a, nil
}

// namespaces are what a finding's types begin with.
var namespaces = [...]string{"Software and Configuration Checks", "TTPs", "Effects", "Unusual Behaviors", "Sensitive Data Identifications"}

// tactics are ATT&CK's names as Sigma's tags and ASFF's types have them.
var tactics = [...][2]string{
	{"initial-access", "Initial Access"}, {"execution", "Execution"}, {"persistence", "Persistence"}, {"privilege-escalation", "Privilege Escalation"},
	{"defense-evasion", "Defense Evasion"}, {"credential-access", "Credential Access"}, {"discovery", "Discovery"}, {"lateral-movement", "Lateral Movement"},
	{"collection", "Collection"}, {"command-and-control", "Command and Control"},
}

func typesOf(tags []string) []string {
	for _, t := range tactics {
		if slices.Contains(tags, "attack."+t[0]) || slices.Contains(tags, "attack."+strings.ReplaceAll(t[0], "-", "_")) {
			return []string{"TTPs/" + t[1]}
		}
	}
	return []string{"TTPs"}
}
