package console

import (
	"cmp"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// askUpdate is what changing the chosen findings takes: the action with what is to be set.
func (o *Console) askUpdate(r *request) []iam.Request {
	asked := r.ask("securityhub:BatchUpdateFindings", "")
	for path, values := range o.decision(r).Values() {
		asked[0].Context["securityhub:asffsyntaxpath/"+strings.ToLower(path)] = values
	}
	return asked
}

// decision is what the form says.
func (o *Console) decision(r *request) hub.Decision {
	var d hub.Decision
	if s := r.PostFormValue("status"); s != "" {
		d.Workflow = &finding.Workflow{Status: finding.Status(s)}
	}
	if owner := strings.TrimSpace(r.PostFormValue("owner")); owner != "" {
		d.UserFields = map[string]string{"owner": owner}
	}
	if reason := strings.TrimSpace(r.PostFormValue("reason")); reason != "" {
		d.Note = &hub.Note{Text: reason, UpdatedBy: r.principal.Name}
	}
	return d
}

func (o *Console) updateFindings(r *request) (string, error) {
	next := within(r.PostFormValue("next"))
	refs := r.PostForm["ref"]
	if len(refs) == 0 {
		return "", fault.Invalid.Errorf("%s", r.t("No finding is chosen."))
	}
	reason := strings.TrimSpace(r.PostFormValue("reason"))
	if reason == "" {
		return "", fault.Invalid.Errorf("%s", r.t("Say why: those who come after want to know."))
	}
	u := hub.Update{Decision: o.decision(r), By: r.principal.ARN, Why: reason}
	if u.Workflow == nil && u.UserFields == nil {
		return "", fault.Invalid.Errorf("%s", r.t("Say what is to be done: a status, an owner, or both."))
	}
	for _, text := range refs {
		ref, err := decodeRef(text)
		if err != nil {
			return "", err
		}
		u.Refs = append(u.Refs, ref)
	}
	if u.Workflow != nil && u.Workflow.Status == finding.Suppressed {
		u.Accept = &hub.Acceptance{Kind: cmp.Or(r.PostFormValue("kind"), "risk-accepted"), Reason: reason, Owner: cmp.Or(strings.TrimSpace(r.PostFormValue("owner")), r.principal.Name)}
		if until := r.PostFormValue("until"); until != "" {
			day, err := time.Parse(time.DateOnly, until)
			if err != nil || !day.After(o.config.Now()) {
				return "", fault.Invalid.Errorf("%s", r.t("%q is not a day to come (2027-01-31).", until))
			}
			u.Accept.Until = day
		}
	}
	done, err := o.config.Hub.Update(r.Context(), u)
	if err != nil {
		return "", err
	}
	if n := len(done.Failed); n > 0 {
		return "", fault.Conflict.Errorf("%s", r.t("%d of %d findings could not be changed: %s", n, len(refs), done.Failed[0].Message))
	}
	r.say("Findings changed: %d", len(refs))
	return next, nil
}
