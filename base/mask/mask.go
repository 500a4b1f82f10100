// Package mask hides credentials in text before it is kept.
package mask

import "strings"

// Mask stands where a credential stood.
const Mask = "****"

// Text is s without the credentials that are told by what stands around them: values of
// members and variables called password, secret, token and the like, bearer tokens, passwords in
// URLs, private keys, JSON web tokens, and tokens of a well-known form. JSON stays
// JSON. It is cheap enough for every log line; it is no scanner for secrets, which
// looks closer and names what it finds.
func Text(s string) string {
	m := masker{text: s}
	for i := 0; i < len(s); i++ {
		if !trigger[s[i]] || i < m.done {
			continue
		}
		switch s[i] {
		case ':':
			if strings.HasPrefix(s[i:], "://") {
				m.url(i + 3)
			} else {
				m.value(i)
			}
		case '=':
			m.value(i)
		case '-':
			if strings.HasPrefix(s[i:], begin) {
				m.privateKey(i)
			} else {
				m.token(i)
			}
		case '_':
			m.token(i)
		case '.':
			m.webToken(i)
		case ' ':
			m.bearer(i)
		}
	}
	if m.done == 0 {
		return s
	}
	return m.out.String() + s[m.done:]
}

var trigger = func() (t [256]bool) {
	for _, c := range ":=-_. " {
		t[c] = true
	}
	return t
}()

type masker struct {
	text string
	out  strings.Builder
	done int // up to here text is in out
}

func (m *masker) hide(from, to int) { m.replace(from, to, Mask) }

func (m *masker) replace(from, to int, by string) {
	if from < m.done || from >= to {
		return
	}
	m.out.WriteString(m.text[m.done:from])
	m.out.WriteString(by)
	m.done = to
}

// value looks at name and value on both sides of the colon or equals sign at i.
func (m *masker) value(i int) {
	end := i
	for end > 0 && m.text[end-1] == ' ' {
		end--
	}
	quote := m.quoteBefore(end)
	end -= len(quote)
	start := end
	for start > 0 && isName(m.text[start-1]) && end-start < 64 {
		start--
	}
	if start == end || !Secret(m.text[start:end]) || quote == "" && start > 0 && m.text[start-1] == ':' {
		return // the last are parts of an ARN
	}
	from := i + 1
	for from < len(m.text) && m.text[from] == ' ' {
		from++
	}
	if q := m.quoteAfter(from); q != "" {
		from += len(q)
		m.keepReference(from, m.closing(from, q))
		return
	}
	m.bare(from, quote)
}

// quoteBefore is the quote that ends at end, with the backslashes before it: JSON within JSON has such.
func (m *masker) quoteBefore(end int) string {
	if end == 0 || m.text[end-1] != '"' && m.text[end-1] != '\'' {
		return ""
	}
	start := end - 1
	for start > 0 && m.text[start-1] == '\\' {
		start--
	}
	return m.text[start:end]
}

func (m *masker) quoteAfter(start int) string {
	end := start
	for end < len(m.text) && m.text[end] == '\\' {
		end++
	}
	if end == len(m.text) || m.text[end] != '"' && m.text[end] != '\'' {
		return ""
	}
	return m.text[start : end+1]
}

// closing is where the value ends that a quote began. In JSON within JSON a quote
// has k backslashes before it, and a backslash is written as 2(k+1) of them.
func (m *masker) closing(from int, quote string) int {
	k, last := len(quote)-1, quote[len(quote)-1]
	for at := from; ; {
		i := strings.IndexByte(m.text[at:], '"')
		if last == '\'' {
			i = strings.IndexAny(m.text[at:], `'"`)
		}
		if i < 0 {
			return len(m.text)
		}
		end := at + i
		slashes := m.backslashes(from, end)
		if m.text[end] != last {
			return end - slashes // a double quote ends what a single one is in
		}
		if r := slashes % (2 * (k + 1)); r <= k {
			return end - r // the same quote, or one from further out
		}
		at = end + 1
	}
}

// backslashes is how many there are right before end.
func (m *masker) backslashes(from, end int) (n int) {
	for end-n > from && m.text[end-n-1] == '\\' {
		n++
	}
	return n
}

// bare hides a value without quotes. After a name with quotes it is JSON's number, true, false, null, list or object.
func (m *masker) bare(from int, quote string) {
	if from == len(m.text) || m.text[from] == '{' || m.text[from] == '[' {
		return
	}
	to := from
	for to < len(m.text) && strings.IndexByte(" \t\r\n,;&\"'<>)}]\\", m.text[to]) < 0 {
		to++
	}
	word := m.text[from:to]
	if quote != "" {
		if word != "null" && word != "true" && word != "false" {
			m.replace(from, to, quote+Mask+quote)
		}
		return
	}
	if isScheme(word) && to < len(m.text) && m.text[to] == ' ' {
		m.bare(to+1, "")
		return
	}
	m.keepReference(from, to)
}

func isScheme(word string) bool {
	return strings.EqualFold(word, "bearer") || strings.EqualFold(word, "basic") || strings.EqualFold(word, "token")
}

