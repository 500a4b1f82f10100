package iam

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/lang/iam"
)

type roleOut struct {
	Path, RoleName, Arn      string
	RoleID                   string `json:"RoleId"`
	CreateDate               *time.Time
	AssumeRolePolicyDocument string
	Description              string    `json:",omitzero"`
	MaxSessionDuration       int       `json:",omitzero"`
	PermissionsBoundary      *boundary `json:",omitzero"`
	Tags                     []tag     `json:",omitzero"`
	RoleLastUsed             *roleUse  `json:",omitzero"`
}

type roleUse struct {
	LastUsedDate *time.Time `json:",omitzero"`
}

func outRole(d *access.Directory, r *access.Role, whole bool) roleOut {
	out := roleOut{Path: r.Path, RoleName: r.Name, Arn: d.RoleARN(r), RoleID: r.ID, CreateDate: at(r.Created), AssumeRolePolicyDocument: encoded(r.Trust), Description: r.Description, MaxSessionDuration: r.Longest}
	if whole {
		out.PermissionsBoundary = boundaryOf(&r.Holder)
		if len(r.Tags) > 0 {
			out.Tags = tagsOf(r.Tags)
		}
	}
	return out
}

type (
	oneRole  struct{ Role roleOut }
	rolesOut struct {
		Roles []roleOut
		more
	}
)

func (s *service) roles() map[string]wire.Operation {
	target := s.of(roleOwner)
	bounded := s.bounded(roleOwner)
	return map[string]wire.Operation{
		"CreateRole": on(target, s.createRole),
		"GetRole":    on(target, s.getRole),
		"ListRoles":  on(everything, s.listRoles),
		"UpdateRole": on(target, func(ctx context.Context, _ *wire.Call, in *input) (*none, error) {
			return &none{}, s.access.UpdateRole(ctx, in.RoleName, in.Description, in.MaxSessionDuration)
		}),
		"UpdateRoleDescription": on(target, func(ctx context.Context, c *wire.Call, in *input) (*oneRole, error) {
			if err := s.access.UpdateRole(ctx, in.RoleName, in.Description, nil); err != nil {
				return nil, err
			}
			return s.getRole(ctx, c, in)
		}),
		"UpdateAssumeRolePolicy": does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.SetTrust(ctx, in.RoleName, in.PolicyDocument)
		}),
		"DeleteRole":               does(target, func(ctx context.Context, _ *wire.Call, in *input) error { return s.access.DeleteRole(ctx, in.RoleName) }),
		"AttachRolePolicy":         does(target, s.attach(roleOwner), bounded),
		"DetachRolePolicy":         does(target, s.detach(roleOwner), bounded),
		"ListAttachedRolePolicies": on(target, s.listAttached(roleOwner)),
		"PutRolePolicy":            does(target, s.putInline(roleOwner), bounded),
		"DeleteRolePolicy":         does(target, s.deleteInline(roleOwner), bounded),
		"ListRolePolicies":         on(target, s.listInline(roleOwner)),
		"GetRolePolicy": on(target, func(ctx context.Context, c *wire.Call, in *input) (*inlineOut, error) {
			text, err := s.inline(ctx, c, in, roleOwner)
			return &inlineOut{RoleName: in.RoleName, PolicyName: in.PolicyName, PolicyDocument: text}, err
		}),
		"PutRolePermissionsBoundary": does(target, func(ctx context.Context, c *wire.Call, in *input) error {
			return s.access.SetBoundary(ctx, roleOwner(c, in), in.PermissionsBoundary)
		}),
		"DeleteRolePermissionsBoundary": does(target, func(ctx context.Context, c *wire.Call, in *input) error {
			return s.access.SetBoundary(ctx, roleOwner(c, in), "")
		}, bounded),
		"TagRole":      does(target, s.tag(roleOwner)),
		"UntagRole":    does(target, s.tag(roleOwner)),
		"ListRoleTags": on(target, s.listTags(roleOwner)),
	}
}

func (s *service) createRole(ctx context.Context, c *wire.Call, in *input) (*oneRole, error) {
	if err := in.twice(); err != nil {
		return nil, err
	}
	r := access.Role{Name: in.RoleName, Trust: in.AssumeRolePolicyDocument, Holder: access.Holder{Path: in.Path, Tags: in.tags(), Boundary: in.PermissionsBoundary}}
	if in.Description != nil {
		r.Description = *in.Description
	}
	if in.MaxSessionDuration != nil {
		r.Longest = *in.MaxSessionDuration
	}
	if err := s.access.CreateRole(ctx, r); err != nil {
		return nil, err
	}
	return s.getRole(ctx, c, in)
}

func (s *service) getRole(ctx context.Context, _ *wire.Call, in *input) (*oneRole, error) {
	d, err := s.access.Directory(ctx)
	if err != nil {
		return nil, err
	}
	r, err := d.Role(in.RoleName)
	if err != nil {
		return nil, err
	}
	used, err := s.access.RoleUsed(ctx)
	if err != nil {
		return nil, err
	}
	out := outRole(d, r, true)
	out.RoleLastUsed = &roleUse{at(used[out.Arn])}
	return &oneRole{out}, nil
}

