package logfilter

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

// term is one word, phrase or expression that an event has, or has not.
type term struct {
	kind byte // '?' one of those is enough, '-' it must not be there, 0 it must
	text []byte
	re   *regexp.Regexp
}

func (t *term) in(event []byte) bool {
	if t.re != nil {
		return t.re.Match(event)
	}
	return bytes.Contains(event, t.text)
}

const quoteIt = `what holds other characters than letters, digits and _ stands between quotation marks: "like this"`

// terms reads a pattern that is neither about fields nor about JSON.
func (p *parser) terms() (all []term, err *diag.Error) {
	for p.space(); p.at < len(p.text); p.space() {
		var t term
		if c := p.peek(); c == '?' || c == '-' {
			t.kind = c
			p.at++
		}
		var text string
		switch c := p.peek(); {
		case c == '"':
			if text, err = p.quoted(); strings.TrimSpace(text) == "" && t.kind == 0 && err == nil {
				continue // it is in everything
			}
		case c == '%':
			t.re, err = p.regex()
		case p.at < len(p.text) && isWord(c):
			text = p.run(isWord)
		default:
			err = p.strange(quoteIt)
		}
		if err != nil {
			return nil, err
		}
		if p.at < len(p.text) && !isSpace(p.peek()) {
			return nil, p.strange(quoteIt)
		}
		t.text = []byte(text)
		all = append(all, t)
	}
	// Beside terms that must or must not be there, those of which one would be enough do not count.
	if slices.ContainsFunc(all, func(t term) bool { return t.kind != '?' }) {
		all = slices.DeleteFunc(all, func(t term) bool { return t.kind == '?' })
	}
	return all, nil
}

func matchTerms(all []term, event []byte) bool {
	optional := false
	for i := range all {
		switch t := &all[i]; t.kind {
		case '?':
			if t.in(event) {
				return true
			}
			optional = true
		default:
			if t.in(event) == (t.kind == '-') {
				return false
			}
		}
	}
	return !optional
}
