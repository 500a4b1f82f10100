package secret

import (
	"encoding/hex"
	"strings"
)

// pair reads the name and value here, for the rules over names.
func (s *search) pair(start, end int) {
	if start < s.pairTo {
		return
	}
	p, ok := lexPair(s.text, start, end, s.g)
	if ok && !p.quoted || !p.spaced && !p.quoted || p.end-p.start > 512 {
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
	if rules := s.named.of(p.name); len(rules) > 0 && !isReference(p.value) && !isPlaceholder(p.value) {
		meant := s.names.purposeOf(p.name)
		for _, r := range rules {
			if (!r.says || meant != nothing) && r.pattern().MatchString(p.value) {
				s.judge(r, span{p.start, p.end}, p.value)
			}
		}
	}
	s.generic(p)
	if raw, err := hex.DecodeString(p.value); err == nil && len(raw) >= 6 && printable(raw) {
		s.nested(p.start, p.end, raw, p.name)
	}
}

func (s *search) generic(p pair) {
	if s.g.made || p.name == "PASS" && !p.quoted && p.start > 1 && s.text[p.start-1] == ' ' && s.text[p.start-2] == ':' { // --- PASS: TestOfGo
		return
	}
	if low := strings.ToLower(p.name); (strings.HasSuffix(low, "auth") || strings.HasSuffix(low, "basic")) && s.lexed["authorization"] != nil {
		if v, evidence := basicAuth(p.value); v == proven {
			s.generically("authorization", p, v, "password "+evidence)
			return
		}
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
	if !c.bare(&p) || isDocumented(p.value) {
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

// command reads the passwords of a command line.
func (s *search) command(start, end int, c command) {
	if start > 0 && isWord(s.text[start-1]) || start < s.lineTo {
		return
	}
	found, to := lexCommand(s.text, start, end, c)
	s.lineTo = max(s.lineTo, to) // each word of a line once
	for _, p := range found {
		if isCommandPassword(p.value) {
			s.generically("command", p, likely, "on the command line of "+strings.TrimSpace(string(s.text[start:end])))
		}
	}
}

// call reads the password that a function is given.
func (s *search) call(_, end, n int) {
	if p, ok := lexCall(s.text, end, n); ok && isCommandPassword(p.value) {
		s.generically("command", p, likely, "an argument that is a password")
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
	p := pair{query: true} // no field of a connection string
	if !c.bare(&p) || s.g.code || s.g.test || s.g.prose {
		return
	}
	value, _, _ := strings.Cut(p.value, ":")
	if len(value) < 24 || strings.Count(value, "$") < 3 || isMonotonous(value[strings.LastIndexByte(value, '$')+1:]) {
		return
	}
	before := strings.TrimSpace(string(s.text[lineStart(s.text, start, 1000):start]))
	user, ok := strings.CutSuffix(before, ":")
	if before != "" && (!ok || strings.ContainsAny(user, " \t\"'<")) {
		return
	}
	s.generically("crypt", pair{start: start, end: start + len(value), value: value}, likely, "a stored password's hash")
}

// escaped looks through what a URL escapes: its value as it is meant.
func (s *search) escaped(start, end int) {
	const longest = 4096
	if start < s.escapedTo {
		return
	}
	from, to := start, end
	for from > 0 && start-from < longest && !endsEscaped(s.text[from-1]) {
		from--
	}
	for to < len(s.text) && to-end < longest && !endsEscaped(s.text[to]) {
		to++
	}
	s.escapedTo = to
	if plain := unpercent(string(s.text[from:to])); to-from >= shortestRun && plain != string(s.text[from:to]) && !s.signsURL(from) {
		name := s.nameBefore(from)
		s.nested(from, to, []byte(plain), name)
	}
}

func endsEscaped(c byte) bool {
	return c <= ' ' || c >= 0x7f || strings.IndexByte("\"'`<>&?#=,;()[]{}", c) >= 0
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
