package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/rules/aws"
	"github.com/haechi-dev/haechi/tool/scan/iac"
)

func ownPolicies(t testing.TB) func() []iac.Rule {
	t.Helper()
	p, err := guard.ParsePolicies(aws.Files)
	if err != nil {
		t.Fatal(err)
	}
	rules := iac.Rules(p...)
	return func() []iac.Rule { return rules }
}

// A rule's page shows that it proves itself on its own examples.
func TestPolicy(t *testing.T) {
	both(t, func(t *testing.T, h *house) {
		p := h.admin()
		a := p.get("/policies/ENCRYPTED_VOLUMES")
		if a.status != http.StatusOK || !strings.Contains(a.body, "breaks the rule") || !strings.Contains(a.body, "✓") || strings.Contains(a.body, "✕") {
			t.Errorf("%d %.2000s", a.status, a.body)
		}
		if a := p.get("/policies/NOBODY"); a.status != http.StatusNotFound {
			t.Errorf("a rule that is not there: %d", a.status)
		}
	})
}

// What is typed is judged, by a button: kept, broken, unknown, and mistakes with their place.
func TestTry(t *testing.T) {
	both(t, func(t *testing.T, h *house) {
		p := h.admin()
		const rule = "rule R { Resources.*.Properties.Encrypted == true }"
		for _, c := range []struct{ name, rule, document, want string }{
			{"template.yaml", rule, "Resources: {A: {Type: 'AWS::EC2::Volume', Properties: {Encrypted: true}}}", "kept"},
			{"template.yaml", rule, "Resources: {A: {Type: 'AWS::EC2::Volume', Properties: {Encrypted: false}}}", "template.yaml:1:67"},
			{"template.yaml", rule, "Parameters: {E: {Type: String}}\nResources: {A: {Type: 'AWS::EC2::Volume', Properties: {Encrypted: !Ref E}}}", "parameter E has no default"},
			{"main.tf", rule, "resource \"aws_ebs_volume\" \"a\" { encrypted = false }", "main.tf:1:"},
			{"Dockerfile", "rule R { Resources.*.Properties.Stages[*].User exists }", "FROM scratch\nUSER app\n", "kept"},
			{"template.yaml", "rule R {", "a: 1", "rule.guard:1:"},
			{"template.yaml", rule, "a: [", "template.yaml:2: not YAML"},
			{"template.yaml", strings.Repeat("#", 70<<10), "a: 1", "at most 64 KB"},
			{"../../etc/passwd", rule, "Resources: {}", "there is no * at /Resources"},
		} {
			a := p.post("/policies/try", "name", c.name, "text", c.rule, "document", c.document)
			if a.status != http.StatusOK || !strings.Contains(a.body, c.want) {
				t.Errorf("%s: %d, no %q in %.3000s", c.document, a.status, c.want, a.body[strings.Index(a.body, `id="verdict"`):])
			}
		}
	})
}
