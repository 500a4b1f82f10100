package app_test

import (
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/vault"
	"github.com/haechi-dev/haechi/word/finding"
)

// A secret of the vault that stands in a repository is known to be one: by its hash, and where it is too weak for that, by
// itself; which version it is counts, and other secrets say nothing.
func TestLeakedFromVault(t *testing.T) {
	h := build(t)
	_, token, err := h.Access.CreateToken(t.Context(), "admin", access.Git)
	must(t, err)
	key, password, other := "x"+"oxb-"+madeUp(11, 12, "123456789")+"-"+madeUp(12, 24, alphanumeric), "Kp4m!"+madeUp(13, 6, alphanumeric), "Zr7t!"+madeUp(14, 6, alphanumeric)
	for name, value := range map[string]string{"shop/slack": key, "shop/db": `{"user":"shop","password":"` + password + `"}`} {
		_, _, err := h.Vault.Create(t.Context(), vault.Secret{Name: name}, &vault.Value{Secret: seal.Secret(value)}, "")
		must(t, err)
	}
	_, _, err = h.Vault.Put(t.Context(), "shop/slack", vault.Value{Secret: "another"}, "", nil)
	must(t, err)
	c := gittest.New(t)
	c.Commit("first", map[string]string{"bot.env": "SLACK=" + key + "\n", "db.env": "DB_PASSWORD=" + password + "\n", "more.env": "DB_PASSWORD=" + other + "\n"})
	c.Git("remote", "add", "haechi", strings.Replace(h.url, "http://", "http://admin:"+token.Reveal()+"@", 1)+"/git/shop")
	said, err := c.Try("push", "-q", "haechi", "HEAD:main")
	if err != nil {
		var names []string
		for _, m := range shownFinding.FindAllStringSubmatch(said, -1) {
			names = append(names, m[1])
		}
		c.Git("push", "-q", "-o", "haechi.allow="+strings.Join(names, ","), "-o", "reason=for the test", "haechi", "HEAD:main")
	}
	all := h.secretsOf(t, 3, func(all map[string]finding.Finding) bool {
		return all["bot.env"].UserFields["haechi/vault"] != "" && all["db.env"].UserFields["haechi/vault"] != ""
	})
	for file, want := range map[string]string{"bot.env": "shop/slack (AWSPREVIOUS)", "db.env": "shop/db (AWSCURRENT)", "more.env": ""} {
		if got := all[file].UserFields["haechi/vault"]; got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}
