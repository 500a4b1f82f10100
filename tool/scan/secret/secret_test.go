package secret_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	rules "github.com/haechi-dev/haechi/rules/secret"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/scantest"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/finding"
)

// examples are all bad examples of all rules, as a tree.
func examples(t testing.TB) fstest.MapFS {
	t.Helper()
	all, err := secret.ParseRules(rules.Files)
	if err != nil {
		t.Fatal(err)
	}
	tree := fstest.MapFS{}
	for _, r := range all {
		for _, e := range r.Bad {
			tree[r.ID+"/"+e.Path] = &fstest.MapFile{Data: e.Content}
		}
	}
	return tree
}

// random is text of n characters that looks like a secret, made when the test runs.
func random(seed uint64, n int) string {
	const alphabet = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	r, b := rand.New(rand.NewPCG(seed, 7)), make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

func TestProve(t *testing.T) {
	scantest.Prove(t, func() scan.Scanner { return secret.New([]byte("salt")) }, examples(t))
}

// No field of a finding holds more than a few characters of a secret in a row.
func TestNothingInClear(t *testing.T) {
	s := secret.New(nil)
	for seed := range uint64(40) {
		plain, password := random(seed, 40), random(seed+1000, 9)+"!x7"
		text := "API_TOKEN=" + plain + "\n" + `{"payload":"{\"apiKey\":\"` + plain + `\"}"}` + "\ndb: postgres://shop:" + password + "@db/shop?token=" + plain + "\nDB_PASSWORD='" + password + "' # and password " + plain[:20] + "\n"
		found := s.Check("app.env", []byte(text))
		if len(found) < 2 {
			t.Fatalf("only %d findings in:\n%s", len(found), text)
		}
		for _, f := range found {
			out := string(f.JSON())
			for _, hidden := range []string{plain, password} {
				for i := 0; i+8 <= len(hidden); i++ {
					if strings.Contains(out, hidden[i:i+8]) && !(hidden == plain && i < 13) {
						t.Fatalf("%q of the secret is in %s", hidden[i:i+8], out)
					}
				}
			}
		}
	}
}

// A finding keeps its fingerprint when lines move, and another secret has another.
func TestFingerprint(t *testing.T) {
	s := secret.New([]byte("repository"))
	print := func(s *secret.Scanner, path, text string) string {
		t.Helper()
		found := s.Check(path, []byte(text))
		if len(found) != 1 {
			t.Fatalf("%d findings in %q", len(found), text)
		}
		return found[0].ProductFields[finding.FieldFingerprint]
	}
	for _, value := range []string{random(1, 40), "mango#8Uy!"} { // a strong one, and one that could be guessed
		text := "DB_PASSWORD=" + value + "\n"
		first := print(s, "a.env", text)
		if moved := print(s, "a.env", "# a comment\n\nPORT=8080\n  "+text); moved != first {
			t.Errorf("%d characters: another fingerprint after moving", len(value))
		}
		if other := print(s, "b.env", text); (other == first) != (len(value) == 40) {
			t.Errorf("%d characters: in another file %s, here %s", len(value), other, first)
		}
	}
	strong := "DB_PASSWORD=" + random(1, 40)
	if print(s, "a.env", strong) == print(s, "a.env", "DB_PASSWORD="+random(2, 40)) {
		t.Error("two secrets, one fingerprint")
	}
	if print(s, "a.env", strong) == print(secret.New([]byte("another")), "a.env", strong) {
		t.Error("the salt does not count")
	}
}

// The same strong secret is known again in another file, a weak one has no hash.
func TestSecretHash(t *testing.T) {
	s := secret.New([]byte("repository"))
	hash := func(path, text string) string {
		return s.Check(path, []byte(text))[0].ProductFields[finding.FieldSecret]
	}
	a, b := hash("a.env", "API_TOKEN="+random(3, 36)), hash("b.yaml", "token: "+random(3, 36))
	if a == "" || a != b {
		t.Errorf("hashes %q and %q", a, b)
	}
	if h := hash("a.env", "PASSWORD=mango#8Uy!"); h != "" {
		t.Errorf("a weak password has the hash %q", h)
	}
}

// One secret in many places of a file is one finding that names the lines.
func TestPlaces(t *testing.T) {
	token := random(4, 40)
	found := secret.New(nil).Check("a.env", fmt.Appendf(nil, "A_TOKEN=%s\nPORT=1\nB_TOKEN=%s\n", token, token))
	if len(found) != 1 || found[0].Place().Line != 1 || found[0].ProductFields[finding.FieldPlaces] != "a.env:1 a.env:3" {
		t.Errorf("%d findings: %+v", len(found), found)
	}
}

// One secret in ten files is one finding that names ten places, the worst first.
func TestPlacesInTree(t *testing.T) {
	tree := fstest.MapFS{}
	for i := range 10 {
		tree[fmt.Sprintf("svc %d/app.env", i)] = &fstest.MapFile{Data: []byte("PORT=1\nAPI_TOKEN=" + random(4, 40) + "\n")}
	}
	tree["a/app_test.go"] = &fstest.MapFile{Data: []byte("const apiToken = \"" + random(4, 40) + "\"\n")}
	r, err := scan.Tree(context.Background(), tree, scan.Options{Scanners: []scan.Scanner{secret.New(nil)}})
	if err != nil || len(r.Runs[0].Findings) != 1 {
		t.Fatalf("%d findings, %v", len(r.Runs[0].Findings), err)
	}
	f := r.Runs[0].Findings[0]
	if places := strings.Fields(f.ProductFields[finding.FieldPlaces]); len(places) != 11 || places[0] != "svc%200/app.env:2" || f.Label() != finding.High {
		t.Errorf("%s in %q", f.Label(), places)
	}
}

// A key's id and its secret nearby are one finding that names both places; far apart they are two.
func TestPair(t *testing.T) {
	id, key := "AKIA"+strings.ToUpper(strings.NewReplacer("8", "A", "9", "B").Replace(random(8, 16))), random(9, 38)+"/+"
	near := "aws_access_key_id=" + id + "\nregion=x\naws_secret_access_key=" + key + "\n"
	found := secret.New(nil).Check("credentials", []byte(near))
	if len(found) != 1 || found[0].GeneratorID != "secret/aws-secret-access-key" || found[0].ProductFields[finding.FieldPlaces] != "credentials:3 credentials:1" || !strings.Contains(found[0].ProductFields[finding.FieldEvidence], "of AWS account") {
		t.Errorf("%d findings: %+v", len(found), found)
	}
	far := strings.Replace(near, "region=x\n", strings.Repeat("x=1\n", 40), 1)
	if found := secret.New(nil).Check("credentials", []byte(far)); len(found) != 2 {
		t.Errorf("far apart: %d findings", len(found))
	}
}

// Each repository has a salt of its own.
func TestSaltOfRepository(t *testing.T) {
	s, text := secret.New([]byte("installation")), []byte("API_TOKEN="+random(4, 40))
	a, b := s.Of("shop").Check("a.env", text)[0], s.Of("stock").Check("a.env", text)[0]
	if a.ProductFields[finding.FieldSecret] == b.ProductFields[finding.FieldSecret] {
		t.Error("two repositories, one hash")
	}
	tree := fstest.MapFS{"a.env": {Data: text}}
	r, err := scan.Tree(context.Background(), tree, scan.Options{Scanners: []scan.Scanner{s}, Target: "shop"})
	if err != nil || r.Runs[0].Findings[0].ProductFields[finding.FieldSecret] != a.ProductFields[finding.FieldSecret] {
		t.Errorf("a scan of the tree salts otherwise: %v", err)
	}
}

// A comment asks for leave with a reason; the finding stays and shows it.
func TestAllow(t *testing.T) {
	token := random(5, 40)
	for text, want := range map[string]string{
		"API_TOKEN=" + token + " # haechi:allow reason=rotated in March":            "rotated in March",
		"// haechi:allow reason=\"a test key\"\nconst apiToken = \"" + token + "\"": "a test key",
		"API_TOKEN=" + token + " # gitleaks:allow":                                  "no reason given",
		"OTHER=1 # haechi:allow reason=not for the next line\nAPI_TOKEN=" + token:   "",
		"API_TOKEN=" + token: "",
	} {
		found := secret.New(nil).Check("a.go", []byte(text))
		if strings.HasPrefix(text, "API") || strings.HasPrefix(text, "OTHER") {
			found = secret.New(nil).Check("a.env", []byte(text))
		}
		if len(found) != 1 || found[0].ProductFields[finding.FieldAllow] != want {
			t.Errorf("%q: %d findings, allowed %q, want %q", text, len(found), found[0].ProductFields[finding.FieldAllow], want)
		}
	}
}

// A file that holds more than one wants to read costs little, and is said to have been looked at in part.
func TestBounded(t *testing.T) {
	var many, nested strings.Builder
	for i := range uint64(12_000) {
		many.WriteString("API_TOKEN=" + random(i, 40) + "\n")
	}
	nested.WriteString(strings.Repeat(`pass`+`word = "\\`, 40_000))
	encoded := strings.Repeat("YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh\n", 100_000)
	for name, text := range map[string]string{"many": many.String(), "nested": nested.String(), "encoded": encoded} {
		start := time.Now()
		r, err := scan.Tree(context.Background(), fstest.MapFS{"a.env": {Data: []byte(text)}}, scan.Options{Scanners: []scan.Scanner{secret.New(nil)}})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s took %v", name, took)
		}
		if s := r.Runs[0].Scan; name == "many" && (s.Complete || len(s.Skipped) != 1 || len(r.Runs[0].Findings) < 9000) {
			t.Errorf("%s: %d findings, %+v", name, len(r.Runs[0].Findings), s)
		}
	}
}

