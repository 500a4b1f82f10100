package sigma_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/word/fault"
)

// A file's examples prove its rules, and tell when they do not.
func TestProve(t *testing.T) {
	counting := "-- help.md --\nhelp\n-- rule.yml --\n" + correlation("event_count", "{gte: 2}")
	near := `{"event":"fail","ip":"a","eventTime":"2026-01-01T00:00:00Z"}` + "\n" + `{"event":"fail","ip":"a","eventTime":"2026-01-01T00:04:00Z"}` + "\n"
	apart := strings.Replace(near, `"ip":"a"`, `"ip":"b"`, 1)
	far := strings.Replace(near, "00:04", "00:06", 1)
	for _, c := range []struct {
		text  string
		unmet []string
	}{
		{counting + "-- bad/near --\n" + near + "-- good/apart --\n" + apart + "-- good/far --\n" + far, nil},
		{counting + "-- bad/far --\n" + far + "-- good/near --\n" + near, []string{"bad/far: it is not found", `good/near: it is found by ["many"]`}},
		{"-- rule.yml --\n" + rule("s: {a: x}\ncondition: s"), []string{"there is no bad example", "there is no good example", "there is no help.md"}},
		{counting + "-- bad/x --\n{\n-- good/y --\n", []string{"bad/x: no JSON at byte 1: a text is expected", "good/y: it is empty"}},
	} {
		proofs, err := sigma.Prove(fstest.MapFS{"x.txtar": {Data: []byte(c.text)}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.unmet, proofs[0].Unmet); diff != "" {
			t.Errorf("%s\n%s", c.text, diff)
		}
	}
	for _, text := range []string{"-- help.md --\n", "-- rule.yml --\ntitle: t\n", "-- other --\n"} {
		if _, err := sigma.Prove(fstest.MapFS{"x.txtar": {Data: []byte(text)}}); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "x.txtar") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What a rule says besides Sigma can be read, strictly.
func TestCustom(t *testing.T) {
	rules, err := sigma.Parse("x.yml", []byte(rule("s: {a: x}\ncondition: s")+"mine:\n  word: yes\n"))
	if err != nil {
		t.Fatal(err)
	}
	var good struct{ Word string }
	if ok, err := rules[0].Custom("mine", &good); !ok || err != nil || good.Word != "yes" {
		t.Errorf("%v %v %+v", ok, err, good)
	}
	var bad struct{ Other string }
	if ok, err := rules[0].Custom("mine", &bad); !ok || err == nil || !strings.Contains(err.Error(), "x.yml:7:3") {
		t.Errorf("%v %v", ok, err)
	}
	if ok, err := rules[0].Custom("other", &good); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
}