// keepReference hides a value, but not what only says where a secret is, or that there is none.
func (m *masker) keepReference(from, to int) {
	v := m.text[from:to]
	switch {
	case strings.HasPrefix(v, "arn:"), v == "HIDDEN_DUE_TO_SECURITY_REASONS", v == "null", v == "true", v == "false":
		return
	case strings.Trim(v, "*") == "":
		return
	}
	if scheme, rest, ok := strings.Cut(v, " "); ok && isScheme(scheme) {
		from = to - len(rest)
	}
	m.hide(from, to)
}

// url hides the password between "//user:" and "@".
func (m *masker) url(from int) {
	colon := -1
	for i := from; i < len(m.text); i++ {
		switch c := m.text[i]; {
		case c == ':' && colon < 0:
			colon = i
		case c == '@':
			if colon >= 0 {
				m.hide(colon+1, i)
			}
			return
		case c <= ' ', strings.IndexByte("/?#\"'<>\\,", c) >= 0:
			return
		}
	}
}

const begin, end = "-----BEGIN ", "-----END "

// privateKey hides what stands between the lines that begin and end a private key.
func (m *masker) privateKey(i int) {
	rest := m.text[i+len(begin):]
	n := strings.Index(rest[:min(len(rest), 64)], "PRIVATE KEY-----")
	if n < 0 {
		return
	}
	from := i + len(begin) + n + len("PRIVATE KEY-----")
	to := len(m.text)
	if quote := strings.IndexByte(m.text[from:], '"'); quote >= 0 {
		to = from + quote
		to -= m.backslashes(from, to)
	}
	if i := strings.Index(m.text[from:to], end); i >= 0 {
		to = from + i
	}
	m.hide(from, to)
}

// tokenPrefixes are what tokens of a well-known form begin with.
var tokenPrefixes = [...]string{
	"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "npm_", "hf_", "xoxb-", "xoxp-", "xoxa-", "xoxs-", "xapp-",
	"sk_live_", "rk_live_", "sk-ant-", "sk-proj-", "pypi-", "dop_v1_", "shpat_", "SG_",
}

const shortestToken = 16

// token hides what follows one of the prefixes, if it ends at i.
func (m *masker) token(i int) {
	for _, p := range tokenPrefixes {
		start := i + 1 - len(p)
		if p[len(p)-1] != m.text[i] || start < 0 || m.text[start] != p[0] || m.text[start:i+1] != p || start > 0 && isName(m.text[start-1]) {
			continue
		}
		to := i + 1
		for to < len(m.text) && (isName(m.text[to]) && m.text[to] != '.') {
			to++
		}
		if to-i > shortestToken {
			m.hide(i+1, to)
		}
		return
	}
}

// webToken hides header.payload.signature around the dot at i.
func (m *masker) webToken(i int) {
	if !strings.HasPrefix(m.text[i:], ".eyJ") {
		return
	}
	start := i
	for start > m.done && isName(m.text[start-1]) && m.text[start-1] != '.' {
		start--
	}
	if !strings.HasPrefix(m.text[start:], "eyJ") {
		return
	}
	to := i
	for to < len(m.text) && isName(m.text[to]) {
		to++
	}
	m.hide(start, to)
}

// bearer hides the word behind "Bearer ".
func (m *masker) bearer(i int) {
	const word = "bearer"
	if i < len(word) || !strings.EqualFold(m.text[i-len(word):i], word) {
		return
	}
	to := i + 1
	for to < len(m.text) && (isName(m.text[to]) || strings.IndexByte("+/=~", m.text[to]) >= 0) {
		to++
	}
	if to-i > 8 {
		m.hide(i+1, to)
	}
}

func isName(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
}

// secretNames are how the names of secret values end, in lower case without what joins words.
var secretNames = [...]string{
	"password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "privatekey", "secretkey", "accesskey", "secretaccesskey",
	"accountkey", "sharedkey", "signingkey", "encryptionkey", "masterkey", "authorization", "signature", "cookie", "clientsecret",
}

// plainNames end like secret ones and are not: they point, page, or make a request repeatable.
var plainNames = [...]string{"nexttoken", "continuationtoken", "pagetoken", "clienttoken", "clientrequesttoken", "idempotencytoken", "paginationtoken", "startingtoken"}

// Secret tells whether a member or variable of that name is likely to hold a secret.
func Secret(name string) bool {
	if len(name) < 3 || !mayEnd(name[len(name)-2]|0x20, name[len(name)-1]|0x20) {
		return false
	}
	var buf [64]byte
	plain := buf[:0]
	for i := range len(name) {
		if c := name[i]; c != '_' && c != '-' && c != '.' && len(plain) < len(buf) {
			if 'A' <= c && c <= 'Z' {
				c |= 0x20
			}
			plain = append(plain, c)
		}
	}
	for _, p := range plainNames {
		if strings.HasSuffix(string(plain), p) {
			return false
		}
	}
	for _, s := range secretNames {
		if strings.HasSuffix(string(plain), s) {
			return true
		}
	}
	return false
}

// mayEnd tells whether one of secretNames ends with these letters: most names are done with then.
func mayEnd(a, b byte) bool {
	switch b {
	case 'd':
		return a == 'r' || a == 'w'
	case 'e':
		return a == 's' || a == 'r' || a == 'i'
	case 't', 'y':
		return a == 'e'
	case 'n':
		return a == 'e' || a == 'o'
	}
	return false
}
