package secret

import (
	"bytes"
	"strings"
)

// lexURL reads the user and password of the URL whose "://" ends at after.
func lexURL(text []byte, after int) (p pair, ok bool) {
	const longest = 512
	rest := text[after:min(len(text), after+longest)]
	end := bytes.IndexAny(rest, " \t\r\n\"'`<>/?#|")
	if end < 0 {
		end = len(rest)
	}
	at := bytes.LastIndexByte(rest[:end], '@')
	if at < 0 { // a password may hold what should have been escaped
		if end = bytes.IndexAny(rest, " \t\r\n\"'`<>/|"); end < 0 {
			end = len(rest)
		}
		at = bytes.LastIndexByte(rest[:end], '@')
	}
	if at <= 0 {
		return pair{}, false
	}
	colon := bytes.IndexByte(rest[:at], ':')
	if colon < 0 || colon == at-1 {
		return pair{}, false
	}
	p.name, p.start, p.end = string(rest[:colon]), after+colon+1, after+at
	p.value = unpercent(string(text[p.start:p.end]))
	return p, urlPassword(p.name, p.value, string(rest[at+1:end]))
}

func urlPassword(user, v, host string) bool {
	switch {
	case len(v) < 5 || v == user || meaningless(v) || isReference(user):
		return false
	case strings.ContainsAny(v, "[]{}()\\^*,;$") && !passwordLike(v), strings.HasSuffix(host, "example.com"), strings.HasSuffix(host, "example.org"):
		return false
	}
	lower, upper, digit, other := kinds(v)
	plain := digit == 0 && other == 0 && (lower == 0 || upper == 0 || wordlike(v))
	return !plain && (passwordLike(v) || tokenLike(v) || isHash(v))
}
