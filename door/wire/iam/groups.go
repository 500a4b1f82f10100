package iam

import (
	"context"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/access"
)

type groupOut struct {
	Path, GroupName, Arn string
	GroupID              string `json:"GroupId"`
	CreateDate           *time.Time
}

func outGroup(d *access.Directory, g *access.Group) groupOut {
	return groupOut{g.Path, g.Name, d.GroupARN(g), g.ID, at(g.Created)}
}

type (
	oneGroup  struct{ Group groupOut }
	groupsOut struct {
		Groups []groupOut
		more
	}
	groupWith struct {
		Group groupOut
		Users []userOut
		more
	}
)

func (s *service) groups() map[string]wire.Operation {
	target := s.of(groupOwner)
	return map[string]wire.Operation{
		"CreateGroup": on(target, func(ctx context.Context, _ *wire.Call, in *input) (*oneGroup, error) {
			if err := s.access.CreateGroup(ctx, in.GroupName, in.Path); err != nil {
				return nil, err
			}
			d, g, err := s.group(ctx, in.GroupName)
			if err != nil {
				return nil, err
			}
			return &oneGroup{outGroup(d, g)}, nil
		}),
		"GetGroup":   on(target, s.getGroup),
		"ListGroups": on(everything, s.listGroups(func(*access.Group, *wire.Call, *input) bool { return true })),
		"ListGroupsForUser": on(s.of(userOwner), func(ctx context.Context, c *wire.Call, in *input) (*groupsOut, error) {
			if _, err := s.holder(ctx, userOwner(c, in)); err != nil {
				return nil, err
			}
			return s.listGroups(func(g *access.Group, c *wire.Call, in *input) bool { return slices.Contains(g.Members, in.UserName) })(ctx, c, in)
		}),
		"UpdateGroup": does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.RenameGroup(ctx, in.GroupName, in.NewGroupName, in.NewPath)
		}),
		"DeleteGroup": does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.DeleteGroup(ctx, in.GroupName)
		}),
		"AddUserToGroup": does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.Join(ctx, in.GroupName, in.UserName)
		}),
		"RemoveUserFromGroup": does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.Leave(ctx, in.GroupName, in.UserName)
		}),
		"AttachGroupPolicy":         does(target, s.attach(groupOwner)),
		"DetachGroupPolicy":         does(target, s.detach(groupOwner)),
		"ListAttachedGroupPolicies": on(target, s.listAttached(groupOwner)),
		"PutGroupPolicy":            does(target, s.putInline(groupOwner)),
		"DeleteGroupPolicy":         does(target, s.deleteInline(groupOwner)),
		"ListGroupPolicies":         on(target, s.listInline(groupOwner)),
		"GetGroupPolicy": on(target, func(ctx context.Context, c *wire.Call, in *input) (*inlineOut, error) {
			text, err := s.inline(ctx, c, in, groupOwner)
			return &inlineOut{GroupName: in.GroupName, PolicyName: in.PolicyName, PolicyDocument: text}, err
		}),
	}
}

func (s *service) group(ctx context.Context, name string) (*access.Directory, *access.Group, error) {
	d, err := s.access.Directory(ctx)
	if err != nil {
		return nil, nil, err
	}
	g, err := d.Group(name)
	return d, g, err
}

func (s *service) getGroup(ctx context.Context, _ *wire.Call, in *input) (*groupWith, error) {
	d, g, err := s.group(ctx, in.GroupName)
	if err != nil {
		return nil, err
	}
	var members []userOut
	for _, name := range g.Members {
		if u, err := d.User(name); err == nil {
			members = append(members, outUser(u, false))
		}
	}
	part, m, err := page(in, members, func(u *userOut) string { return u.UserName })
	return &groupWith{outGroup(d, g), part, m}, err
}

func (s *service) listGroups(want func(*access.Group, *wire.Call, *input) bool) func(context.Context, *wire.Call, *input) (*groupsOut, error) {
	return func(ctx context.Context, c *wire.Call, in *input) (*groupsOut, error) {
		d, err := s.access.Directory(ctx)
		if err != nil {
			return nil, err
		}
		var all []groupOut
		for i := range d.Groups {
			if want(&d.Groups[i], c, in) {
				all = append(all, outGroup(d, &d.Groups[i]))
			}
		}
		part, m, err := page(in, below(in, all, func(g *groupOut) string { return g.Path }), func(g *groupOut) string { return g.GroupName })
		return &groupsOut{part, m}, err
	}
}
