package app_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/source"
	rooms "github.com/haechi-dev/haechi/room/build"
)

// A build has no network, and changes its token for a role's credentials all the
// same; it reaches nothing else of the server.
func TestBuildsChangeTheirTokens(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	_, err := h.Source.Create(ctx, source.Repository{Name: "shop"})
	must(t, err)
	host := strings.TrimPrefix(h.url, "http://")
	must(t, h.Access.CreateRole(ctx, access.Role{Name: "ci", Holder: access.Holder{Attached: []string{"HaechiPipeline"}},
		Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::` + h.Config.Account + `:oidc-provider/` + host + `"},"Action":"sts:AssumeRoleWithWebIdentity",
			"Condition":{"StringEquals":{"` + host + `:aud":"sts.amazonaws.com","` + host + `:sub":"repo:shop:ref:refs/heads/main"}}}]}`}))
	ask := "curl -s $AWS_ENDPOINT_URL_STS/ -d Version=2011-06-15 -d Action=AssumeRoleWithWebIdentity -d RoleSessionName=$AWS_ROLE_SESSION_NAME --data-urlencode RoleArn=" +
		"arn:aws:iam::" + h.Config.Account + ":role/ci --data-urlencode WebIdentityToken@$AWS_WEB_IDENTITY_TOKEN_FILE > answer"
	clone := gittest.New(t)
	clone.Commit("first", map[string]string{"buildspec.yml": "version: 0.2\nphases:\n  build:\n    commands:\n      - command -v curl || exit 0\n      - " + ask + "\n      - grep -o '<SecretAccessKey>' answer\n" +
		"      - 'curl -s -o /dev/null -w \"%{http_code} to GetCallerIdentity\\n\" $AWS_ENDPOINT_URL_STS/ -d Action=GetCallerIdentity'\n" +
		"      - 'curl -s -o /dev/null -w \"%{http_code} to the server\\n\" " + h.url + "/healthz || echo no way'\n"})
	repo, err := h.Source.Git("shop")
	must(t, err)
	clone.Git("push", "-q", repo.Dir(), "HEAD:refs/heads/main")
	made, err := h.Builds.Start(ctx, rooms.Start{Project: "shop", Version: "main", Who: "arn:aws:iam::" + h.Config.Account + ":user/admin"})
	must(t, err)
	for deadline := time.Now().Add(30 * time.Second); !made.Complete && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		made, err = h.Builds.Build(ctx, made.ID)
		must(t, err)
	}
	var log strings.Builder
	must(t, h.Work.Follow(ctx, made.Stream(), 0, func(text []byte, _ int64) error { log.Write(text); return nil }))
	if made.Status != rooms.Succeeded || !strings.Contains(log.String(), "\n<SecretAccessKey>\n") || !strings.Contains(log.String(), "403 to GetCallerIdentity") || strings.Contains(log.String(), "200 to the server") {
		t.Errorf("%s %+v\n%s", made.Status, made.Facts.Reason, log.String())
	}
	u, err := url.Parse(h.url)
	must(t, err)
	for _, d := range made.Facts.Downloads {
		if strings.Contains(d.URL, u.Host) && d.Denied == "" {
			t.Errorf("the build has reached the server: %+v", d)
		}
	}
}
