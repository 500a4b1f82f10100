package reports_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/word/finding"
)

// The record that a finding was made of is kept beside it, of the newest imports, and no secret with it.
func TestRaw(t *testing.T) {
	h := build(t)
	door := reports.Handler(reports.Config{Hub: h.hub, Folder: h.spool})
	h.imports("target=shop", []byte(semgrep))
	raw := func(target string) (all []string) {
		t.Helper()
		for _, f := range h.present(target, "") {
			text, err := door.Raw(&f)
			must(t, err)
			all = append(all, text)
		}
		return all
	}
	if got := raw("shop"); len(got) != 1 || !strings.Contains(got[0], `"check_id":"a.b"`) || !strings.Contains(got[0], `"severity":"ERROR"`) {
		t.Errorf("%q", got)
	}
	secret := "q7Vz0kLm" + "3xN9wRt5yUb2"
	h.imports("target=leaks", fmt.Appendf(nil, `[{"Description":"a key","StartLine":1,"File":"a","Secret":%q,"Match":"key = %s","RuleID":"generic","Commit":"","Fingerprint":"a:generic:1"}]`, secret, secret))
	if got := raw("leaks"); len(got) != 1 || strings.Contains(got[0], secret) || !strings.Contains(got[0], `"RuleID":"generic"`) {
		t.Errorf("%q", got)
	}
	for i := range 9 {
		h.imports(fmt.Sprint("target=shop&commit=c", i), []byte(strings.Replace(semgrep, `"message":"m"`, fmt.Sprintf(`"message":"m%d"`, i), 1)))
	}
	if got := raw("shop"); len(got) != 1 || !strings.Contains(got[0], `"message":"m8"`) {
		t.Errorf("after other imports: %q", got)
	}
	h.send(h.token, "target=shop", []byte(semgrep[:40]))
	files, err := filepath.Glob(filepath.Join(h.spool, "raw", "*", "*"))
	must(t, err)
	if len(files) > 6 {
		t.Errorf("%d files are kept", len(files))
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", f, err)
		}
	}
	if text, err := door.Raw(&finding.Finding{}); text != "" || err != nil {
		t.Errorf("%q %v", text, err)
	}
}
