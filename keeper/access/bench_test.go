package access_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/lang/iam"
)

// BenchmarkAllow is what authorisation adds to a call of the wire: by a user
// with a managed policy and a group's, and by a session of a role with a
// boundary and a session policy. "key" is who has the credentials, without the signature.
func BenchmarkAllow(b *testing.B) {
	ctx := context.Background()
	d, err := db.Open(ctx, "sqlite:"+filepath.Join(b.TempDir(), "state.db"), access.Schema())
	check(b, err)
	defer d.Close()
	sealer, err := seal.OpenOrCreate(filepath.Join(b.TempDir(), "root.key"))
	check(b, err)
	a := access.New(access.Config{DB: d, Sealer: sealer, Account: "111122223333"})
	check(b, a.CreateUser(ctx, "admin", access.Administrator))
	check(b, a.CreateUser(ctx, "dev"))
	check(b, a.CreateGroup(ctx, "devs", ""))
	check(b, a.Join(ctx, "devs", "dev"))
	check(b, a.AttachTo(ctx, access.GroupNamed("devs"), access.Developer))
	check(b, a.AttachTo(ctx, access.UserNamed("dev"), "ReadOnlyAccess"))
	check(b, a.TagHolder(ctx, access.UserNamed("dev"), map[string]string{"team": "blue", "cost": "7"}, nil))
	check(b, a.CreateRole(ctx, access.Role{Name: "ci", Trust: trusts("arn:aws:iam::111122223333:user/admin"), Holder: access.Holder{Boundary: "ReadOnlyAccess", Attached: []string{access.Developer}}}))
	dev, err := a.Principal(ctx, "dev")
	check(b, err)
	admin, err := a.Principal(ctx, "admin")
	check(b, err)
	t, err := a.AssumeRole(ctx, admin, access.Assume{Role: "arn:aws:iam::111122223333:role/ci", Name: "b1", Limited: allow("securityhub:*")}, nil)
	check(b, err)
	_, session, err := a.Secret(ctx, t.KeyID, t.Token.Reveal())
	check(b, err)
	id, _, err := a.CreateKey(ctx, "dev")
	check(b, err)
	asked := func(who iam.Principal) iam.Request {
		r := iam.Request{Principal: who, Action: "securityhub:GetFindings", Resource: "arn:aws:securityhub:eu-west-1:111122223333:hub/default", Context: map[string][]string{
			"aws:sourceip": {"10.1.2.3"}, "aws:securetransport": {"true"}, "aws:useragent": {"aws-cli/2"}, "aws:requestedregion": {"eu-west-1"},
			"aws:currenttime": {"2026-11-25T00:00:00Z"}, "aws:epochtime": {"1795564800"},
		}}
		return r
	}
	for name, who := range map[string]iam.Principal{"user": dev, "session": session} {
		r := asked(who)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := a.Allow(ctx, r.Known()); err != nil { // as wire asks
					b.Fatal(err)
				}
			}
		})
	}
	for name, k := range map[string][2]string{"key-user": {id, ""}, "key-session": {t.KeyID, t.Token.Reveal()}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := a.Secret(ctx, k[0], k[1]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// allow is a policy that allows actions on everything.
func allow(actions string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + actions + `","Resource":"*"}]}`
}

// trusts is a policy by which one principal may assume.
func trusts(arn string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + arn + `"},"Action":"sts:AssumeRole"}]}`
}
