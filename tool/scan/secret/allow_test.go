package secret_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/finding"
)

// A file of what is let be is written sorted, and read as it was written.
func TestAllowFile(t *testing.T) {
	a := &secret.Allow{Salt: []byte("salt of shop"), Secrets: []secret.Allowed{
		{Fingerprint: strings.Repeat("b", 32), Rule: "secret/password", Owner: "kim", Reason: "a test  account", Until: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)},
		{Fingerprint: strings.Repeat("a", 32), Reason: "rotated in March"},
	}}
	text := string(a.Text())
	if !strings.HasSuffix(text, "allow aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa reason=rotated in March\nallow bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb rule=secret/password until=2027-01-31 owner=kim reason=a test account\n") {
		t.Error(text)
	}
	b, err := secret.ParseAllow(secret.AllowFile, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, string(b.Text())); diff != "" {
		t.Error(diff)
	}
	for line, want := range map[string]string{
		"allow x reason=y":                                 ".haechi-secrets:1:1: the fingerprint of a finding comes first",
		"allow " + strings.Repeat("a", 32):                 "a reason is missing",
		"allow " + strings.Repeat("a", 32) + " until=soon": "until is a day",
		"forbid x":         "begins with salt or allow",
		"salt 1\nsalt 2":   "hexadecimal",
		"salt 11\nsalt 22": "a second salt",
	} {
		if _, err := secret.ParseAllow(secret.AllowFile, []byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}

// What is let be is noted with its reason, until its end; so is what gitleaks
// and detect-secrets were told to leave.
func TestAllowing(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	plain := random(21, 40)
	text := []byte("A=1\nAPI_TOKEN=" + plain + "\n")
	reasonOf := func(a *secret.Allow) string {
		t.Helper()
		found := secret.New([]byte("x")).Allowing(a, now).Of("shop").Check("conf/app.env", text)
		if len(found) != 1 {
			t.Fatalf("%d findings", len(found))
		}
		return found[0].ProductFields[finding.FieldAllow]
	}
	salt := []byte("salt")
	fingerprint := secret.New(nil).Allowing(&secret.Allow{Salt: salt}, now).Check("other.env", text)[0].ProductFields[finding.FieldFingerprint]
	let := func(until string) *secret.Allow {
		a, err := secret.ParseAllow(secret.AllowFile, fmt.Appendf(nil, "salt %x\nallow %s owner=kim%s reason=rotated\n", salt, fingerprint, until))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	ignore, baseline := &secret.Allow{}, &secret.Allow{}
	ignore.AddGitleaksIgnore([]byte("# comment\nother:x:1\n" + strings.Repeat("a", 40) + ":conf/app.env:generic-api-key:2\n"))
	sum := sha1.Sum([]byte(plain))
	list := func(is string) string {
		return `{"version":"1.5.0","results":{"conf/app.env":[{"type":"Secret Keyword","hashed_secret":"` + hex.EncodeToString(sum[:]) + `","line_number":2` + is + `}]}}`
	}
	if err := baseline.AddBaseline(".secrets.baseline", []byte(list(""))); err != nil {
		t.Fatal(err)
	}
	real := &secret.Allow{}
	if err := real.AddBaseline(".secrets.baseline", []byte(list(`,"is_secret":true`))); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		allow *secret.Allow
		want  string
	}{
		"file": {let(""), "rotated (kim)"}, "until today": {let(" until=2026-06-01"), "rotated (kim)"}, "ended": {let(" until=2026-05-31"), ""},
		"gitleaksignore": {ignore, "listed in .gitleaksignore"}, "detect-secrets": {baseline, "listed in a baseline of detect-secrets"}, "audited as real": {real, ""},
	} {
		if got := reasonOf(c.allow); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if err := real.AddBaseline("b", []byte("no JSON")); err == nil {
		t.Error("what is no baseline is taken for one")
	}
}

// Two branches that let different secrets be merge without a conflict.
func TestAllowFilesMerge(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	save := func(marks ...string) {
		a := &secret.Allow{Salt: []byte("s")}
		for _, m := range marks {
			a.Secrets = append(a.Secrets, secret.Allowed{Fingerprint: strings.Repeat(m, 32), Reason: "r"})
		}
		if err := os.WriteFile(filepath.Join(dir, secret.AllowFile), a.Text(), 0o644); err != nil {
			t.Fatal(err)
		}
		git("add", "-A")
		git("commit", "-q", "-m", "x")
	}
	git("init", "-q", "-b", "main")
	if err := os.WriteFile(filepath.Join(dir, ".gitattributes"), []byte(secret.AllowAttributes), 0o644); err != nil {
		t.Fatal(err)
	}
	save("a", "f")
	git("switch", "-q", "-c", "one")
	save("a", "b", "f")
	git("switch", "-q", "-c", "two", "main")
	save("a", "c", "f")
	git("merge", "-q", "one", "-m", "m")
	text, err := os.ReadFile(filepath.Join(dir, secret.AllowFile))
	if err != nil {
		t.Fatal(err)
	}
	merged, err := secret.ParseAllow(secret.AllowFile, text)
	if err != nil || len(merged.Secrets) != 4 {
		t.Errorf("%v\n%s", err, text)
	}
}

func FuzzParseAllow(f *testing.F) {
	f.Add([]byte("salt 00\nallow " + strings.Repeat("a", 32) + " until=2026-01-01 reason=x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := secret.ParseAllow("f", text)
		if err != nil {
			return
		}
		if _, err := secret.ParseAllow("f", a.Text()); err != nil {
			t.Errorf("%q was written, and is not read: %v", a.Text(), err)
		}
		_ = a.AddBaseline("f", text)
		a.AddGitleaksIgnore(text)
	})
}
