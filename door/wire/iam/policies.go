package iam

import (
	"context"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/access"
)

type policyOut struct {
	PolicyName, Arn, Path         string
	PolicyID                      string `json:"PolicyId"`
	DefaultVersionID              string `json:"DefaultVersionId"`
	AttachmentCount               int
	PermissionsBoundaryUsageCount int
	IsAttachable                  bool
	Description                   string `json:",omitzero"`
	CreateDate, UpdateDate        *time.Time
	Tags                          []tag `json:",omitzero"`
}

func outPolicy(d *access.Directory, p *access.Policy, whole bool) policyOut {
	out := policyOut{PolicyName: p.Name, Arn: d.PolicyARN(p), Path: p.Path, PolicyID: p.ID, DefaultVersionID: p.Default, IsAttachable: true, CreateDate: at(p.Created), UpdateDate: at(p.Updated)}
	attached, bounded := d.Holders(out.Arn)
	out.AttachmentCount, out.PermissionsBoundaryUsageCount = len(attached), len(bounded)
	if whole {
		out.Description = p.Description
		if len(p.Tags) > 0 {
			out.Tags = tagsOf(p.Tags)
		}
	}
	return out
}

type versionOut struct {
	Document         string `json:",omitzero"`
	VersionID        string `json:"VersionId"`
	IsDefaultVersion bool
	CreateDate       *time.Time
}

func outVersion(p *access.Policy, v access.Version, whole bool) versionOut {
	out := versionOut{VersionID: v.ID, IsDefaultVersion: v.ID == p.Default, CreateDate: at(v.Created)}
	if whole {
		out.Document = encoded(v.Document)
	}
	return out
}

type (
	onePolicy   struct{ Policy policyOut }
	policiesOut struct {
		Policies []policyOut
		more
	}
	oneVersion  struct{ PolicyVersion versionOut }
	versionsOut struct {
		Versions []versionOut
		more
	}
)

func (s *service) policies() map[string]wire.Operation {
	target := func(_ *wire.Call, in *input) []string { return []string{in.PolicyArn} }
	made := s.own("policy", func(in *input) string { return in.PolicyName }, func(*access.Directory, *input) string { return "" })
	tag := func(ctx context.Context, _ *wire.Call, in *input) error {
		if err := in.twice(); err != nil {
			return err
		}
		return s.access.TagPolicy(ctx, in.PolicyArn, in.tags(), in.TagKeys)
	}
	return map[string]wire.Operation{
		"CreatePolicy": on(made, s.createPolicy),
		"GetPolicy":    on(target, s.getPolicy),
		"ListPolicies": on(everything, s.listPolicies),
		"DeletePolicy": does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.DeletePolicy(ctx, in.PolicyArn)
		}),
		"CreatePolicyVersion": on(target, func(ctx context.Context, _ *wire.Call, in *input) (*oneVersion, error) {
			v, err := s.access.CreatePolicyVersion(ctx, in.PolicyArn, in.PolicyDocument, in.SetAsDefault)
			return &oneVersion{versionOut{VersionID: v.ID, IsDefaultVersion: in.SetAsDefault, CreateDate: at(v.Created)}}, err
		}),
		"GetPolicyVersion": on(target, func(ctx context.Context, _ *wire.Call, in *input) (*oneVersion, error) {
			_, p, err := s.policy(ctx, in)
			if err != nil {
				return nil, err
			}
			v, err := p.Version(in.VersionID)
			return &oneVersion{outVersion(p, v, true)}, err
		}),
		"ListPolicyVersions": on(target, func(ctx context.Context, _ *wire.Call, in *input) (*versionsOut, error) {
			_, p, err := s.policy(ctx, in)
			if err != nil {
				return nil, err
			}
			var all []versionOut
			for _, v := range p.Versions {
				all = append(all, outVersion(p, v, false))
			}
			part, m, err := page(in, all, func(v *versionOut) string { return v.VersionID })
			return &versionsOut{part, m}, err
		}),
		"SetDefaultPolicyVersion": does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.SetDefault(ctx, in.PolicyArn, in.VersionID)
		}),
		"DeletePolicyVersion": does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.DeletePolicyVersion(ctx, in.PolicyArn, in.VersionID)
		}),
		"TagPolicy":   does(target, tag),
		"UntagPolicy": does(target, tag),
		"ListPolicyTags": on(target, func(ctx context.Context, _ *wire.Call, in *input) (*tagsOut, error) {
			_, p, err := s.policy(ctx, in)
			if err != nil {
				return nil, err
			}
			return tagPage(in, p.Tags)
		}),
		"ListEntitiesForPolicy": on(target, s.entities),
	}
}

