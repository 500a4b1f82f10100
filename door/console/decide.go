package console

import (
	"cmp"
	"fmt"
	"maps"
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
	updates, err := o.keepFields(r, u)
	if err != nil {
		return "", err
	}
	var failed []hub.UpdateFailure
	for _, u := range updates {
		done, err := o.config.Hub.Update(r.Context(), u)
		if err != nil {
			return "", err
		}
		failed = append(failed, done.Failed...)
	}
	if n := len(failed); n > 0 {
		return "", fault.Conflict.Errorf("%s", r.t("%d of %d findings could not be changed: %s", n, len(refs), failed[0].Message))
	}
	r.say("Findings changed: %d", len(refs))
	return next, nil
}

// keepFields parts an update so that an owner is added to the other user-defined
// fields that a finding has: an update replaces them all.
func (o *Console) keepFields(r *request, u hub.Update) (updates []hub.Update, err error) {
	if u.UserFields == nil {
		return []hub.Update{u}, nil
	}
	at := map[string]int{}
	for _, ref := range u.Refs {
		f, err := o.config.Hub.Get(r.Context(), ref)
		if err != nil {
			return nil, err
		}
		fields := maps.Clone(f.UserFields)
		if fields == nil {
			fields = map[string]string{}
		}
		maps.Copy(fields, u.UserFields)
		key := fmt.Sprint(fields) // maps are printed in order
		i, ok := at[key]
		if !ok {
			i = len(updates)
			at[key] = i
			one := u
			one.Refs, one.UserFields = nil, fields
			updates = append(updates, one)
		}
		updates[i].Refs = append(updates[i].Refs, ref)
	}
	return updates, nil
}
