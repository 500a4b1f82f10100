package secret

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// engine runs all rules over a text: one automaton tells where a rule may
// apply, the rule looks at the window there.
type engine struct {
	words   *automaton
	lengths []int      // of the words
	actions [][]action // by word
	lexed   map[string]*Rule
	named   []*Rule // rules over names and values
	names   *vocabulary
	base64  [256]bool
}

// action is what to do where a word stands.
type action struct {
	rule *Rule // match its pattern
	do   func(*search, int, int)
}

// lexers are the names by which rules ask for what is written by hand.
func lexers() []string {
	return []string{"password", "token", "authorization", "url", "pem", "kubernetes", "crypt"}
}

// hit is a secret at a place.
type hit struct {
	rule       *Rule
	start, end int // in the file
	secret     string
	evidence   string
	verdict    verdict
	depth      int // how often it was decoded
}

func newEngine(rules []*Rule) (*engine, error) {
	e := &engine{lexed: map[string]*Rule{}, names: newVocabulary(), base64: base64Table()}
	b := builder{index: map[string]int{}}
	for _, r := range rules {
		switch {
		case r.lexer != "":
			if e.lexed[r.lexer] != nil {
				return nil, fmt.Errorf("rules %s and %s: two rules for the lexer %q", e.lexed[r.lexer].ID, r.ID, r.lexer)
			}
			e.lexed[r.lexer] = r
		case len(r.names) > 0:
			e.named = append(e.named, r)
			b.add((*search).pair, r.keywords...)
		default:
			for _, k := range r.keywords {
				b.word(k, action{rule: r})
			}
		}
	}
	e.addLexers(&b)
	e.words, e.lengths, e.actions = build(b.words), make([]int, len(b.words)), b.actions
	for i, w := range b.words {
		e.lengths[i] = len(w)
	}
	return e, nil
}

// addLexers says which words call which lexer.
func (e *engine) addLexers(b *builder) {
	if e.lexed["password"] != nil || e.lexed["token"] != nil {
		b.add((*search).pair, "passw", "pwd", "passphrase", "passcode", "_pass", "secret", "token", "key", "credential", "비밀번호", "암호")
	}
	if e.lexed["authorization"] != nil {
		b.add((*search).authorization, "authorization", "bearer ")
	}
	if e.lexed["url"] != nil {
		b.add((*search).url, "://")
	}
	if e.lexed["pem"] != nil {
		b.add((*search).pem, "-----begin")
	}
	if e.lexed["kubernetes"] != nil {
		b.add((*search).kubernetes, "kind: secret", `kind: "secret`, "kind: 'secret")
	}
	if e.lexed["crypt"] != nil {
		b.add((*search).crypt, "$1$", "$5$", "$6$", "$2a$", "$2b$", "$2y$", "$y$", "$gy$", "$md5", "$apr1$", "$argon2")
	}
	b.add((*search).concat, `" + "`, `' + '`, `" . "`, `' . '`)
}

// builder collects words and what they call for.
type builder struct {
	words   []string
	actions [][]action
	index   map[string]int
}

func (b *builder) word(w string, a action) {
	i, ok := b.index[w]
	if !ok {
		i = len(b.words)
		b.index[w] = i
		b.words, b.actions = append(b.words, w), append(b.actions, nil)
	}
	b.actions[i] = append(b.actions[i], a)
}

func (b *builder) add(do func(*search, int, int), words ...string) {
	for _, w := range words {
		b.word(w, action{do: do})
	}
}