func (s *service) listRoles(ctx context.Context, _ *wire.Call, in *input) (*rolesOut, error) {
	d, err := s.access.Directory(ctx)
	if err != nil {
		return nil, err
	}
	var all []roleOut
	for i := range d.Roles {
		all = append(all, outRole(d, &d.Roles[i], false))
	}
	part, m, err := page(in, below(in, all, func(r *roleOut) string { return r.Path }), func(r *roleOut) string { return r.RoleName })
	return &rolesOut{part, m}, err
}

type profileOut struct {
	Path, InstanceProfileName, Arn string
	ID                             string `json:"InstanceProfileId"`
	CreateDate                     *time.Time
	Roles                          []roleOut
	Tags                           []tag `json:",omitzero"`
}

func outProfile(d *access.Directory, p *access.Profile, whole bool) profileOut {
	out := profileOut{Path: p.Path, InstanceProfileName: p.Name, Arn: d.ProfileARN(p), ID: p.ID, CreateDate: at(p.Created), Roles: []roleOut{}}
	if r, err := d.Role(p.Role); err == nil {
		out.Roles = append(out.Roles, outRole(d, r, false))
	}
	if whole && len(p.Tags) > 0 {
		out.Tags = tagsOf(p.Tags)
	}
	return out
}

type (
	oneProfile  struct{ InstanceProfile profileOut }
	profilesOut struct {
		InstanceProfiles []profileOut
		more
	}
)

func (s *service) profiles() map[string]wire.Operation {
	target := s.own("instance-profile", func(in *input) string { return in.InstanceProfileName }, func(d *access.Directory, in *input) string {
		p, err := d.Profile(in.InstanceProfileName)
		if err != nil {
			return ""
		}
		return d.ProfileARN(p)
	})
	tag := func(ctx context.Context, _ *wire.Call, in *input) error {
		if err := in.twice(); err != nil {
			return err
		}
		return s.access.TagProfile(ctx, in.InstanceProfileName, in.tags(), in.TagKeys)
	}
	// Whoever puts a role into a profile hands it to others.
	addRole := wire.Op(func(c *wire.Call, in *input) []iam.Request {
		return append(c.Ask(target(c, in)...), c.AskFor("iam:PassRole", s.of(roleOwner)(c, in)...)...)
	}, func(ctx context.Context, _ *wire.Call, in *input) (*none, error) {
		return &none{}, said(s.access.SetProfileRole(ctx, in.InstanceProfileName, in.RoleName, true))
	})
	return map[string]wire.Operation{
		"CreateInstanceProfile": on(target, func(ctx context.Context, c *wire.Call, in *input) (*oneProfile, error) {
			if err := in.twice(); err != nil {
				return nil, err
			}
			if err := s.access.CreateProfile(ctx, in.InstanceProfileName, in.Path, in.tags()); err != nil {
				return nil, err
			}
			return s.getProfile(ctx, c, in)
		}),
		"GetInstanceProfile":   on(target, s.getProfile),
		"ListInstanceProfiles": on(everything, s.listProfiles(func(*access.Profile, *input) bool { return true })),
		"ListInstanceProfilesForRole": on(s.of(roleOwner), func(ctx context.Context, c *wire.Call, in *input) (*profilesOut, error) {
			if _, err := s.holder(ctx, roleOwner(c, in)); err != nil {
				return nil, err
			}
			return s.listProfiles(func(p *access.Profile, in *input) bool { return p.Role == in.RoleName })(ctx, c, in)
		}),
		"AddRoleToInstanceProfile": addRole,
		"RemoveRoleFromInstanceProfile": does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.SetProfileRole(ctx, in.InstanceProfileName, in.RoleName, false)
		}),
		"DeleteInstanceProfile": does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.DeleteProfile(ctx, in.InstanceProfileName)
		}),
		"TagInstanceProfile":   does(target, tag),
		"UntagInstanceProfile": does(target, tag),
		"ListInstanceProfileTags": on(target, func(ctx context.Context, _ *wire.Call, in *input) (*tagsOut, error) {
			d, err := s.access.Directory(ctx)
			if err != nil {
				return nil, err
			}
			p, err := d.Profile(in.InstanceProfileName)
			if err != nil {
				return nil, err
			}
			return tagPage(in, p.Tags)
		}),
	}
}

func (s *service) getProfile(ctx context.Context, _ *wire.Call, in *input) (*oneProfile, error) {
	d, err := s.access.Directory(ctx)
	if err != nil {
		return nil, err
	}
	p, err := d.Profile(in.InstanceProfileName)
	if err != nil {
		return nil, err
	}
	return &oneProfile{outProfile(d, p, true)}, nil
}

func (s *service) listProfiles(want func(*access.Profile, *input) bool) func(context.Context, *wire.Call, *input) (*profilesOut, error) {
	return func(ctx context.Context, _ *wire.Call, in *input) (*profilesOut, error) {
		d, err := s.access.Directory(ctx)
		if err != nil {
			return nil, err
		}
		var all []profileOut
		for i := range d.Profiles {
			if want(&d.Profiles[i], in) {
				all = append(all, outProfile(d, &d.Profiles[i], false))
			}
		}
		part, m, err := page(in, below(in, all, func(p *profileOut) string { return p.Path }), func(p *profileOut) string { return p.InstanceProfileName })
		return &profilesOut{part, m}, err
	}
}
