package secret

import (
	"log/slog"
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

// Credential is a secret in clear, for as long as somebody asks its provider
// whether it still works. It is never kept, and prints as nothing.
type Credential struct {
	Rule   string // without the prefix secret/
	ID     string // of the key, where one stands beside the secret
	Secret string `json:"-"`
}

// String tells nothing of the secret.
func (c Credential) String() string { return "a secret of " + c.Rule }

// GoString is String: %#v must not tell more.
func (c Credential) GoString() string { return c.String() }

// LogValue is String: a log must not tell more.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Reveal is the secret in a file that has a finding's fingerprint. The file is
// searched anew: nobody has kept what it holds.
func (s *Scanner) Reveal(path string, content []byte, fingerprint string) (c Credential, ok bool) {
	if archive, _, inside := strings.Cut(path, "!/"); inside {
		_ = Unpack(archive, content, func(name string, content []byte) { // what cannot be read does not hold it
			if name == path && !ok {
				c, ok = s.reveal(name, content, fingerprint)
			}
		})
		return c, ok
	}
	return s.reveal(path, content, fingerprint)
}

func (s *Scanner) reveal(path string, content []byte, fingerprint string) (Credential, bool) {
	hits, _ := s.hits(path, content)
	lines := newLineIndex(content)
	with := paired(hits, lines)
	for i, h := range hits {
		if mark, _ := s.fingerprint(path, content, lines, h); mark != fingerprint {
			continue
		}
		c := Credential{Rule: h.rule.ID, Secret: h.secret}
		for j, other := range with {
			if other == i && strings.HasSuffix(hits[j].rule.ID, "-id") {
				c.ID = hits[j].secret
			}
		}
		return c, true
	}
	return Credential{}, false
}

// RuleOf is which rule of ours a finding is of, or "".
func RuleOf(f *finding.Finding) string {
	rule, ok := strings.CutPrefix(f.GeneratorID, "secret/")
	if !ok {
		return ""
	}
	return rule
}
