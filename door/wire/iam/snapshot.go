package iam

import (
	"context"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/keeper/access"
)

// Snapshot is what GetAccountAuthorizationDetails answers of this
// installation's own users, groups, roles and policies, all pages in one.
func Snapshot(ctx context.Context, a *access.Access) ([]byte, error) {
	s := &service{a}
	all := detailsOut{}
	in := &input{}
	for {
		out, err := s.details(ctx, nil, in)
		if err != nil {
			return nil, err
		}
		all.UserDetailList = append(all.UserDetailList, out.UserDetailList...)
		all.GroupDetailList = append(all.GroupDetailList, out.GroupDetailList...)
		all.RoleDetailList = append(all.RoleDetailList, out.RoleDetailList...)
		all.Policies = append(all.Policies, out.Policies...)
		if !out.IsTruncated {
			return json.Marshal(all)
		}
		in.Marker = out.Marker
	}
}
