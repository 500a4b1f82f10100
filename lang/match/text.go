package match

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// fold is the same for letters that differ in case only: the least of those
// that Unicode's simple folding takes for one. So ß is not SS.
func fold(r rune) rune {
	if r < utf8.RuneSelf {
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}

// appendFold appends text folded.
func appendFold(b, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		b, text = utf8.AppendRune(b, fold(r)), text[n:]
	}
	return b
}

// hasFoldPrefix tells whether text, once folded, begins with prefix, and what is left of it.
func hasFoldPrefix(text []byte, prefix string) (rest []byte, ok bool) {
	for len(prefix) > 0 {
		want, k := utf8.DecodeRuneInString(prefix)
		got, n := utf8.DecodeRune(text)
		if n == 0 || fold(got) != want {
			return nil, false
		}
		prefix, text = prefix[k:], text[n:]
	}
	return text, true
}

// hasFoldSuffix tells whether text, once folded, ends in suffix.
func hasFoldSuffix(text []byte, suffix string) bool {
	for len(suffix) > 0 {
		want, k := utf8.DecodeLastRuneInString(suffix)
		got, n := utf8.DecodeLastRune(text)
		if n == 0 || fold(got) != want {
			return false
		}
		suffix, text = suffix[:len(suffix)-k], text[:len(text)-n]
	}
	return true
}

// wildcard splits a wildcard at its stars and unescapes what lies between:
// `a*b\*` is "a" and "b*". Or it says what is wrong, with a hint.
func wildcard(text string) (pieces [][]byte, wrong, hint string) {
	piece := []byte{}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '*' && len(piece) == 0 && len(pieces) > 0:
			return nil, "consecutive wildcards", "one * stands for any number of characters"
		case text[i] == '*':
			pieces, piece = append(pieces, piece), []byte{}
		case text[i] != '\\':
			piece = append(piece, text[i])
		case i+1 < len(text) && (text[i+1] == '*' || text[i+1] == '\\'):
			i++
			piece = append(piece, text[i])
		default:
			return nil, "a backslash that escapes nothing", `only \* and \\ are escapes; JSON doubles each backslash again`
		}
	}
	return append(pieces, piece), "", ""
}

// like tells whether text is the pieces in their order with anything between them.
func like(text []byte, pieces [][]byte) bool {
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(pieces) == 1 {
		return bytes.Equal(text, first)
	}
	if len(text) < len(first)+len(last) || !bytes.HasPrefix(text, first) || !bytes.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, piece := range pieces[1 : len(pieces)-1] {
		at := bytes.Index(text, piece)
		if at < 0 {
			return false
		}
		text = text[at+len(piece):]
	}
	return true
}
