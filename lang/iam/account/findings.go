package account

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/finding"
)

// Tool is what findings of this package are made by.
const Tool = "iam"

// unusedDays is after how many days without use something is no longer needed;
// AWS's own benchmarks say 45 for credentials and 90 for roles.
const (
	unusedKeyDays  = 45
	unusedRoleDays = 90
	oldKeyDays     = 90
	rootDays       = 30
)

// note is a finding before it has an owner and an Id.
func note(severity finding.Label, rule, kind, arn, title, description, fix string) finding.Finding {
	return finding.Finding{
		GeneratorID: "haechi/iam/" + rule,
		Types:       []string{"Software and Configuration Checks/AWS Security Best Practices"},
		Severity:    &finding.Severity{Label: severity},
		Title:       finding.Shorten(title, 256),
		Description: finding.Shorten(description, 1024),
		Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: finding.Shorten(fix, 512)}},
		Resources:   []finding.Resource{{Type: kind, ID: finding.Shorten(arn, 512), Partition: "aws"}},
		ProductFields: map[string]string{
			finding.FieldFingerprint: finding.Fingerprint(rule, arn, title),
		},
	}
}

func (p *Principal) kind() string {
	if p.Role {
		return "AwsIamRole"
	}
	return "AwsIamUser"
}

// Finding is the escalation as a finding that names the edge to cut.
func (e Escalation) Finding() finding.Finding {
	severity := finding.High
	if e.May != Yes {
		severity = finding.Medium
	}
	var steps []string
	for i, s := range e.Steps {
		steps = append(steps, fmt.Sprintf("%d. %s (%s; %s): %s → %s.", i+1, s.How, s.Path, strings.Join(s.Actions, ", "), s.From, s.To))
	}
	fix := fmt.Sprintf("Take %s from %s: no other way is left then.", e.Cut.Action, e.Cut.Principal)
	if !e.Cut.Alone {
		fix = fmt.Sprintf("Begin with taking %s from %s; no single permission ends it, other ways remain.", e.Cut.Action, e.Cut.Principal)
	}
	sure := "can become an administrator"
	if e.May != Yes {
		sure = "could become an administrator"
	}
	f := note(severity, "escalation", e.Principal.kind(), e.Principal.ARN, e.Principal.Name+" "+sure, strings.Join(steps, " "), fix)
	f.Types = []string{"TTPs/Privilege Escalation"}
	return f
}

// Review are the findings of a snapshot: escalations, grants that are more than
// anybody needs, trust that lets strangers in, and roles that nobody uses.
func (a *Account) Review(now time.Time) (all []finding.Finding) {
	for _, e := range a.Escalations() {
		all = append(all, e.Finding())
	}
	for _, p := range a.Principals {
		linked := strings.Contains(p.ARN, ":role/aws-service-role/") || strings.Contains(p.ARN, ":role/aws-reserved/")
		if a.administers(p.policies, p) && !p.Role {
			all = append(all, note(finding.Medium, "administrator", p.kind(), p.ARN, p.Name+" is an administrator of the account at all times",
				"The user's long-lived credentials are those of an administrator.", "Let the user assume an administrator's role, with MFA, for as long as it takes."))
		}
		if linked || !p.Role {
			continue
		}
		if p.trust != nil {
			for _, who := range p.trust.Outsiders(a.ID) {
				all = append(all, note(finding.Medium, "outsider", p.kind(), p.ARN, p.Name+" trusts "+who+" with nothing that binds it",
					"The trust policy lets a principal of another account in without an external id or an organisation: whoever talks that account's people into it gets in (the confused deputy).",
					"Add a condition on sts:ExternalId, or on aws:PrincipalOrgID for an account of one's own."))
			}
		}
		if last, ok := finding.Time(p.LastUsed); ok && now.Sub(last) > unusedRoleDays*24*time.Hour {
			all = append(all, note(finding.Low, "unused-role", p.kind(), p.ARN, p.Name+" has not been used for a long time",
				fmt.Sprintf("The role was last used %s.", last.Format(time.DateOnly)), "Delete the role, or take its policies away."))
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Concat(all, a.grants, a.idle), func(f finding.Finding) bool { // one statement may say the same twice
		print := f.ProductFields[finding.FieldFingerprint]
		again := seen[print]
		seen[print] = true
		return again
	})
}

// grant is a remark on a policy as a finding about who has it.
func grant(owner, policy string, kind string, r iam.Remark) finding.Finding {
	severity := finding.Low
	switch r.Rule {
	case "public": // of a trust policy: a snapshot holds no other that names principals
		severity = finding.Critical
	case "oidc-subject":
		severity = finding.High
	case "administrator", "full-access", "pass-role":
		severity = finding.Medium
	}
	f := note(severity, r.Rule, kind, owner, policy+": "+r.Message, fmt.Sprintf("In %s, line %d: %s.", policy, r.Line, r.Message), r.Hint)
	if r.Hint == "" {
		f.Remediation = nil
	}
	return f
}
