package iam

import (
	"strings"
	"unicode/utf8"
)

// A glob is a text with * and ?, and with the variables of policies. Its
// pieces are literal characters and the two wildcards; a variable stands as
// one piece until its value is known.
type glob struct {
	pieces    []rune
	variables []variable // in the order of their pieces; nil where there is none
}

// Pieces that are no characters.
const (
	star     rune = -1
	question rune = -2
	hole     rune = -3 // a variable
)

type variable struct {
	key      string // lower case
	fallback string
	has      bool // a fallback
}

func compileGlob(text string, variables bool) glob {
	var g glob
	for i := 0; i < len(text); {
		if variables && strings.HasPrefix(text[i:], "${") {
			if end := strings.IndexByte(text[i:], '}'); end > 0 {
				g.add(text[i+2 : i+end])
				i += end + 1
				continue
			}
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		switch r {
		case '*':
			r = star
		case '?':
			r = question
		}
		g.pieces = append(g.pieces, r)
		i += size
	}
	return g
}

// add takes what stands between ${ and }.
func (g *glob) add(inner string) {
	switch inner {
	case "*", "?", "$":
		g.pieces = append(g.pieces, rune(inner[0]))
		return
	}
	v := parseVariable(inner)
	g.pieces = append(g.pieces, hole)
	g.variables = append(g.variables, v)
}

func parseVariable(inner string) variable {
	key, fallback, has := strings.Cut(inner, ",")
	fallback = strings.TrimSpace(fallback)
	fallback = strings.TrimSuffix(strings.TrimPrefix(fallback, "'"), "'")
	return variable{key: strings.ToLower(strings.TrimSpace(key)), fallback: fallback, has: has}
}

// badVariable says what is wrong with the variables of a text, or "".
func badVariable(text string) string {
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			return ""
		}
		text = text[i+2:]
		end := strings.IndexByte(text, '}')
		if end < 0 {
			return "a variable does not end"
		}
		inner := text[:end]
		key, fallback, has := strings.Cut(inner, ",")
		fallback = strings.TrimSpace(fallback)
		quoted := len(fallback) >= 2 && fallback[0] == '\'' && fallback[len(fallback)-1] == '\''
		if key = strings.TrimSpace(key); inner != "*" && inner != "?" && inner != "$" && (key == "" || strings.ContainsAny(key, "${*?' ") || has && !quoted) {
			return "this is no variable"
		}
		text = text[end+1:]
	}
}

// filled is the glob with its variables' values as plain characters. A key
// that is missing, or has several values, fills nothing: then nothing matches.
func (g glob) filled(context map[string][]string) ([]rune, bool) {
	if g.variables == nil {
		return g.pieces, true
	}
	filled := make([]rune, 0, len(g.pieces)+32)
	next := 0
	for _, piece := range g.pieces {
		if piece != hole {
			filled = append(filled, piece)
			continue
		}
		v := g.variables[next]
		next++
		values := lookup(context, v.key)
		switch {
		case len(values) == 1:
			filled = append(filled, []rune(values[0])...)
		case len(values) == 0 && v.has:
			filled = append(filled, []rune(v.fallback)...)
		default:
			return nil, false
		}
	}
	return filled, true
}

// match tells whether the whole text is what the pieces say. It takes time in
// proportion to both lengths multiplied, and no memory.
func match(pieces []rune, text string) bool {
	i, t := 0, 0
	back, backText := -1, 0
	for t < len(text) {
		r, size := utf8.DecodeRuneInString(text[t:])
		switch {
		case i < len(pieces) && pieces[i] == star:
			back, backText = i, t
			i++
		case i < len(pieces) && (pieces[i] == question || pieces[i] == r):
			i++
			t += size
		case back >= 0:
			_, size := utf8.DecodeRuneInString(text[backText:])
			backText += size
			i, t = back+1, backText
		default:
			return false
		}
	}
	for i < len(pieces) && pieces[i] == star {
		i++
	}
	return i == len(pieces)
}

// An arn is a pattern of ARNs: six parts that are matched one by one, so that
// a * never spans a colon but in the last.
type arn struct {
	parts []glob
	all   bool // only stars: matches what is no ARN too
}

const arnParts = 6

func compileARN(text string, variables bool) arn {
	a := arn{all: strings.Trim(text, "*") == "" && text != ""}
	for _, part := range splitARN(text, variables) {
		a.parts = append(a.parts, compileGlob(part, variables))
	}
	return a
}

// splitARN splits at the first five colons that stand in no variable.
func splitARN(text string, variables bool) []string {
	var parts []string
	from := 0
	inside := false
	for i := 0; i < len(text) && len(parts) < arnParts-1; i++ {
		switch {
		case variables && strings.HasPrefix(text[i:], "${"):
			inside = true
		case inside && text[i] == '}':
			inside = false
		case !inside && text[i] == ':':
			parts = append(parts, text[from:i])
			from = i + 1
		}
	}
	return append(parts, text[from:])
}

// matchResource tells whether the pattern covers a resource. A pattern with
// fewer parts is filled up with stars; * as a resource is covered by * alone.
func (a arn) matchResource(resource string, context map[string][]string) bool {
	if a.all {
		return true
	}
	if resource == "*" {
		return false
	}
	return a.match(resource, context) == yes
}

// match holds an ARN against the pattern, part by part.
func (a arn) match(text string, context map[string][]string) answer {
	for i := range arnParts {
		part := text
		if i < arnParts-1 {
			var ok bool
			if part, text, ok = strings.Cut(text, ":"); !ok {
				return unclear
			}
		}
		if i >= len(a.parts) {
			continue
		}
		pieces, ok := a.parts[i].filled(context)
		if !ok {
			return unclear
		}
		if !match(pieces, part) {
			return no
		}
	}
	return yes
}
