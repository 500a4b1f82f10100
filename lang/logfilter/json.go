package logfilter

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// JSON is gone through as bytes, without allocation: an event is checked once, and what selectors point at is found
// in it by going over the rest.

func unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, raw) // it is valid
	return text
}

// find takes what steps lead to in valid JSON to take, until take says yes.
func find(raw []byte, steps []step, take func([]byte) bool) bool {
	if len(steps) == 0 {
		return take(raw)
	}
	s := &steps[0]
	closing := byte('}')
	switch {
	case raw[0] == '[' && (s.array || s.any):
		closing = ']'
	case raw[0] == '{' && !s.array:
	default:
		return false
	}
	var last []byte // of members of one name, the last counts
	at := skipSpace(raw, 1)
	for n := 0; raw[at] != closing; n++ {
		named := true
		if closing == '}' {
			end := skipString(raw, at)
			named = s.any || isName(raw[at:end], s.name)
			at = skipSpace(raw, skipSpace(raw, end)+1) // over the colon
		}
		end := skipValue(raw, at)
		switch {
		case s.any:
			if find(raw[at:end], steps[1:], take) {
				return true
			}
		case s.array && n == s.index:
			return find(raw[at:end], steps[1:], take)
		case named && !s.array:
			last = raw[at:end]
		}
		if at = skipSpace(raw, end); raw[at] == ',' {
			at = skipSpace(raw, at+1)
		}
	}
	return last != nil && find(last, steps[1:], take)
}

func isName(raw []byte, name string) bool { return string(unquote(raw)) == name }

func skipSpace(raw []byte, at int) int {
	for isSpace(raw[at]) {
		at++
	}
	return at
}

func skipString(raw []byte, at int) int {
	for at++; raw[at] != '"'; at++ {
		if raw[at] == '\\' {
			at++
		}
	}
	return at + 1
}

func skipValue(raw []byte, at int) int {
	for depth := 0; ; {
		switch raw[at] {
		case '"':
			at = skipString(raw, at)
		case '{', '[':
			depth++
			at++
			continue
		case '}', ']':
			depth--
			at++
		case ',', ':', ' ', '\t', '\n', '\r':
			at++
			continue // within something
		default:
			for at < len(raw) && strings.IndexByte(",]}: \t\r\n", raw[at]) < 0 {
				at++
			}
		}
		if depth == 0 {
			return at
		}
	}
}
