package access

import (
	"context"
	"slices"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// CreateRole makes a role; its Name, Trust, Description, Longest and what it holds are taken.
func (a *Access) CreateRole(ctx context.Context, r Role) error {
	want := r.Holder
	if err := named(aRole, r.Name, &want.Path); err != nil {
		return err
	}
	if r.Longest == 0 {
		r.Longest = 3600
	}
	if r.Longest < 3600 || r.Longest > 43200 {
		return fault.Invalid.Errorf("a session of a role lasts at most 3600 to 43200 seconds, not %d", r.Longest)
	}
	if err := document(iam.Trust, "trust policy", r.Trust, mostTrust, "ACLSizePerRole"); err != nil {
		return err
	}
	r.ID, r.Created, r.Holder = newID("AROA"), a.now(), Holder{}
	return a.change(ctx, func(tx *db.Tx) error {
		if err := a.begins(tx, &r.Holder, want); err != nil {
			return err
		}
		return create(tx, aRole, r.Name, r)
	})
}

// UpdateRole changes what is told of a role, and how long its sessions may last; nil leaves it.
func (a *Access) UpdateRole(ctx context.Context, name string, description *string, longest *int) error {
	return a.change(ctx, func(tx *db.Tx) error {
		return edit(tx, aRole, name, func(r *Role) error {
			if description != nil {
				r.Description = *description
			}
			if longest == nil {
				return nil
			}
			if r.Longest = *longest; r.Longest < 3600 || r.Longest > 43200 {
				return fault.Invalid.Errorf("a session of a role lasts at most 3600 to 43200 seconds, not %d", r.Longest)
			}
			return nil
		})
	})
}

// SetTrust changes who may assume a role.
func (a *Access) SetTrust(ctx context.Context, name, text string) error {
	if err := document(iam.Trust, "trust policy", text, mostTrust, "ACLSizePerRole"); err != nil {
		return err
	}
	return a.change(ctx, func(tx *db.Tx) error {
		return edit(tx, aRole, name, func(r *Role) error { r.Trust = text; return nil })
	})
}

// DeleteRole removes a role that has neither policies nor instance profiles. Its sessions end at once.
func (a *Access) DeleteRole(ctx context.Context, name string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		r, err := find[Role](tx, aRole, name)
		if err != nil {
			return err
		}
		profiles, err := list[Profile](tx, aProfile)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(profiles, func(p Profile) bool { return p.Role == name }) {
			return fault.Conflict.Errorf("Cannot delete entity, must remove roles from instance profile first.")
		}
		if err := empty(&r.Holder); err != nil {
			return err
		}
		return remove(tx, aRole, name)
	})
}

// CreateProfile makes an instance profile.
func (a *Access) CreateProfile(ctx context.Context, name, path string, tags map[string]string) error {
	if err := named(aProfile, name, &path); err != nil {
		return err
	}
	tags, err := tagged(nil, tags, nil)
	if err != nil {
		return err
	}
	return a.change(ctx, func(tx *db.Tx) error {
		return create(tx, aProfile, name, Profile{Name: name, ID: newID("AIPA"), Path: path, Created: a.now(), Tags: tags})
	})
}

// SetProfileRole puts a role into an instance profile, which has none, or takes it out.
func (a *Access) SetProfileRole(ctx context.Context, name, role string, in bool) error {
	return a.change(ctx, func(tx *db.Tx) error {
		if _, err := find[Role](tx, aRole, role); err != nil {
			return err
		}
		return edit(tx, aProfile, name, func(p *Profile) error {
			switch {
			case in && p.Role != "":
				return fault.Limit.Errorf("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
			case in:
				p.Role = role
			case p.Role != role:
				return missing(aRole, role)
			default:
				p.Role = ""
			}
			return nil
		})
	})
}

// TagProfile sets and drops tags of an instance profile.
func (a *Access) TagProfile(ctx context.Context, name string, set map[string]string, drop []string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		return edit(tx, aProfile, name, func(p *Profile) (err error) {
			p.Tags, err = tagged(p.Tags, set, drop)
			return err
		})
	})
}

// DeleteProfile removes an instance profile without a role.
func (a *Access) DeleteProfile(ctx context.Context, name string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		p, err := find[Profile](tx, aProfile, name)
		switch {
		case err != nil:
			return err
		case p.Role != "":
			return fault.Conflict.Errorf("Cannot delete entity, must remove roles from instance profile first.")
		}
		return remove(tx, aProfile, name)
	})
}
