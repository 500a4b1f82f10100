package iac

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/haechi-dev/haechi/lang/guard"
	"golang.org/x/tools/txtar"
)

// seeds adds the inputs of testdata, and what people have broken parsers with.
func seeds(f *testing.F, want func(string) bool) {
	f.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, x := range a.Files {
			if want(x.Name) {
				f.Add(x.Name, x.Data)
			}
		}
	}
}

// sound holds a document against a rule that looks at all of it, and writes it.
func sound(t *testing.T, doc *guard.Document) {
	rules, err := guard.Parse("r.guard", []byte("rule R { Resources.*.Properties.* exists\n some Resources.*.Properties.*[*].Name == /x/ }"))
	if err != nil {
		t.Fatal(err)
	}
	rules.Check(doc, time.Time{})
	for _, r := range doc.Resources() {
		item(doc, r)
	}
}

// Whatever a file holds, it is read or refused, soon.
func FuzzDocuments(f *testing.F) {
	seeds(f, func(name string) bool { return name != "want" })
	f.Add("t.yaml", []byte("Resources:\n  A: {Type: 'A::B::C', Properties: {X: !Sub '${A.B}${', Y: !If [c, 1, 2]}}\nConditions: {c: !Not [!Condition c]}"))
	f.Add("t.yaml", []byte("a: &a [*a]\nResources: {}"))
	f.Add("plan.json", []byte(`{"format_version":"1.2","planned_values":{"root_module":{"resources":[{"address":"aws_s3_bucket.a[\"]","type":"aws_s3_bucket","values":{"bucket":null}}]}}}`))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		if len(content) > 1<<16 {
			t.Skip()
		}
		name = filepath.ToSlash(filepath.Base(name))
		docs, err := Documents(name, content)
		if err != nil {
			return
		}
		for _, d := range docs {
			sound(t, d)
		}
	})
}

// The same for Terraform's language.
func FuzzTerraform(f *testing.F) {
	for _, text := range []string{
		"resource \"aws_ebs_volume\" \"a\" {\n  encrypted = var.x\n  size = local.a\n}\nlocals {\n  a = local.b\n  b = local.a\n}\nvariable \"x\" { default = [for k, v in {a = 1} : \"${k}-${v}\" if v > 0] }",
		"module \"m\" {\n  source = \"./\"\n  x = module.m.y\n}\noutput \"y\" { value = module.m.y }",
		"resource \"aws_security_group\" \"a\" {\n  for_each = toset([\"a\", \"b\"])\n  dynamic \"ingress\" {\n    for_each = [22, 80]\n    content { from_port = ingress.value\n to_port = ingress.key\n cidr_blocks = [\"0.0.0.0/0\"] }\n  }\n}",
		"data \"aws_iam_policy_document\" \"d\" {\n  statement { actions = [\"*\"]\n principals { type = \"AWS\"\n identifiers = [\"*\"] } }\n}\nresource \"aws_iam_policy\" \"p\" { policy = data.aws_iam_policy_document.d.json }",
		"locals { a = " + strings.Repeat("(", 300) + strings.Repeat(")", 300) + " }",
		"resource \"a\" \"b\" { count = 1 < 2 ? 3 : null\n x = a.b[0].x[*].y\n y = <<-EOT\n %{ for x in [1,2] }${x}%{ endfor }\n EOT\n }",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 1<<14 {
			t.Skip()
		}
		docs, _ := Modules(fstest.MapFS{"main.tf": {Data: content}}, ".")
		for _, d := range docs {
			sound(t, d)
		}
	})
}

// The same for shell scripts.
func FuzzScript(f *testing.F) {
	for _, text := range []string{"a | b && c; d &\n", "curl -sSL x | sudo -u root bash -s -- $(cat `id`) <<EOF\nx\nEOF\n", "A=1 B=${C:-$(d)} 'e f' \"g $h\" \\\n i 2>&1 >(tee)", "$((1+2)) ${{ github.x }} $", "if a; then { b; }; fi # c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 {
			t.Skip()
		}
		at := guard.NewNull().At(0, 1, 1)
		if n := commands(text, at, 1).Len(); n > 4*maxCommands {
			t.Errorf("%d commands", n)
		}
	})
}

// And for rules that a repository brings.
func FuzzRules(f *testing.F) {
	text, err := os.ReadFile("../../../rules/aws/encrypted-volumes.txtar")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("x.txtar", text)
	f.Add("x.guard", []byte("rule A { B }\nrule B when A { Resources.*[ Type == /x/ ] !empty }"))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		if len(text) > 1<<16 {
			t.Skip()
		}
		_, _ = RulesOf(name, text)
	})
}