func (s *service) policy(ctx context.Context, in *input) (*access.Directory, *access.Policy, error) {
	d, err := s.access.Directory(ctx)
	if err != nil {
		return nil, nil, err
	}
	p, err := d.Policy(in.PolicyArn)
	return d, p, err
}

func (s *service) createPolicy(ctx context.Context, c *wire.Call, in *input) (*onePolicy, error) {
	if err := in.twice(); err != nil {
		return nil, err
	}
	description := ""
	if in.Description != nil {
		description = *in.Description
	}
	if err := s.access.CreatePolicy(ctx, in.PolicyName, in.Path, description, in.PolicyDocument, in.tags()); err != nil {
		return nil, err
	}
	d, err := s.access.Directory(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(d.Policies, func(p access.Policy) bool { return !p.Ours && p.Name == in.PolicyName })
	in.PolicyArn = d.PolicyARN(&d.Policies[i])
	return s.getPolicy(ctx, c, in)
}

func (s *service) getPolicy(ctx context.Context, _ *wire.Call, in *input) (*onePolicy, error) {
	d, p, err := s.policy(ctx, in)
	if err != nil {
		return nil, err
	}
	return &onePolicy{outPolicy(d, p, true)}, nil
}

func (s *service) listPolicies(ctx context.Context, _ *wire.Call, in *input) (*policiesOut, error) {
	d, err := s.access.Directory(ctx)
	if err != nil {
		return nil, err
	}
	var all []policyOut
	for i := range d.Policies {
		p := &d.Policies[i]
		if in.Scope == "AWS" && !p.Ours || in.Scope == "Local" && p.Ours {
			continue
		}
		out := outPolicy(d, p, false)
		used := out.AttachmentCount
		if in.PolicyUsageFilter == "PermissionsBoundary" {
			used = out.PermissionsBoundaryUsageCount
		}
		if (in.OnlyAttached || in.PolicyUsageFilter != "") && used == 0 {
			continue
		}
		all = append(all, out)
	}
	part, m, err := page(in, below(in, all, func(p *policyOut) string { return p.Path }), func(p *policyOut) string { return p.Arn })
	return &policiesOut{part, m}, err
}

type (
	entitiesOut struct {
		PolicyUsers  []policyUser
		PolicyGroups []policyGroup
		PolicyRoles  []policyRole
		more
	}
	policyUser struct {
		UserName string
		ID       string `json:"UserId"`
	}
	policyGroup struct {
		GroupName string
		ID        string `json:"GroupId"`
	}
	policyRole struct {
		RoleName string
		ID       string `json:"RoleId"`
	}
)

// entities are all to whom a policy is attached, or whom it bounds.
func (s *service) entities(ctx context.Context, _ *wire.Call, in *input) (*entitiesOut, error) {
	d, _, err := s.policy(ctx, in)
	if err != nil {
		return nil, err
	}
	attached, bounded := d.Holders(in.PolicyArn)
	var all []access.Owner
	if in.PolicyUsageFilter != "PermissionsBoundary" {
		all = append(all, attached...)
	}
	for _, o := range bounded {
		if in.PolicyUsageFilter != "PermissionsPolicy" && !slices.Contains(all, o) {
			all = append(all, o)
		}
	}
	kinds := map[string]access.OwnerKind{"User": access.OfUser, "Group": access.OfGroup, "Role": access.OfRole}
	all = slices.DeleteFunc(all, func(o access.Owner) bool { return in.EntityFilter != "" && kinds[in.EntityFilter] != o.Kind })
	all = below(in, all, func(o *access.Owner) string {
		h, err := d.Holder(*o)
		if err != nil {
			return ""
		}
		return h.Path
	})
	part, m, err := page(in, all, func(o *access.Owner) string { return string(o.Kind) + "/" + o.Name })
	if err != nil {
		return nil, err
	}
	out := &entitiesOut{[]policyUser{}, []policyGroup{}, []policyRole{}, m}
	for _, o := range part {
		switch o.Kind {
		case access.OfUser:
			if u, err := d.User(o.Name); err == nil {
				out.PolicyUsers = append(out.PolicyUsers, policyUser{u.Name, u.ID})
			}
		case access.OfGroup:
			if g, err := d.Group(o.Name); err == nil {
				out.PolicyGroups = append(out.PolicyGroups, policyGroup{g.Name, g.ID})
			}
		default:
			if r, err := d.Role(o.Name); err == nil {
				out.PolicyRoles = append(out.PolicyRoles, policyRole{r.Name, r.ID})
			}
		}
	}
	return out, nil
}