// search is one text being looked through: the file, or what a part of it decodes to.
type search struct {
	*engine
	path  string
	text  []byte
	g     genre
	depth int
	name  string // that the decoded part was given

	hits   []hit
	vetoes []span // what looked like a secret of a kind, and is none
	pairTo int    // where the last pair that was read ends
	once   bool   // the lexer of Kubernetes' Secrets has run
	limit  *limit
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

// kept reads a file that is named for keeping a secret: a line of it is one.
func (s *search) kept() {
	const longest = 4096 // such a file holds little else
	if len(s.text) > longest || s.lexed["token"] == nil {
		return
	}
	switch strings.ToLower(path.Ext(s.path)) {
	case ".password", ".passwd", ".secret", ".token", ".apikey", ".passphrase":
	default:
		return
	}
	at := 0
	for line := range bytes.Lines(s.text) {
		if v := strings.TrimSpace(string(line)); forPassword.plausible(v) {
			start := at + bytes.Index(line, []byte(v))
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
	for _, h := range inner.settle() {
		h.start, h.end = start, end
		s.hits = append(s.hits, h)
	}
	for range inner.vetoes {
		s.vetoes = append(s.vetoes, span{start, end})
		break
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

// pair reads the name and value here, for the rules over names.
func (s *search) pair(start, end int) {
	if start < s.pairTo {
		return
	}
	p, ok := lexPair(s.text, start, end, s.g)
	if !p.quoted || p.end-p.start > 512 {
		s.pairTo = max(s.pairTo, p.end) // no names within a value: hostile text would be read again and again
	}
	if !ok {
		return
	}
	s.assigned(p)
	if p.quoted && p.end-p.start != len(p.value) { // joined or escaped: its own rules have not seen it whole
		s.nested(p.start, p.end, []byte(p.value), "")
	}
}

// assigned tries the rules over names.
func (s *search) assigned(p pair) {
	for _, r := range s.named {
		if nameOf(p.name, r.names) && r.pattern().MatchString(p.value) && !isReference(p.value) && !isPlaceholder(p.value) {
			s.judge(r, span{p.start, p.end}, p.value)
		}
	}
	s.generic(p)
}

// nameOf tells whether the letters and digits of name hold one of names.
func nameOf(name string, names []string) bool {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; isAlnum(c) {
			b.WriteByte(c | 0x20) // digits have that bit already
		}
	}
	plain := b.String()
	return slices.ContainsFunc(names, func(n string) bool { return strings.Contains(plain, n) })
}

func (s *search) generic(p pair) {
	if s.g.made {
		return
	}
	meant := s.names.purposeOf(p.name)
	lexer := "token"
	if meant == forPassword {
		lexer = "password"
	}
	if s.lexed[lexer] != nil && meant != nothing && meant.plausible(p.value) {
		s.generically(lexer, p, likely, "the value of "+p.name)
	}
}

// generically keeps what a lexer found; in a test it is most likely made up.
func (s *search) generically(lexer string, p pair, v verdict, evidence string) {
	if s.g.test {
		v = doubtful
		evidence += ", in a test"
	}
	s.hits = append(s.hits, hit{rule: s.lexed[lexer], start: p.start, end: p.end, secret: p.value, verdict: v, evidence: evidence, depth: s.depth})
}

// authorization reads a header with credentials.
func (s *search) authorization(start, end int) {
	c := cursor{text: s.text, at: end}
	if !strings.HasSuffix(strings.ToLower(string(s.text[start:end])), "bearer ") {
		c.skip("\\\"'`]", 4)
		c.skip(" \t", 4)
		if c.skip(":=,", 2) == 0 {
			return
		}
		c.skip(" \t", 4)
		if c.skip("\\\"'`", 3) == 0 && s.g.code && end < len(s.text) && s.text[end] != ':' {
			return // an expression
		}
		for _, scheme := range []string{"Bearer ", "bearer ", "Basic ", "basic ", "Token ", "token ", "ApiKey ", "apikey ", "Splunk "} {
			if c.has(scheme) {
				c.at += len(scheme)
				if strings.EqualFold(scheme, "Basic ") {
					s.basic(c)
					return
				}
				break
			}
		}
	}
	p := pair{name: "authorization"}
	c.skip(" ", 4)
	if !c.bare(&p) || s.g.made {
		return
	}
	for _, scheme := range []string{"AWS4-", "Digest", "Negotiate", "NTLM", "OAuth", "HMAC"} { // what follows is no secret but an answer
		if strings.HasPrefix(p.value, scheme) {
			return
		}
	}
	if v := p.value; tokenLike(v) || passwordLike(v) && !wordlike(v) && !isCode(v) {
		s.generically("authorization", p, likely, "credentials in a header")
	}
}

func (s *search) basic(c cursor) {
	var p pair
	if !c.bare(&p) {
		return
	}
	if v, evidence := basicAuth(p.value); v == proven {
		s.generically("authorization", p, v, "password "+evidence)
	}
}

func (s *search) url(_, end int) {
	if p, ok := lexURL(s.text, end); ok {
		s.generically("url", p, likely, "password of user "+mask(p.name))
	}
}

func (s *search) pem(start, _ int) {
	b, ok := lexPEM(s.text, start)
	if !ok || isMadeUpKey(s.path, s.text, start) {
		return
	}
	s.generically("pem", pair{start: b.start, end: b.end, value: b.body}, proven, b.evidence)
}

// isMadeUpKey: the file's name, the variable or a comment above says that the key protects nothing.
func isMadeUpKey(path string, text []byte, start int) bool {
	base := strings.ToLower(path[strings.LastIndexByte(path, '/')+1:])
	for _, part := range []string{"dummy", "stub", "fake", "example", "sample", "snakeoil"} {
		if strings.Contains(base, part) {
			return true
		}
	}
	before := strings.ToLower(string(text[max(0, start-160):start]))
	line := before[strings.LastIndexByte(before, '\n')+1:]
	for _, part := range []string{"dummy", "stub", "fake", "mock", "example", "testkey", "test_key"} {
		if strings.Contains(line, part) {
			return true
		}
	}
	return strings.Contains(before, "example purposes") || strings.Contains(before, "testing purposes") || strings.Contains(before, "test purposes")
}

func (s *search) kubernetes(_, _ int) {
	if s.once {
		return
	}
	s.once = true
	for _, p := range lexSecrets(s.text) {
		s.generically("kubernetes", p, likely, "the value of "+p.name)
	}
}

// crypt reads a password's hash where one is stored: alone on a line, or after a user's name.
func (s *search) crypt(start, end int) {
	c := cursor{text: s.text, at: start}
	var p pair
	if !c.bare(&p) || s.g.code || s.g.test || s.g.prose {
		return
	}
	value, _, _ := strings.Cut(p.value, ":")
	if len(value) < 24 || strings.Count(value, "$") < 3 || isMonotonous(value[strings.LastIndexByte(value, '$')+1:]) {
		return
	}
	lineStart := bytes.LastIndexByte(s.text[:start], '\n') + 1
	before := strings.TrimSpace(string(s.text[lineStart:start]))
	user, ok := strings.CutSuffix(before, ":")
	if before != "" && (!ok || strings.ContainsAny(user, " \t\"'<")) {
		return
	}
	s.generically("crypt", pair{start: start, end: start + len(value), value: value}, likely, "a stored password's hash")
}

// concat reads a literal that is joined from pieces; what stands between quotes is looked through as one.
func (s *search) concat(start, _ int) {
	quote := string(s.text[start : start+1])
	from := start - 1
	for from >= 0 && start-from < 512 && s.text[from] != quote[0] && s.text[from] != '\n' {
		from--
	}
	if from < 0 || s.text[from] != quote[0] || from < s.pairTo {
		return
	}
	c, p := cursor{text: s.text, at: from}, pair{}
	if c.quotedValue(&p, quote) {
		s.pairTo = p.end
		s.nested(p.start, p.end, []byte(p.value), "")
	}
}

// settle keeps the surest of hits that overlap, and none where a veto lies unless it is as sure.
func (s *search) settle() []hit {
	slices.SortStableFunc(s.hits, func(a, b hit) int {
		return cmp.Or(b.rule.rank-a.rule.rank, int(b.verdict)-int(a.verdict), a.start-b.start, b.end-a.end)
	})
	var kept []hit
	taken, vetoed := intervals{}, merged(s.vetoes)
	for _, h := range s.hits {
		if h.rule.rank == rankGeneric && h.rule.lexer != "pem" && vetoed.overlap(h.start, h.end) {
			continue
		}
		if taken.overlap(h.start, h.end) {
			continue
		}
		taken.add(h.start, h.end)
		kept = append(kept, h)
	}
	slices.SortFunc(kept, func(a, b hit) int { return cmp.Or(a.start-b.start, a.end-b.end) })
	return kept
}

// merged is spans made disjoint.
func merged(spans []span) intervals {
	slices.SortFunc(spans, func(a, b span) int { return a.start - b.start })
	var in intervals
	for _, v := range spans {
		if last := len(in) - 1; last >= 0 && v.start <= in[last].end {
			in[last].end = max(in[last].end, v.end)
		} else {
			in = append(in, v)
		}
	}
	return in
}

// intervals are disjoint, in order.
type intervals []span

func (in *intervals) find(start int) int {
	i, _ := slices.BinarySearchFunc(*in, start, func(s span, start int) int { return s.end - start - 1 })
	return i // the first that ends after start
}

func (in *intervals) overlap(start, end int) bool {
	i := in.find(start)
	return i < len(*in) && (*in)[i].start < end
}

func (in *intervals) add(start, end int) {
	*in = slices.Insert(*in, in.find(start), span{start, end})
}
