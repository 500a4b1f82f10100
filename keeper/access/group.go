package access

import (
	"context"
	"slices"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// CreateGroup makes a group.
func (a *Access) CreateGroup(ctx context.Context, name, path string) error {
	if err := named(aGroup, name, &path); err != nil {
		return err
	}
	return a.change(ctx, func(tx *db.Tx) error {
		return create(tx, aGroup, name, Group{Name: name, ID: newID("AGPA"), Created: a.now(), Holder: Holder{Path: path}})
	})
}

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