// Whatever a file holds, what is found lies in it and shows no control characters.
func FuzzCheck(f *testing.F) {
	for path, file := range examples(f) {
		f.Add(path, file.Data)
	}
	f.Add("in Latin-1 \xfc", []byte("API_TOKEN="+random(6, 40)))
	f.Add("a.json", []byte(`{"a":"x\npass`+`word: %41bc!7Yz\n","b":"-----BEGIN PRIVATE KEY-----`))
	s := secret.New(nil)
	f.Fuzz(func(t *testing.T, path string, content []byte) {
		if len(content) > 1<<20 {
			return
		}
		for _, found := range s.Check(path, content) {
			if line := found.Place().Line; line < 1 || line > 1+bytes.Count(content, []byte("\n")) {
				t.Errorf("line %d of %q", line, content)
			}
			if strings.ContainsFunc(found.ProductFields[finding.FieldExcerpt], func(r rune) bool { return r < ' ' }) {
				t.Errorf("excerpt %q", found.ProductFields[finding.FieldExcerpt])
			}
			_ = found.JSON()
		}
	})
}

// A rule file is a rule or an error that names the file.
func FuzzParseRule(f *testing.F) {
	names, err := rules.Files.ReadDir(".")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range names[:10] {
		text, err := rules.Files.ReadFile(e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		r, err := secret.ParseRule("x.txtar", text)
		if err != nil {
			if !strings.Contains(err.Error(), "x.txtar") {
				t.Errorf("%v does not name the file", err)
			}
			return
		}
		s, err := secret.With([]*secret.Rule{r}, nil)
		if err != nil {
			return
		}
		for _, e := range append(r.Bad, r.Good...) {
			s.Check(e.Path, e.Content)
		}
	})
}

// BenchmarkCheck is the speed on text as sources have it.
func BenchmarkCheck(b *testing.B) {
	var text bytes.Buffer
	r := rand.New(rand.NewPCG(1, 1))
	words := strings.Fields("func return if err != nil { } := range token user request the of and a to config.Load(ctx) \"hello world\" // comment fmt.Errorf(\"reading %s: %w\", path, err) " +
		"switch case name string for i int len(text) append lines break continue type struct interface map[string]bool method http.StatusOK response value count index offset start end buffer")
	for text.Len() < 4<<20 {
		for range 10 {
			text.WriteString(words[r.IntN(len(words))] + " ")
		}
		text.WriteByte('\n')
	}
	s := secret.New(nil)
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		s.Check("main.go", text.Bytes())
	}
}
