package secret_test

import (
	"strings"
	"testing"
	"testing/fstest"

	rules "github.com/haechi-dev/haechi/rules/secret"
	"github.com/haechi-dev/haechi/tool/scan/secret"
)

// A rule that misses its bad example, or finds a good one, is told of; so is a file that is no rule.
func TestProveFamily(t *testing.T) {
	proofs, err := secret.Prove(rules.Files)
	if err != nil || len(proofs) < 25 {
		t.Fatalf("%d proofs, %v", len(proofs), err)
	}
	for _, p := range proofs {
		if p.Bad == 0 || p.Good == 0 || len(p.Unmet) > 0 {
			t.Errorf("%+v", p)
		}
	}
	const rule = "-- help.md --\n# A token\n\nOf the shop.\n-- rule.yaml --\nseverity: HIGH\nkeywords: ['shop_']\npattern: 'shop_[0-9a-f]{8}'\nfix: 'Make another.'\nlink: https://example.com/\n"
	for name, c := range map[string]struct{ text, want string }{
		"well":   {rule + "-- bad/a --\nx = shop_12ab34cd\n-- good/a --\nx = shop_\n", ""},
		"misses": {rule + "-- bad/a --\nx = shop_xyz\n-- good/a --\nx = shop_\n", "bad/a: nothing is found"},
		"finds":  {rule + "-- bad/a --\nx = shop_12ab34cd\n-- good/a --\nx = shop_12ab34cd\n", "good/a: secret/finds finds something on line 1"},
		"twice":  {rule + "-- bad/a --\nx = shop_12ab34cd\ny = shop_56ab34cd\n-- good/a --\nx\n", "2 secrets are found"},
		"bare":   {rule, "at least one bad and one good"},
		"broken": {"-- help.md --\n# A\n", "broken.txtar: no rule.yaml"},
	} {
		proofs, err := secret.Prove(fstest.MapFS{name + ".txtar": {Data: []byte(c.text)}})
		if err != nil || len(proofs) != 1 {
			t.Fatalf("%s: %v %v", name, proofs, err)
		}
		if got := strings.Join(proofs[0].Unmet, "; "); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
