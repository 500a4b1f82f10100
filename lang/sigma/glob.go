package sigma

import (
	"strings"
	"unicode/utf8"
)

// one stands for a question mark in a pattern's pieces: no text holds this byte once it is valid UTF-8.
const one = "\xff"

// glob tells whether text is the pieces with anything between them.
func glob(pieces []string, text string) bool {
	first, last := pieces[0], pieces[len(pieces)-1]
	n, ok := prefix(first, text)
	if !ok {
		return false
	}
	text = text[n:]
	if len(pieces) == 1 {
		return text == ""
	}
	for _, piece := range pieces[1 : len(pieces)-1] {
		_, end, ok := find(piece, text)
		if !ok {
			return false
		}
		text = text[end:]
	}
	return suffix(last, text)
}

// prefix is how long the part of text is that piece stands for, if text begins with it.
func prefix(piece, text string) (n int, ok bool) {
	for len(piece) > 0 {
		if piece[0] == one[0] {
			_, size := utf8.DecodeRuneInString(text[n:])
			if size == 0 {
				return 0, false
			}
			piece, n = piece[1:], n+size
			continue
		}
		plain := piece
		if i := strings.IndexByte(piece, one[0]); i >= 0 {
			plain = piece[:i]
		}
		if !strings.HasPrefix(text[n:], plain) {
			return 0, false
		}
		piece, n = piece[len(plain):], n+len(plain)
	}
	return n, true
}

// find is where piece lies first in text.
func find(piece, text string) (start, end int, ok bool) {
	if strings.IndexByte(piece, one[0]) < 0 {
		i := strings.Index(text, piece)
		return i, i + len(piece), i >= 0
	}
	for start <= len(text) {
		if n, ok := prefix(piece, text[start:]); ok {
			return start, start + n, true
		}
		_, size := utf8.DecodeRuneInString(text[start:])
		start += max(size, 1)
	}
	return 0, 0, false
}

// suffix tells whether text ends with what piece stands for.
func suffix(piece, text string) bool {
	if strings.IndexByte(piece, one[0]) < 0 {
		return strings.HasSuffix(text, piece)
	}
	back := len(text)
	for range utf8.RuneCountInString(piece) { // a question mark counts as one, as it is no valid character
		_, size := utf8.DecodeLastRuneInString(text[:back])
		if size == 0 {
			return false
		}
		back -= size
	}
	n, ok := prefix(piece, text[back:])
	return ok && back+n == len(text)
}
