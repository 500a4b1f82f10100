package access

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// Directory is everybody and everything that access knows, at one moment. It does not change.
type Directory struct {
	Account   string
	Alias     string // "" where there is none
	Users     []User
	Groups    []Group
	Roles     []Role
	Policies  []Policy // those that come with Haechi first
	Profiles  []Profile
	Providers []Provider
	Devices   []Device

	rev      int64
	users    map[string]*User
	groups   map[string]*Group
	roles    map[string]*Role
	policies map[string]*Policy // by ARN
	keys     map[string]*key
	cache    *compiled
	lazy     sync.Map // Owner → *subject
}

type key struct {
	user   string
	sealed string
	active bool
	opened atomic.Pointer[seal.Secret] // once it was asked for: opening takes longer than all else about a call
}

// fresh is how long what another node changed may go unnoticed here.
const fresh = time.Second

// Directory is all that is known now, with what other nodes changed a moment ago.
func (a *Access) Directory(ctx context.Context) (*Directory, error) { return a.look(ctx, 0) }

// known is the directory as it was at most a second ago.
func (a *Access) known(ctx context.Context) (*Directory, error) { return a.look(ctx, fresh) }

func (a *Access) look(ctx context.Context, old time.Duration) (*Directory, error) {
	a.mu.Lock()
	have, looked := a.have, a.looked
	a.mu.Unlock()
	now := a.config.Now()
	if age := now.Sub(looked); have != nil && age < old && age >= 0 {
		return have, nil
	}
	var got *Directory
	err := a.config.DB.Read(ctx, func(tx *db.Tx) error {
		rev, err := db.One(tx, db.Value[int64], "SELECT rev FROM access_clock WHERE id = 1")
		if err != nil {
			return err
		}
		if got = have; have != nil && have.rev == rev {
			return nil
		}
		got, err = a.load(tx, rev)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking up who is who: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.have == nil || a.have.rev <= got.rev {
		a.have, a.looked = got, now
	}
	return got, nil
}

func (a *Access) load(tx *db.Tx, rev int64) (d *Directory, err error) {
	d = &Directory{Account: a.config.Account, rev: rev, keys: map[string]*key{}, cache: &a.compiled}
	if d.Users, err = a.users(tx); err != nil {
		return nil, err
	}
	if d.Groups, err = list[Group](tx, aGroup); err != nil {
		return nil, err
	}
	if d.Roles, err = list[Role](tx, aRole); err != nil {
		return nil, err
	}
	own, err := list[Policy](tx, aPolicy)
	if err != nil {
		return nil, err
	}
	d.Policies = append(ours(), own...)
	if d.Profiles, err = list[Profile](tx, aProfile); err != nil {
		return nil, err
	}
	if d.Providers, err = list[Provider](tx, aProvider); err != nil {
		return nil, err
	}
	if d.Devices, err = list[Device](tx, aDevice); err != nil {
		return nil, err
	}
	aliases, err := list[string](tx, anAlias)
	if err != nil {
		return nil, err
	}
	d.Alias = strings.Join(aliases, "")
	err = tx.Each(func(scan db.Scan) error {
		var id string
		var k key
		var active int64
		err := scan(&id, &k.user, &k.sealed, &active)
		k.active = active == 1
		d.keys[id] = &k
		return err
	}, "SELECT id, user_name, secret, active FROM access_keys")
	d.index()
	return d, err
}

func (d *Directory) index() {
	d.users, d.groups, d.roles, d.policies = map[string]*User{}, map[string]*Group{}, map[string]*Role{}, map[string]*Policy{}
	for i := range d.Users {
		d.users[d.Users[i].Name] = &d.Users[i]
	}
	for i := range d.Groups {
		g := &d.Groups[i]
		d.groups[g.Name] = g
		for _, m := range g.Members {
			if u := d.users[m]; u != nil {
				u.Groups = append(u.Groups, g.Name)
			}
		}
	}
	for i := range d.Devices {
		if u := d.users[d.Devices[i].User]; u != nil {
			u.Device = d.DeviceARN(&d.Devices[i])
		}
	}
	for i := range d.Roles {
		d.roles[d.Roles[i].Name] = &d.Roles[i]
	}
	for i := range d.Policies {
		d.policies[d.PolicyARN(&d.Policies[i])] = &d.Policies[i]
	}
}

func (d *Directory) arn(resource string) string { return "arn:aws:iam::" + d.Account + ":" + resource }

// UserARN is the ARN of a user.
func (d *Directory) UserARN(u *User) string { return d.arn("user" + u.Path + u.Name) }

// GroupARN is the ARN of a group.
func (d *Directory) GroupARN(g *Group) string { return d.arn("group" + g.Path + g.Name) }

// RoleARN is the ARN of a role.
func (d *Directory) RoleARN(r *Role) string { return d.arn("role" + r.Path + r.Name) }

// PolicyARN is the ARN of a policy; those that come with Haechi have AWS's.
func (d *Directory) PolicyARN(p *Policy) string {
	if p.Ours {
		return policyARN(p.Name)
	}
	return d.arn("policy" + p.Path + p.Name)
}

// ProfileARN is the ARN of an instance profile.
func (d *Directory) ProfileARN(p *Profile) string { return d.arn("instance-profile" + p.Path + p.Name) }

// ProviderARN is the ARN of an OpenID Connect provider.
func (d *Directory) ProviderARN(p *Provider) string { return d.arn("oidc-provider/" + p.URL) }

// DeviceARN is the serial number of a virtual MFA device.
func (d *Directory) DeviceARN(m *Device) string { return d.arn("mfa" + m.Path + m.Name) }

// User is a user by name.
func (d *Directory) User(name string) (*User, error) { return pick(d.users, "user", name) }

// Group is a group by name.
func (d *Directory) Group(name string) (*Group, error) { return pick(d.groups, aGroup, name) }

// Role is a role by name.
func (d *Directory) Role(name string) (*Role, error) { return pick(d.roles, aRole, name) }

// Policy is a policy by ARN.
func (d *Directory) Policy(arn string) (*Policy, error) { return pick(d.policies, aPolicy, arn) }

// Profile is an instance profile by name.
func (d *Directory) Profile(name string) (*Profile, error) {
	for i := range d.Profiles {
		if d.Profiles[i].Name == name {
			return &d.Profiles[i], nil
		}
	}
	return nil, missing(aProfile, name)
}

// Provider is an OpenID Connect provider by ARN.
func (d *Directory) Provider(arn string) (*Provider, error) {
	for i := range d.Providers {
		if d.ProviderARN(&d.Providers[i]) == arn {
			return &d.Providers[i], nil
		}
	}
	return nil, missing(aProvider, arn)
}

// Device is a virtual MFA device by serial number.
func (d *Directory) Device(serial string) (*Device, error) {
	for i := range d.Devices {
		if d.DeviceARN(&d.Devices[i]) == serial {
			return &d.Devices[i], nil
		}
	}
	return nil, missing(aDevice, serial)
}

func pick[T any](from map[string]*T, what kind, name string) (*T, error) {
	if v := from[name]; v != nil {
		return v, nil
	}
	return nil, missing(what, name)
}

// Holder is what an owner holds.
func (d *Directory) Holder(o Owner) (*Holder, error) {
	switch o.Kind {
	case OfUser:
		u, err := d.User(o.Name)
		if err != nil {
			return nil, err
		}
		return &u.Holder, nil
	case OfGroup:
		g, err := d.Group(o.Name)
		if err != nil {
			return nil, err
		}
		return &g.Holder, nil
	}
	r, err := d.Role(o.Name)
	if err != nil {
		return nil, err
	}
	return &r.Holder, nil
}

// OwnerARN is the ARN of an owner, as it would be if there is none of that name.
func (d *Directory) OwnerARN(o Owner) string {
	path := "/"
	if h, err := d.Holder(o); err == nil {
		path = h.Path
	}
	return d.arn(string(o.Kind) + path + o.Name)
}

// Holders are all to whom a policy is attached, or whom it bounds: users, groups, roles, each by name.
func (d *Directory) Holders(arn string) (attached, bounded []Owner) {
	each := func(o Owner, h *Holder) {
		if slices.Contains(h.Attached, arn) {
			attached = append(attached, o)
		}
		if h.Boundary == arn {
			bounded = append(bounded, o)
		}
	}
	for i := range d.Users {
		each(UserNamed(d.Users[i].Name), &d.Users[i].Holder)
	}
	for i := range d.Groups {
		each(GroupNamed(d.Groups[i].Name), &d.Groups[i].Holder)
	}
	for i := range d.Roles {
		each(RoleNamed(d.Roles[i].Name), &d.Roles[i].Holder)
	}
	return attached, bounded
}

// tagsOf are the tags of one of our resources, by ARN.
func (d *Directory) tagsOf(arn string) map[string]string {
	resource, ok := strings.CutPrefix(arn, d.arn(""))
	if !ok {
		return nil
	}
	what, rest, _ := strings.Cut(resource, "/")
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	switch what {
	case "user":
		if u := d.users[name]; u != nil && u.ARN == arn {
			return u.Tags
		}
	case "role":
		if r := d.roles[name]; r != nil && d.RoleARN(r) == arn {
			return r.Tags
		}
	case "policy":
		if p := d.policies[arn]; p != nil {
			return p.Tags
		}
	case "instance-profile":
		if p, err := d.Profile(name); err == nil && d.ProfileARN(p) == arn {
			return p.Tags
		}
	case "oidc-provider":
		if p, err := d.Provider(arn); err == nil {
			return p.Tags
		}
	case "mfa":
		if m, err := d.Device(arn); err == nil {
			return m.Tags
		}
	}
	return nil
}

// A subject is a user or a role as decisions want it: its policies compiled.
type subject struct {
	id       string
	arn      string
	tags     []principalTag
	policies iam.Policies // without a session's and a resource's
	trust    *iam.Policy  // of a role
	broken   error        // why its policies cannot be read, and it may do nothing
}

// principalTag is a tag as a condition key.
type principalTag struct {
	key   string
	value []string
}

// subject is a user or a role, compiled when it is first asked about.
func (d *Directory) subject(o Owner) *subject {
	if s, ok := d.lazy.Load(o); ok {
		return s.(*subject)
	}
	h, err := d.Holder(o)
	if err != nil || o.Kind == OfGroup {
		return nil
	}
	s := &subject{arn: d.OwnerARN(o)}
	for key, value := range h.Tags {
		s.tags = append(s.tags, principalTag{"aws:principaltag/" + strings.ToLower(key), []string{value}})
	}
	held := []*Holder{h}
	if o.Kind == OfUser {
		s.id = d.users[o.Name].ID
		for _, g := range d.users[o.Name].Groups {
			held = append(held, &d.groups[g].Holder)
		}
	} else {
		r := d.roles[o.Name]
		s.id = r.ID
		s.trust = s.add(d.cache.policy(iam.Trust, "trust policy", r.Trust))
	}
	for _, h := range held {
		for _, arn := range h.Attached {
			s.policies.Identity = append(s.policies.Identity, s.managed(d, arn))
		}
		for _, name := range slices.Sorted(maps.Keys(h.Inline)) {
			s.policies.Identity = append(s.policies.Identity, s.add(d.cache.policy(iam.Identity, name, h.Inline[name])))
		}
	}
	if h.Boundary != "" {
		s.policies.Boundary = []*iam.Policy{s.managed(d, h.Boundary)}
	}
	got, _ := d.lazy.LoadOrStore(o, s)
	return got.(*subject)
}

func (s *subject) managed(d *Directory, arn string) *iam.Policy {
	p := d.policies[arn]
	if p == nil {
		s.broken = fmt.Errorf("there is no policy %s", arn)
		return nil
	}
	return s.add(d.cache.policy(iam.Identity, p.Name, p.Document()))
}

func (s *subject) add(p *iam.Policy, err error) *iam.Policy {
	if err != nil {
		s.broken = err
	}
	return p
}

// compiled keeps what was compiled, for as long as texts stay the same.
type compiled struct {
	mu  sync.Mutex
	all map[compiledKey]*iam.Policy
}

type compiledKey struct {
	kind       iam.Kind
	name, text string
}

const mostCompiled = 10_000

func (c *compiled) policy(kind iam.Kind, name, text string) (*iam.Policy, error) {
	at := compiledKey{kind, name, text}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.all[at]; p != nil {
		return p, nil
	}
	// What was put here was checked; should a later version understand it no
	// more, what it does not understand allows nothing and denies.
	p, problems := iam.Accepted(kind, name, []byte(text))
	if p == nil {
		return nil, fault.Internal.Errorf("the policy %q cannot be read: %v", name, problems)
	}
	if c.all == nil || len(c.all) >= mostCompiled {
		c.all = map[compiledKey]*iam.Policy{}
	}
	c.all[at] = p
	return p, nil
}
