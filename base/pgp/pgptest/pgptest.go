// Package pgptest is a person with gpg and keys of their own, for tests: it runs the real gpg.
package pgptest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Home is a folder of keys.
type Home struct {
	Dir string
	t   testing.TB
}

// New is a person without keys; the test is skipped, with a line, where there is no gpg.
func New(t testing.TB) *Home {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("no gpg here: signatures of the real one are not tried")
	}
	dir, err := os.MkdirTemp("", "gpg") // t.TempDir may be longer than the name of its agent's socket can be
	if err != nil {
		t.Fatal(err)
	}
	h := &Home{Dir: dir, t: t}
	t.Cleanup(func() {
		cmd := exec.Command("gpgconf", "--kill", "gpg-agent")
		cmd.Env = h.Env()
		_ = cmd.Run() // it may not have been asked for anything yet
		os.RemoveAll(dir)
	})
	return h
}

// Env is what gpg, and git that runs it, are to see.
func (h *Home) Env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.Dir, "GNUPGHOME=" + h.Dir, "LC_ALL=C", "TZ=UTC"}
}

// Run runs gpg with what it is to read, and gives what it printed; it must succeed.
func (h *Home) Run(stdin string, args ...string) string {
	h.t.Helper()
	cmd := exec.Command("gpg", append([]string{"--batch", "--yes", "--no-tty", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", "--no-auto-key-locate", "--no-auto-check-trustdb"}, args...)...)
	cmd.Env, cmd.Stdin = h.Env(), strings.NewReader(stdin)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("gpg %s: %v\n%s", strings.Join(args, " "), err, complaint.String())
	}
	return string(out)
}

// Make makes a key for somebody, `Ada <ada@example.com>`, and gives its fingerprint. more are flags, such as
// --faked-system-time; algorithm and use are gpg's, and so is how long it lasts.
func (h *Home) Make(who, algorithm, use, lasts string, more ...string) string {
	h.t.Helper()
	h.Run("", append(more, "--quick-generate-key", who, algorithm, use, lasts)...)
	all := h.Fingerprints(who)
	return all[0]
}

// Fingerprints are those of somebody's key and of its subkeys, in their order.
func (h *Home) Fingerprints(who string) (all []string) {
	h.t.Helper()
	for line := range strings.Lines(h.Run("", "--with-colons", "--fingerprint", "--fingerprint", "--list-keys", who)) {
		if f := strings.Split(line, ":"); f[0] == "fpr" {
			all = append(all, f[9])
		}
	}
	if len(all) == 0 {
		h.t.Fatalf("there is no key of %s", who)
	}
	return all
}

// Export is somebody's public key in its armour.
func (h *Home) Export(who string) string {
	h.t.Helper()
	return h.Run("", "--armor", "--export", who)
}

// Sign signs a text with a key.
func (h *Home) Sign(key, text string, more ...string) string {
	h.t.Helper()
	return h.Run(text, append(more, "--armor", "--local-user", key, "--detach-sign")...)
}

// Revoke revokes a key by the certificate that gpg made with it: its reason is none.
func (h *Home) Revoke(fingerprint string) {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.Dir, "openpgp-revocs.d", fingerprint+".rev"))
	if err != nil {
		h.t.Fatal(err)
	}
	_, certificate, _ := strings.Cut(string(text), "\n:-----BEGIN")
	h.Run("-----BEGIN"+certificate, "--import")
}
