package access

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// Characters that documents have at most, white space left out, as IAM counts.
const (
	mostManaged = 6144
	mostTrust   = 4096
	mostOfUser  = 2048
	mostOfGroup = 5120
	mostOfRole  = 10240
)

const (
	mostAttached = 10
	mostVersions = 5
)

func size(text string) (n int) {
	for _, r := range text {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

// document checks a policy before it counts. A malformed one is a *diag.Error within fault.Invalid.
func document(kind iam.Kind, name, text string, most int, of string) error {
	if _, err := iam.ParseAs(kind, name, []byte(text)); err != nil {
		return err
	}
	if size(text) > most {
		return quota(of, most)
	}
	return nil
}

// Malformed tells whether an error is of a policy that could not be read.
func Malformed(err error) bool {
	var placed *diag.Error
	return errors.As(err, &placed)
}

// policyIn is a policy by name or ARN, as this transaction sees it.
func (a *Access) policyIn(tx *db.Tx, policy string) (*Policy, error) {
	arn := policyARN(policy)
	for _, p := range ours() {
		if policyARN(p.Name) == arn {
			return &p, nil
		}
	}
	p, err := find[Policy](tx, aPolicy, arn[strings.LastIndexByte(arn, '/')+1:])
	if err != nil || a.ownARN("policy"+p.Path+p.Name) != arn {
		if err == nil || fault.Of(err) == fault.NotFound {
			err = missing(aPolicy, arn)
			if !strings.HasPrefix(policy, "arn:") {
				err = fault.NotFound.Errorf("no policy %q; there are %s", policy, strings.Join(Managed(), ", "))
			}
		}
		return nil, err
	}
	return &p, nil
}

func (a *Access) ownARN(resource string) string {
	return "arn:aws:iam::" + a.config.Account + ":" + resource
}

func (a *Access) attach(tx *db.Tx, h *Holder, policy string) error {
	if _, err := a.policyIn(tx, policy); err != nil {
		return err
	}
	arn := policyARN(policy)
	switch {
	case slices.Contains(h.Attached, arn):
		return nil
	case len(h.Attached) >= mostAttached:
		return quota("AttachedPolicies", mostAttached)
	}
	h.Attached = append(h.Attached, arn)
	return nil
}

// AttachTo gives somebody a managed policy, by name or ARN.
func (a *Access) AttachTo(ctx context.Context, o Owner, policy string) error {
	return a.editHolder(ctx, o, func(tx *db.Tx, h *Holder) error { return a.attach(tx, h, policy) })
}

// DetachFrom takes a managed policy from somebody. The last administrator stays one.
func (a *Access) DetachFrom(ctx context.Context, o Owner, policy string) error {
	return a.checked(ctx, o, func(tx *db.Tx, h *Holder) (err error) {
		rest, ok := without(h.Attached, policyARN(policy))
		if !ok {
			return fault.NotFound.Errorf("Policy %s was not found.", policyARN(policy))
		}
		h.Attached = rest
		return nil
	})
}

// checked is editHolder after which an administrator is left.
func (a *Access) checked(ctx context.Context, o Owner, f func(*db.Tx, *Holder) error) error {
	return a.change(ctx, func(tx *db.Tx) error {
		var err error
		switch o.Kind {
		case OfUser:
			err = editUser(tx, o.Name, func(d *userDoc) error { return f(tx, &d.Holder) })
		case OfGroup:
			err = edit(tx, aGroup, o.Name, func(g *Group) error { return f(tx, &g.Holder) })
		default:
			return edit(tx, aRole, o.Name, func(r *Role) error { return f(tx, &r.Holder) })
		}
		if err != nil {
			return err
		}
		return somebodyIsLeft(tx)
	})
}

// PutInline writes an inline policy of somebody.
func (a *Access) PutInline(ctx context.Context, o Owner, name, text string) error {
	if err := named("policy", name, nil); err != nil {
		return err
	}
	most := map[OwnerKind]int{OfUser: mostOfUser, OfGroup: mostOfGroup, OfRole: mostOfRole}[o.Kind]
	of := "InlinePolicySize of a " + string(o.Kind)
	if err := document(iam.Identity, name, text, most, of); err != nil {
		return err
	}
	return a.editHolder(ctx, o, func(_ *db.Tx, h *Holder) error {
		if h.Inline == nil {
			h.Inline = map[string]string{}
		}
		h.Inline[name] = text
		total := 0
		for _, t := range h.Inline {
			total += size(t)
		}
		if total > most {
			return quota(of, most)
		}
		return nil
	})
}

// DeleteInline removes an inline policy of somebody.
func (a *Access) DeleteInline(ctx context.Context, o Owner, name string) error {
	return a.editHolder(ctx, o, func(_ *db.Tx, h *Holder) error {
		if _, ok := h.Inline[name]; !ok {
			return fault.NotFound.Errorf("The %s policy with name %s cannot be found.", o.Kind, name)
		}
		delete(h.Inline, name)
		return nil
	})
}

// SetBoundary bounds a user or a role by a managed policy; "" lifts it.
func (a *Access) SetBoundary(ctx context.Context, o Owner, policy string) error {
	return a.editHolder(ctx, o, func(tx *db.Tx, h *Holder) error {
		if policy == "" {
			if h.Boundary == "" {
				return fault.NotFound.Errorf("%s %s has no permissions boundary", titled(string(o.Kind)), o.Name)
			}
			h.Boundary = ""
			return nil
		}
		if _, err := a.policyIn(tx, policy); err != nil {
			return err
		}
		h.Boundary = policyARN(policy)
		return nil
	})
}

// TagHolder sets and drops tags of a user or a role.
func (a *Access) TagHolder(ctx context.Context, o Owner, set map[string]string, drop []string) error {
	return a.editHolder(ctx, o, func(_ *db.Tx, h *Holder) (err error) {
		h.Tags, err = tagged(h.Tags, set, drop)
		return err
	})
}

// now is the time as it is kept and told: IAM's is of whole seconds.
func (a *Access) now() time.Time { return a.config.Now().UTC().Truncate(time.Second) }

func empty(h *Holder) error {
	switch {
	case len(h.Attached) > 0:
		return fault.Conflict.Errorf("Cannot delete entity, must detach all policies first.")
	case len(h.Inline) > 0:
		return fault.Conflict.Errorf("Cannot delete entity, must delete policies first.")
	}
	return nil
}
