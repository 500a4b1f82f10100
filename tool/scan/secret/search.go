package secret

import (
	"bytes"
	"path"
	"strings"
)

// search is one text being looked through: the file, or what a part of it decodes to.
type search struct {
	*engine
	path  string
	text  []byte
	g     genre
	depth int
	name  string // that the decoded part was given

	hits      []hit
	vetoes    []span // what looked like a secret of a kind, and is none
	pairTo    int    // where the last pair that was read ends
	lineTo    int    // where the last password of a command line ends
	escapedTo int    // where the last text with a URL's escapes ends
	once      bool   // the lexer of Kubernetes' Secrets has run
	limit     *limit
}

// limit bounds what one file may cost, whatever it holds.
type limit struct {
	decoded int  // bytes that may still be decoded and looked through
	over    bool // something was left out
}

type span struct{ start, end int }

const (
	deepest  = 4
	mostHits = 10_000 // of one file
)

// hits are the secrets of a file, in order, one a place; whole is false where
// the file holds so many, or so much that is encoded, that some was left out.
func (e *engine) hits(path string, text []byte, g genre) (found []hit, whole bool) {
	s := &search{engine: e, path: path, text: text, g: g, limit: &limit{decoded: 4*len(text) + 1<<16}}
	s.run()
	s.kept()
	return s.settle(), !s.limit.over
}

func (s *search) run() {
	s.words.each(s.text, func(word, end int) {
		if len(s.hits) >= mostHits {
			s.limit.over = true
			return
		}
		for _, a := range s.actions[word] {
			if a.rule != nil {
				s.match(a.rule, end-s.lengths[word], end)
			} else {
				a.do(s, end-s.lengths[word], end)
			}
		}
	})
	if s.depth < deepest {
		decodeRuns(s.text, &s.base64, func(r run) { s.nested(r.start, r.end, r.text, s.nameBefore(r.start)) })
	}
}

// kept reads a file that is named for keeping a secret: a line of it is one,
// or the last field of a line.
func (s *search) kept() {
	const longest = 4096 // such a file holds little else
	if len(s.text) > longest || s.lexed["token"] == nil {
		return
	}
	fields := false
	switch strings.ToLower(path.Ext(s.path)) {
	case ".password", ".passwd", ".secret", ".token", ".apikey", ".passphrase":
	case ".pgpass":
		fields = true
	default:
		if fields = strings.EqualFold(path.Base(s.path), "pgpass.conf"); !fields {
			return
		}
	}
	at := 0
	for line := range bytes.Lines(s.text) {
		v := strings.TrimSpace(string(line))
		if fields && strings.Count(v, ":") >= 4 {
			v = strings.SplitN(v, ":", 5)[4]
		}
		if forPassword.plausible(v) {
			start := at + bytes.LastIndex(line, []byte(v))
			s.generically("token", pair{start: start, end: start + len(v), value: v}, likely, "a line of a file that is named for it")
		}
		at += len(line)
	}
}

// nested looks through what text[start:end] decodes to; what it finds stands at that place.
func (s *search) nested(start, end int, text []byte, name string) {
	if s.depth >= deepest || len(text) == 0 {
		return
	}
	if s.limit.decoded -= len(text) + 64; s.limit.decoded < 0 {
		s.limit.over = true
		return
	}
	inner := &search{engine: s.engine, path: s.path, text: text, g: s.g, depth: s.depth + 1, name: name, limit: s.limit}
	inner.g.code = false
	inner.run()
	if value := strings.TrimSpace(string(text)); name != "" && len(value) <= longestValue {
		inner.assigned(pair{name: name, value: value, end: len(text), quoted: true})
	}
	found := inner.settle()
	for _, h := range found {
		h.start, h.end = start, end
		s.hits = append(s.hits, h)
	}
	if len(found) == 0 && len(inner.vetoes) > 0 {
		s.vetoes = append(s.vetoes, span{start, end})
	}
}

// nameBefore is the name that stands before a value, on its line.
func (s *search) nameBefore(start int) string {
	from := max(0, start-100)
	line := s.text[from:start]
	if i := bytes.LastIndexByte(line, '\n'); i >= 0 {
		line = line[i+1:]
	}
	name := strings.TrimRight(string(line), " \t\\\"'`:=>")
	name = name[strings.LastIndexAny(name, " \t\"'`,;{(<")+1:]
	if !isName(name) {
		return ""
	}
	return name
}

