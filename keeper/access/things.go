package access

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/jwt"
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

// CreateGroup makes a group.
func (a *Access) CreateGroup(ctx context.Context, name, path string) error {
	if err := named(aGroup, name, &path); err != nil {
		return err
	}
	return a.change(ctx, func(tx *db.Tx) error {
		return create(tx, aGroup, name, Group{Name: name, ID: newID("AGPA"), Created: a.now(), Holder: Holder{Path: path}})
	})
}

// now is the time as it is kept and told: IAM's is of whole seconds.
func (a *Access) now() time.Time { return a.config.Now().UTC().Truncate(time.Second) }

// RenameGroup gives a group another name, another path, or both; "" leaves it.
func (a *Access) RenameGroup(ctx context.Context, group, name, path string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		g, err := find[Group](tx, aGroup, group)
		if err != nil {
			return err
		}
		if path != "" {
			g.Path = path
		}
		if name != "" {
			g.Name = name
		}
		if err := named(aGroup, g.Name, &g.Path); err != nil {
			return err
		}
		if g.Name == group {
			return keep(tx, aGroup, group, g)
		}
		if err := remove(tx, aGroup, group); err != nil {
			return err
		}
		return create(tx, aGroup, g.Name, g)
	})
}

// DeleteGroup removes a group that has neither members nor policies.
func (a *Access) DeleteGroup(ctx context.Context, name string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		g, err := find[Group](tx, aGroup, name)
		switch {
		case err != nil:
			return err
		case len(g.Members) > 0:
			return fault.Conflict.Errorf("Cannot delete entity, must remove users from group first.")
		}
		if err := empty(&g.Holder); err != nil {
			return err
		}
		return remove(tx, aGroup, name)
	})
}

func empty(h *Holder) error {
	switch {
	case len(h.Attached) > 0:
		return fault.Conflict.Errorf("Cannot delete entity, must detach all policies first.")
	case len(h.Inline) > 0:
		return fault.Conflict.Errorf("Cannot delete entity, must delete policies first.")
	}
	return nil
}

// Join makes a user a member of a group.
func (a *Access) Join(ctx context.Context, group, user string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		if err := userIn(tx, user); err != nil {
			return err
		}
		groups, err := groupsOf(tx, user)
		if err != nil {
			return err
		}
		return edit(tx, aGroup, group, func(g *Group) error {
			switch {
			case slices.Contains(g.Members, user):
				return nil
			case len(groups) >= mostGroups:
				return quota("GroupsPerUser", mostGroups)
			}
			g.Members = append(g.Members, user)
			return nil
		})
	})
}

// Leave takes a user out of a group. The last administrator stays one.
func (a *Access) Leave(ctx context.Context, group, user string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		if err := userIn(tx, user); err != nil {
			return err
		}
		err := edit(tx, aGroup, group, func(g *Group) error {
			rest, ok := without(g.Members, user)
			if !ok {
				return missing("user", user)
			}
			g.Members = rest
			return nil
		})
		if err != nil {
			return err
		}
		return somebodyIsLeft(tx)
	})
}

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

var aliasForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9](([a-z0-9]|-[a-z0-9])*)?$`) })

// SetAlias gives the account another name, in place of any former one.
func (a *Access) SetAlias(ctx context.Context, alias string) error {
	if len(alias) < 3 || len(alias) > 63 || !aliasForm().MatchString(alias) || strings.Trim(alias, "0123456789") == "" && len(alias) == 12 {
		return fault.Invalid.Errorf("an account's alias is 3 to 63 lower case letters, digits and single dashes, not %q", alias)
	}
	return a.change(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec("DELETE FROM access_things WHERE kind = ?", string(anAlias)); err != nil {
			return err
		}
		return create(tx, anAlias, alias, alias)
	})
}

// DeleteAlias takes the account's alias away.
func (a *Access) DeleteAlias(ctx context.Context, alias string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		if _, err := find[string](tx, anAlias, alias); err != nil {
			return err
		}
		return remove(tx, anAlias, alias)
	})
}

// CreateProvider makes an OpenID Connect provider known. Its keys are fetched
// from it when they are needed, unless keys, a JWKS, are given.
func (a *Access) CreateProvider(ctx context.Context, address string, clients, thumbprints []string, tags map[string]string, keys string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || len(address) > 255 {
		return fault.Invalid.Errorf("the address of a provider is https://HOST/PATH, not %q", address)
	}
	if !strings.ContainsAny(u.Host, ".:") {
		// Its claims become condition keys HOST:CLAIM, and must not be taken for AWS's own.
		return fault.Invalid.Errorf("the host of a provider has a domain or a port, not %q alone", u.Host)
	}
	if err := checkClients(clients, thumbprints); err != nil {
		return err
	}
	p := Provider{URL: strings.TrimSuffix(strings.TrimPrefix(address, "https://"), "/"), Clients: clients, Thumbprints: thumbprints, Created: a.now(), Keys: keys, Offline: keys != ""}
	if keys != "" {
		if _, err := jwt.ParseKeys([]byte(keys)); err != nil {
			return err
		}
		p.Fetched = p.Created
	}
	if p.Tags, err = tagged(nil, tags, nil); err != nil {
		return err
	}
	return a.change(ctx, func(tx *db.Tx) error {
		err := create(tx, aProvider, p.URL, p)
		if fault.Of(err) == fault.Exists {
			return fault.Exists.Errorf("Provider with url %s already exists.", address)
		}
		return err
	})
}

var thumbprint = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-fA-F]{40}$`) })

func checkClients(clients, thumbprints []string) error {
	if len(clients) > 100 {
		return quota("ClientIdsPerOpenIdConnectProvider", 100)
	}
	for _, c := range clients {
		if c == "" || len(c) > 255 {
			return fault.Invalid.Errorf("a client id has 1 to 255 characters")
		}
	}
	if len(thumbprints) > 5 {
		return quota("ThumbprintsPerOpenIdConnectProvider", 5)
	}
	for _, t := range thumbprints {
		if !thumbprint().MatchString(t) {
			return fault.Invalid.Errorf("a thumbprint has 40 hexadecimal digits")
		}
	}
	return nil
}

// EditProvider changes a provider's clients, thumbprints or tags, by its ARN.
func (a *Access) EditProvider(ctx context.Context, arn string, f func(*Provider) error) error {
	return a.change(ctx, func(tx *db.Tx) error {
		return edit(tx, aProvider, a.providerKey(arn), func(p *Provider) error {
			if err := f(p); err != nil {
				return err
			}
			if p.Keys != "" {
				if _, err := jwt.ParseKeys([]byte(p.Keys)); err != nil {
					return err
				}
			}
			return checkClients(p.Clients, p.Thumbprints)
		})
	})
}

// providerKey is what a provider is kept under; an ARN of something else is nothing's.
func (a *Access) providerKey(arn string) string {
	url, ok := strings.CutPrefix(arn, a.ownARN("oidc-provider/"))
	if !ok {
		return arn
	}
	return url
}

// TagProvider sets and drops tags of a provider.
func (a *Access) TagProvider(ctx context.Context, arn string, set map[string]string, drop []string) error {
	return a.EditProvider(ctx, arn, func(p *Provider) (err error) {
		p.Tags, err = tagged(p.Tags, set, drop)
		return err
	})
}

// DeleteProvider forgets a provider. One that is not there is not there.
func (a *Access) DeleteProvider(ctx context.Context, arn string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		if _, err := find[Provider](tx, aProvider, a.providerKey(arn)); err != nil {
			return err
		}
		return remove(tx, aProvider, a.providerKey(arn))
	})
}
