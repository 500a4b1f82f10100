package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// CreatePolicy makes a managed policy with its first version.
func (a *Access) CreatePolicy(ctx context.Context, name, path, description, text string, tags map[string]string) error {
	if err := named(aPolicy, name, &path); err != nil {
		return err
	}
	if err := document(iam.Identity, name, text, mostManaged, "PolicySize"); err != nil {
		return err
	}
	tags, err := tagged(nil, tags, nil)
	if err != nil {
		return err
	}
	now := a.now()
	return a.change(ctx, func(tx *db.Tx) error {
		return create(tx, aPolicy, name, Policy{Name: name, ID: newID("ANPA"), Path: path, Description: description, Created: now, Updated: now, Tags: tags,
			Default: "v1", Next: 2, Versions: []Version{{"v1", text, now}}})
	})
}

// editPolicy changes a policy of the account's own, by ARN.
func (a *Access) editPolicy(ctx context.Context, arn string, f func(tx *db.Tx, p *Policy) error) error {
	return a.change(ctx, func(tx *db.Tx) error {
		p, err := a.policyIn(tx, arn)
		if err != nil {
			return err
		}
		if p.Ours {
			return fault.Denied.Errorf("Cannot perform the operation on the protected policy %s: it comes with Haechi", arn)
		}
		if err := f(tx, p); err != nil {
			return err
		}
		return keep(tx, aPolicy, p.Name, p)
	})
}

// CreatePolicyVersion adds a version, which counts at once if it is to be the default.
func (a *Access) CreatePolicyVersion(ctx context.Context, arn, text string, count bool) (v Version, err error) {
	if err := document(iam.Identity, arn[strings.LastIndexByte(arn, '/')+1:], text, mostManaged, "PolicySize"); err != nil {
		return v, err
	}
	return v, a.editPolicy(ctx, arn, func(_ *db.Tx, p *Policy) error {
		if len(p.Versions) >= mostVersions {
			return fault.Limit.Errorf("A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", mostVersions)
		}
		v = Version{fmt.Sprintf("v%d", p.Next), text, a.now()}
		p.Next++
		p.Versions = append(p.Versions, v)
		p.Updated = v.Created
		if count {
			p.Default = v.ID
		}
		return nil
	})
}

func (p *Policy) version(id string) (int, error) {
	i := slices.IndexFunc(p.Versions, func(v Version) bool { return v.ID == id })
	if i < 0 {
		return i, fault.NotFound.Errorf("Policy %s version %s does not exist or is not attachable.", p.Name, id)
	}
	return i, nil
}

// Version is a version by id.
func (p *Policy) Version(id string) (Version, error) {
	i, err := p.version(id)
	if err != nil {
		return Version{}, err
	}
	return p.Versions[i], nil
}

// SetDefault has another version count.
func (a *Access) SetDefault(ctx context.Context, arn, id string) error {
	return a.editPolicy(ctx, arn, func(_ *db.Tx, p *Policy) error {
		if _, err := p.version(id); err != nil {
			return err
		}
		p.Default, p.Updated = id, a.now()
		return nil
	})
}

// DeletePolicyVersion removes a version that does not count.
func (a *Access) DeletePolicyVersion(ctx context.Context, arn, id string) error {
	return a.editPolicy(ctx, arn, func(_ *db.Tx, p *Policy) error {
		i, err := p.version(id)
		switch {
		case err != nil:
			return err
		case id == p.Default:
			return fault.Conflict.Errorf("Cannot delete the default version of a policy.")
		}
		p.Versions = slices.Delete(p.Versions, i, i+1)
		return nil
	})
}

// TagPolicy sets and drops tags of a policy.
func (a *Access) TagPolicy(ctx context.Context, arn string, set map[string]string, drop []string) error {
	return a.editPolicy(ctx, arn, func(_ *db.Tx, p *Policy) (err error) {
		p.Tags, err = tagged(p.Tags, set, drop)
		return err
	})
}

// DeletePolicy removes a policy that nobody has, and with it its only version.
func (a *Access) DeletePolicy(ctx context.Context, arn string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		p, err := a.policyIn(tx, arn)
		if err != nil {
			return err
		}
		if p.Ours {
			return fault.Denied.Errorf("Cannot perform the operation on the protected policy %s: it comes with Haechi", arn)
		}
		used, err := a.holding(tx, arn)
		switch {
		case err != nil:
			return err
		case used:
			return fault.Conflict.Errorf("Cannot delete a policy attached to entities.")
		case len(p.Versions) > 1:
			return fault.Conflict.Errorf("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		return remove(tx, aPolicy, p.Name)
	})
}

func (a *Access) holding(tx *db.Tx, arn string) (bool, error) {
	d := Directory{Account: a.config.Account}
	var err error
	if d.Users, err = a.users(tx); err != nil {
		return false, err
	}
	if d.Groups, err = list[Group](tx, aGroup); err != nil {
		return false, err
	}
	d.Roles, err = list[Role](tx, aRole)
	attached, bounded := d.Holders(arn)
	return len(attached)+len(bounded) > 0, err
}
