package secret

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// enoughBits is from where on a secret cannot be guessed from its hash.
const enoughBits = 64

// findings makes one finding of all places of a secret in a file.
func (s *Scanner) findings(path string, text []byte, hits []hit) []finding.Finding {
	if len(hits) == 0 {
		return nil
	}
	lines := newLineIndex(text)
	at, places := map[string]int{}, map[int][]string{}
	var all []finding.Finding
	with := paired(hits, lines)
	for i, h := range hits {
		if with[i] >= 0 { // told of with the secret that it belongs to
			continue
		}
		fingerprint, hash := s.fingerprint(path, text, lines, h)
		place := lines.place(path, h.start)
		n, ok := at[fingerprint]
		if !ok {
			n = len(all)
			at[fingerprint] = n
			all = append(all, s.finding(h, place, text, lines, hits, fingerprint, hash))
		}
		if len(places[n]) < 200 {
			places[n] = append(places[n], placeText(path, place.Line))
		}
		for j, other := range with {
			if other == i {
				places[n] = append(places[n], placeText(path, lines.place(path, hits[j].start).Line))
				evidence := all[n].ProductFields[finding.FieldEvidence]
				all[n].ProductFields[finding.FieldEvidence] = finding.Shorten(evidence+"; with "+hits[j].describe(), 900)
			}
		}
	}
	for n := range all {
		setPlaces(&all[n], places[n])
	}
	return all
}

// pairWithin is how many lines a key and its secret may lie apart.
const pairWithin = 12

// paired tells of each hit to which it belongs: a key's id to its secret nearby. -1: to none.
func paired(hits []hit, lines lineIndex) []int {
	with := make([]int, len(hits))
	for i := range with {
		with[i] = -1
	}
	for i, h := range hits {
		for _, id := range h.rule.with {
			best, far := -1, pairWithin+1
			for j := max(0, i-50); j < min(len(hits), i+50); j++ {
				if d := lines.line(hits[j].start) - lines.line(h.start); hits[j].rule.ID == id && with[j] < 0 && with[i] < 0 && max(d, -d) < far {
					best, far = j, max(d, -d)
				}
			}
			if best >= 0 {
				with[best] = i
			}
		}
	}
	return with
}

func (s *Scanner) finding(h hit, place diag.Place, text []byte, lines lineIndex, hits []hit, fingerprint, hash string) finding.Finding {
	fields := finding.At(place)
	fields[finding.FieldFingerprint] = fingerprint
	fields[finding.FieldExcerpt] = excerpt(text, lines, h, hits)
	fields[finding.FieldEvidence] = strings.ToValidUTF8(h.describe(), "\uFFFD")
	fields[finding.FieldCWE] = "CWE-798"
	if hash != "" {
		fields[finding.FieldSecret] = hash
	}
	if reason, ok := allowed(text, lines, place.Line); ok {
		fields[finding.FieldAllow] = reason
	}
	if reason, ok := s.allow.reason(place.File, place.Line, h.secret, fingerprint, s.now); ok {
		fields[finding.FieldAllow] = reason
	}
	severity, confidence := h.rule.Severity, 90
	switch h.verdict {
	case doubtful:
		severity, confidence = min2(severity, finding.Low), 40
	case proven:
		confidence = 99
	}
	if h.rule.rank == rankGeneric && h.verdict == likely {
		confidence = 70
	}
	return finding.Finding{
		GeneratorID:   "secret/" + h.rule.ID,
		Title:         h.rule.Title + " in " + finding.Shorten(place.File, 180),
		Description:   finding.Shorten(h.rule.Description, 900),
		Types:         []string{"Sensitive Data Identifications/Passwords/" + h.rule.ID},
		Severity:      &finding.Severity{Label: severity},
		Confidence:    &confidence,
		Remediation:   &finding.Remediation{Recommendation: &finding.Recommendation{Text: finding.Shorten(h.rule.Fix+" Then take it out of the file: what was committed stays in the history, so only a new secret helps.", 512), URL: h.rule.Link}},
		ProductFields: fields,
	}
}

// describe is what makes the engine think so, without the secret.
func (h hit) describe() string {
	parts := []string{mask(h.secret)}
	if h.evidence != "" {
		parts = append(parts, h.evidence)
	}
	if h.depth > 0 {
		parts = append(parts, "written encoded or in pieces")
	}
	return strings.Join(parts, "; ")
}

func min2(a, b finding.Label) finding.Label {
	if b.Rank() < a.Rank() {
		return b
	}
	return a
}

// mask shows as much of a secret as tells it from others, and no more: of a
// short one nothing.
func mask(secret string) string {
	secret = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return -1
		}
		return r
	}, secret)
	switch n := len(secret); {
	case n >= 32:
		return secret[:4] + "…" + secret[n-2:]
	case n >= 20:
		return secret[:4] + "…"
	case n >= 12:
		return secret[:1] + "…"
	}
	return "…"
}