// match tries a rule of a shape in its window.
func (s *search) match(r *Rule, start, end int) {
	if r.before == 0 && !s.begins(start) {
		return // most words within words end here, before a pattern is asked
	}
	from := max(0, start-r.before)
	window := s.text[from:min(len(s.text), start+r.after+1)]
	at := r.pattern().FindSubmatchIndex(window)
	if at == nil {
		return
	}
	if r.before == 0 && at[0] != 0 {
		return
	}
	whole := span{from + at[0], from + at[1]}
	if whole.start > start || whole.end < end {
		return // another keyword's
	}
	if len(at) > 3 && at[2] >= 0 { // the group is the secret
		whole = span{from + at[2], from + at[3]}
	}
	if !s.bounded(whole) {
		return
	}
	s.judge(r, whole, string(s.text[whole.start:whole.end]))
}

// bounded: a token does not begin or end within a longer word.
func (s *search) bounded(at span) bool {
	if at.end < len(s.text) && at.end > at.start && isWord(s.text[at.end-1]) && isWord(s.text[at.end]) {
		return false
	}
	return s.begins(at.start)
}

// begins tells whether a token may begin here: \n, \t and %3D in front are no part of a word.
func (s *search) begins(start int) bool {
	switch {
	case start == 0 || start >= len(s.text) || !isWord(s.text[start]) || !isWord(s.text[start-1]):
		return true
	case start > 1 && s.text[start-2] == '\\' && strings.IndexByte("nrt", s.text[start-1]) >= 0:
		return true
	}
	return start > 2 && s.text[start-3] == '%' && isHex(string(s.text[start-2:start]))
}

func isWord(c byte) bool { return isAlnum(c) || c == '_' }

// judge keeps a secret of a shape, or notes that the place holds none.
func (s *search) judge(r *Rule, at span, secret string) {
	if isDocumented(secret) || isTokenPlaceholder(secret) || isReference(secret) || r.entropy > 0 && entropy(secret) < r.entropy {
		s.vetoes = append(s.vetoes, at)
		return
	}
	if s.signsURL(at.start) {
		s.vetoes = append(s.vetoes, at)
		return
	}
	h := hit{rule: r, start: at.start, end: at.end, secret: secret, verdict: likely, depth: s.depth}
	if r.check != nil {
		h.verdict, h.evidence = r.check(secret)
		if h.verdict == never {
			s.vetoes = append(s.vetoes, at)
			return
		}
	}
	if s.g.test && len(r.names) > 0 {
		h.verdict = doubtful
		h.evidence = strings.TrimPrefix(h.evidence+", in a test", ", ")
	}
	s.hits = append(s.hits, h)
}

// signsURL tells what a signed link carries for everybody to see: the id of the
// key that signed it, and the pass to one picture for some minutes.
func (s *search) signsURL(start int) bool {
	before := string(s.text[max(0, start-300):start])
	link := before[strings.LastIndexAny(before, " \t\n\"'")+1:]
	return strings.HasSuffix(link, "X-Amz-Credential=") || strings.HasSuffix(link, "AWSAccessKeyId=") && strings.Contains(link, "?") ||
		strings.Contains(link, "private-user-images.") && strings.HasSuffix(link, "jwt=")
}

// isTokenPlaceholder is isPlaceholder for values whose shape is known: only what no generator of tokens makes.
func isTokenPlaceholder(s string) bool {
	low := strings.ToLower(s)
	for _, word := range []string{"xxxx", "****", "....", "placeholder", "your_", "your-", "yourtoken", "example", "changeme", "redacted", "_here", "-here", "tokenhere"} {
		if strings.Contains(low, word) {
			return true
		}
	}
	body := s
	if i := strings.LastIndexAny(s[:min(len(s), 16)], "_-~."); i >= 0 && len(s)-i > 8 {
		body = s[i+1:]
	}
	if rest := strings.TrimLeft(body, body[:min(1, len(body))]); len(rest) >= 24 && len(body)-len(rest) > 3 { // some kinds begin with a row of one letter
		body = rest
	}
	return isMonotonous(body) || hides(body)
}
