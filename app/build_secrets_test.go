package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/keeper/vault"
	rooms "github.com/haechi-dev/haechi/room/build"
)

// Whoever may push to one repository has its secrets and those that are nobody's own, and none of another's: whose a secret
// is says its policy, its tag or the first part of its name.
func TestSecretsOfRepositories(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	clone := gittest.New(t)
	allow := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"haechi:repository":"other"}}}]}`
	deny := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
	for name, policy := range map[string]string{"shop/db": "", "shop/lent": allow, "shop/shut": deny, "common": "", "some/where": "", "lent": allow, "shut": deny, "tagged": "", "shop/tagged": ""} {
		s := vault.Secret{Name: name}
		if strings.HasSuffix(name, "tagged") {
			s.Tags = map[string]string{"haechi:repository": "more other"}
		}
		_, _, err := h.Vault.Create(ctx, s, &vault.Value{Secret: "correct-horse-battery"}, "")
		must(t, err)
		if policy != "" {
			_, err = h.Vault.SetPolicy(ctx, name, policy)
			must(t, err)
		}
	}
	for name, kind := range map[string]string{"/shop/key": vault.Secure, "/shop/url": "String", "/key": vault.Secure} {
		_, err := h.Vault.PutParameter(ctx, vault.Parameter{Name: name, Type: kind}, seal.Secret("correct-horse-battery"), nil, false)
		must(t, err)
	}
	want := map[string]string{ // who gets it: s is shop, o is other
		"shop/db": "s", "shop/lent": "so", "shop/shut": "", "common": "so", "some/where": "so", "lent": "o", "shut": "", "tagged": "o", "shop/tagged": "o",
		"/shop/key": "s", "/shop/url": "so", "/key": "so",
	}
	started := map[string]rooms.Build{}
	for _, repository := range []string{"shop", "other"} {
		_, err := h.Source.Create(ctx, source.Repository{Name: repository})
		must(t, err)
		repo, err := h.Source.Git(repository)
		must(t, err)
		for name := range want {
			from := "secrets-manager"
			if strings.HasPrefix(name, "/") {
				from = "parameter-store"
			}
			clone.Commit(repository+" asks for "+name, map[string]string{"buildspec.yml": "version: 0.2\nenv: {" + from + ": {P: " + name + "}}\nphases: {build: {commands: ['test -n \"$P\"']}}\n"})
			clone.Git("push", "-q", repo.Dir(), "+HEAD:refs/heads/main")
			made, err := h.Builds.Start(ctx, rooms.Start{Project: repository, Version: "main", Who: "arn:aws:iam::" + h.Config.Account + ":user/admin"})
			must(t, err)
			for deadline := time.Now().Add(30 * time.Second); !made.Complete && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				made, err = h.Builds.Build(ctx, made.ID)
				must(t, err)
			}
			started[repository[:1]+name] = made
		}
	}
	for name, who := range want {
		for _, repository := range []string{"s", "o"} {
			made, gets := started[repository+name], strings.Contains(who, repository)
			if gets != (made.Status == rooms.Succeeded) || !gets && (made.Facts.Reason == nil || made.Facts.Reason.Code != "SECRETS_REFUSED") {
				t.Errorf("%s of %s: %s %+v", name, made.Facts.Repository, made.Status, made.Facts.Reason)
			}
		}
	}
}
