package iam

import (
	"strings"
	"unicode/utf8"
)

// A glob is a text with * and ?, and with the variables of policies. What most
// policies hold (no wildcard, or one at the end) is told apart when compiling,
// so that it is compared and not searched. Else its pieces are characters and
// the two wildcards; a variable stands as one piece until its value is known.
type glob struct {
	shape     shape
	text      string // of exact and prefix
	pieces    []rune // of the others
	variables []variable
}

type shape int

const (
	searched shape = iota // by its pieces
	exact
	prefix // a text and then a *
	anything
)

// Pieces that are no characters.
const (
	star     rune = -1
	question rune = -2
	hole     rune = -3 // a variable
)

// room is how many pieces a glob with variables fills without a look at the heap.
const room = 160

type variable struct {
	key      string // lower case
	fallback string
	has      bool // a fallback
}

func compileGlob(text string, variables bool) glob {
	if !variables || !strings.Contains(text, "${") {
		if g, ok := plainGlob(text); ok {
			return g
		}
	}
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
		if r != star || len(g.pieces) == 0 || g.pieces[len(g.pieces)-1] != star {
			g.pieces = append(g.pieces, r)
		}
		i += size
	}
	return g
}

// plainGlob is the glob of a text that needs no search.
func plainGlob(text string) (glob, bool) {
	body := strings.TrimRight(text, "*")
	switch {
	case strings.ContainsAny(body, "*?"):
		return glob{}, false
	case len(body) == len(text):
		return glob{shape: exact, text: text}, true
	case body == "":
		return glob{shape: anything}, true
	}
	return glob{shape: prefix, text: body}, true
}

// add takes what stands between ${ and }.
func (g *glob) add(inner string) {
	switch inner {
	case "*", "?", "$":
		g.pieces = append(g.pieces, rune(inner[0]))
		return
	}
	g.pieces = append(g.pieces, hole)
	g.variables = append(g.variables, parseVariable(inner))
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

// value is what a variable stands for. A key that is missing, or has several
// values, stands for nothing: then nothing matches.
func (v variable) value(context map[string][]string) (string, bool) {
	switch values := lookup(context, v.key); {
	case len(values) == 1:
		return values[0], true
	case len(values) == 0 && v.has:
		return v.fallback, true
	}
	return "", false
}

// fill appends the pieces with the variables' values as plain characters.
func (g *glob) fill(filled []rune, context map[string][]string) ([]rune, bool) {
	next := 0
	for _, piece := range g.pieces {
		if piece != hole {
			filled = append(filled, piece)
			continue
		}
		text, ok := g.variables[next].value(context)
		if !ok {
			return nil, false
		}
		next++
		for _, r := range text {
			filled = append(filled, r)
		}
	}
	return filled, true
}

// match tells whether the whole text is what the glob says, or that it is
// unclear, for want of a variable.
func (g *glob) match(text string, context map[string][]string) answer {
	switch {
	case g.shape == anything:
		return yes
	case g.shape == exact:
		return is(text == g.text)
	case g.shape == prefix:
		return is(strings.HasPrefix(text, g.text))
	case g.variables == nil:
		return is(match(g.pieces, text))
	}
	var space [room]rune
	pieces, ok := g.fill(space[:0], context)
	if !ok {
		return unclear
	}
	return is(match(pieces, text))
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

// all are the glob's pieces, whatever its shape; a variable without value is a
// hole, and without a context every one is.
func (g *glob) all(context map[string][]string) []rune {
	switch g.shape {
	case anything:
		return []rune{star}
	case exact:
		return []rune(g.text)
	case prefix:
		return append([]rune(g.text), star)
	}
	if context == nil {
		return g.pieces
	}
	if filled, ok := g.fill(nil, context); ok {
		return filled
	}
	return g.pieces
}