// fingerprint is a keyed hash of the secret, wherever it stands and whichever
// rule sees it; where the secret is so weak that it could be guessed from a
// hash, the rule, the path and what stands around it count instead.
func (s *Scanner) fingerprint(path string, text []byte, lines lineIndex, h hit) (fingerprint, hash string) {
	if entropy(h.secret)*float64(len(h.secret)) >= enoughBits && alphabetBits(h.secret) >= enoughBits {
		hash = s.Hash(h.secret)
		return finding.Fingerprint("secret", hash), hash
	}
	start, end := lines.around(h.start, h.end)
	context := string(text[max(start, h.start-200):h.start]) + "*" + string(text[h.end:min(end, h.end+200)])
	return finding.Fingerprint(h.rule.ID, path, "near", strings.Join(strings.Fields(context), " ")), ""
}

// Hash is what a finding of a secret says of it in FieldSecret, where it says anything: so that who has
// a secret can tell whether it is the one that was found.
func (s *Scanner) Hash(secret string) string {
	m := hmac.New(sha256.New, append([]byte("haechi/secret/"), s.salt...))
	m.Write([]byte(secret))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// alphabetBits is what as many characters of the same kinds could say.
func alphabetBits(s string) float64 {
	lower, upper, digit, other := kinds(s)
	letters := 0
	for _, k := range []struct{ n, size int }{{lower, 26}, {upper, 26}, {digit, 10}, {other, 32}} {
		if k.n > 0 {
			letters += k.size
		}
	}
	return float64(len(s)) * math.Log2(float64(max(letters, 1)))
}

// excerpt is the line of h with every secret on it masked.
func excerpt(text []byte, lines lineIndex, h hit, hits []hit) string {
	const around = 60
	lineStart, lineEnd := lines.around(h.start, h.start)
	from, to := max(lineStart, h.start-around), min(lineEnd, max(h.end, h.start)+around)
	var b strings.Builder
	at := from
	i, _ := slices.BinarySearchFunc(hits, from, func(other hit, from int) int { return other.end - from - 1 })
	for ; i < len(hits) && hits[i].start < to; i++ {
		other := hits[i]
		if other.start > at {
			b.Write(text[at:other.start])
		}
		if other.depth > 0 {
			b.WriteString("…")
		} else {
			b.WriteString(mask(other.secret))
		}
		at = max(at, other.end)
	}
	if at < to {
		b.Write(text[at:to])
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, strings.TrimSpace(strings.ToValidUTF8(b.String(), "?")))
}

// NoReason is what FieldAllow says where a comment asks for leave and does not say why.
const NoReason = "no reason given"

var allowComment = regexp.MustCompile(`(?i)(?:haechi|gitleaks):allow\b[ \t]*(?:reason=)?("[^"\n]*"|[^\n]*)`)

// allowed is the reason that a comment gives on the line or the one above for letting a secret be.
func allowed(text []byte, lines lineIndex, line int) (string, bool) {
	for _, n := range []int{line, line - 1} {
		if n < 1 {
			continue
		}
		start, end := lines.bounds(n)
		content := text[start:min(end, start+2000)]
		if !bytes.Contains(bytes.ToLower(content), []byte(":allow")) || n < line && !isComment(content) {
			continue
		}
		if m := allowComment.FindSubmatch(content); m != nil {
			reason := strings.Trim(strings.TrimSpace(string(m[1])), `"`)
			for _, end := range []string{"*/", "-->"} {
				reason = strings.TrimSpace(strings.TrimSuffix(reason, end))
			}
			return finding.Shorten(cmp.Or(strings.ToValidUTF8(reason, "?"), NoReason), 200), true
		}
	}
	return "", false
}

// isComment: a line above speaks for the one below only where it says nothing else.
func isComment(line []byte) bool {
	line = bytes.TrimSpace(line)
	for _, start := range []string{"#", "//", "/*", "*", "--", "<!--", ";"} {
		if bytes.HasPrefix(line, []byte(start)) {
			return true
		}
	}
	return false
}

// lineIndex tells lines from offsets.
type lineIndex struct {
	starts []int
	length int
}

func newLineIndex(text []byte) lineIndex {
	l := lineIndex{starts: []int{0}, length: len(text)}
	for at := 0; ; {
		i := bytes.IndexByte(text[at:], '\n')
		if i < 0 {
			return l
		}
		at += i + 1
		l.starts = append(l.starts, at)
	}
}

func (l lineIndex) line(offset int) int {
	i, found := slices.BinarySearch(l.starts, offset)
	if found {
		return i + 1
	}
	return i
}

// bounds is where line n begins and ends, without its end.
func (l lineIndex) bounds(n int) (start, end int) {
	start, end = l.starts[n-1], l.length
	if n < len(l.starts) {
		end = l.starts[n] - 1
	}
	return start, end
}

// around is where the line of start begins, and that of end ends.
func (l lineIndex) around(start, end int) (int, int) {
	first, _ := l.bounds(l.line(start))
	_, last := l.bounds(l.line(end))
	return first, last
}

func (l lineIndex) place(path string, offset int) diag.Place {
	line := l.line(offset)
	start, _ := l.bounds(line)
	return diag.Place{File: path, Line: line, Column: offset - start + 1}
}
