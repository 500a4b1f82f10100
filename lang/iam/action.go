package iam

import "strings"

// An action is a pattern of actions, service:Name. Both are compared without case.
type action struct {
	text    string
	service string // lower case; "" where it holds wildcards, then name is the whole pattern
	name    string // lower case
	broken  bool   // matches nothing
	all     bool   // matches everything
	at      int    // in the policy's text
}

func compileAction(text string) action {
	a := action{text: text, broken: badAction(text), all: text == "*" || text == "*:*"}
	lower := strings.ToLower(text)
	service, name, _ := strings.Cut(lower, ":")
	if strings.ContainsAny(service, "*?") {
		a.name = lower
		return a
	}
	a.service, a.name = service, name
	return a
}

// badAction tells of a text that no action is written like.
func badAction(text string) bool {
	if text == "*" {
		return false
	}
	service, name, ok := strings.Cut(text, ":")
	return !ok || !actionPart(service) || !actionPart(name)
}

func actionPart(text string) bool {
	for i := range len(text) {
		c := text[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("*?-_.", c) >= 0) {
			return false
		}
	}
	return text != ""
}

func (a *action) match(q *query) bool {
	switch {
	case a.broken:
		return false
	case a.all:
		return true
	case a.service == "":
		return matchFold(a.name, q.request.Action)
	}
	return a.service == q.service && matchFold(a.name, q.name)
}

// matchFold tells whether the whole text is what a pattern in lower case says,
// without case. Actions are ASCII, so bytes are characters.
func matchFold(pattern, text string) bool {
	i, t := 0, 0
	back, backText := -1, 0
	for t < len(text) {
		c := text[t]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		switch {
		case i < len(pattern) && pattern[i] == '*':
			if i == len(pattern)-1 {
				return true
			}
			back, backText = i, t
			i++
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == c):
			i++
			t++
		case back >= 0:
			backText++
			i, t = back+1, backText
		default:
			return false
		}
	}
	for i < len(pattern) && pattern[i] == '*' {
		i++
	}
	return i == len(pattern)
}
