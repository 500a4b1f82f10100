package match

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	tooDeep   = "nested deeper than 1000 levels"
	noMember  = "a comma or } is missing"
	noElement = "a comma or ] is missing"
)

// space passes over white space.
func (s *scratch) space(i int) int {
	for i < len(s.event) && s.event[i] <= ' ' {
		switch s.event[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// colon reads the colon after a name and the space around it.
func (s *scratch) colon(i int) int {
	if i = s.space(i); i >= len(s.event) || s.event[i] != ':' {
		return s.fail(i, "a colon is missing")
	}
	return s.space(i + 1)
}

// comma reads the comma between two members or elements and the space after it.
func (s *scratch) comma(i int, missing string) int {
	if i >= len(s.event) {
		return s.fail(i, "the JSON ends too early")
	}
	if s.event[i] != ',' {
		return s.fail(i, missing)
	}
	return s.space(i + 1)
}

// label reads the name of a member.
func (s *scratch) label(i int) (end int, escaped bool) {
	if i >= len(s.event) || s.event[i] != '"' {
		return s.fail(i, "the name of a member is missing"), false
	}
	return s.text(i)
}

// skip reads a value of which nothing is wanted.
func (s *scratch) skip(i, depth int) int {
	if i >= len(s.event) {
		return s.fail(i, "the JSON ends too early")
	}
	switch s.event[i] {
	case '"':
		i, _ = s.text(i)
		return i
	case '{', '[':
		return s.skipContents(i, depth)
	}
	return s.scalar(i)
}

func (s *scratch) skipContents(i, depth int) int {
	if depth > maxDepth {
		return s.fail(i, tooDeep)
	}
	object, last, missing := s.event[i] == '{', byte(']'), noElement
	if object {
		last, missing = '}', noMember
	}
	if i = s.space(i + 1); i < len(s.event) && s.event[i] == last {
		return i + 1
	}
	for {
		if object {
			if i, _ = s.label(i); i < 0 {
				return -1
			}
			if i = s.colon(i); i < 0 {
				return -1
			}
		}
		if i = s.skip(i, depth+1); i < 0 {
			return -1
		}
		if i = s.space(i); i < len(s.event) && s.event[i] == last {
			return i + 1
		}
		if i = s.comma(i, missing); i < 0 {
			return -1
		}
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special has a high bit at the first byte of x, from the lowest on, that is
// a quote, a backslash, a control character or not ASCII, and is zero if there
// is none. Bits above that one mean nothing. With one bit turned the quote
// follows the control characters, so that one subtraction finds them all.
func special(x uint64) uint64 {
	low := (x ^ ones*('"'^' ')) - ones*(' '+1)
	backslash := (x ^ ones*'\\') - ones
	return (low | backslash | x) & highs
}

// text reads a text, eight bytes at a time, and tells whether there are escapes in it.
func (s *scratch) text(i int) (end int, escaped bool) {
	event := s.event
	for i++; ; {
		for rest := event[i:]; len(rest) >= 8; rest = rest[8:] {
			if m := special(binary.LittleEndian.Uint64(rest)); m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		if i >= len(event) {
			return s.fail(i, "the text does not end"), false
		}
		switch c := event[i]; {
		case c == '"':
			return i + 1, escaped
		case c == '\\':
			n := escapeLength(event[i:])
			if n == 0 {
				return s.fail(i, "not an escape"), false
			}
			i, escaped = i+n, true
		case c < ' ':
			return s.fail(i, "a control character within a text"), false
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(event[i:])
			if r == utf8.RuneError && n == 1 {
				return s.fail(i, "not UTF-8"), false
			}
			i += n
		}
	}
}

// escapeLength is the length of the escape that text begins with, or 0 if it
// is none. Half a surrogate pair is none.
func escapeLength(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		r, ok := hex4(text)
		switch {
		case !ok || 0xdc00 <= r && r < 0xe000:
			return 0
		case r < 0xd800 || 0xe000 <= r:
			return 6
		}
		if low, ok := hex4(text[6:]); ok && 0xdc00 <= low && low < 0xe000 {
			return 12
		}
	}
	return 0
}

// hex4 reads \uXXXX.
func hex4(text []byte) (r rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		d, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

// appendUnescaped appends a text that is known to be valid.
func appendUnescaped(b, text []byte) []byte {
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			b = append(b, text[i])
			i++
			continue
		}
		switch c := text[i+1]; c {
		case 'u':
			r, _ := hex4(text[i:])
			if utf16.IsSurrogate(r) {
				low, _ := hex4(text[i+6:])
				r, i = utf16.DecodeRune(r, low), i+6
			}
			b, i = utf8.AppendRune(b, r), i+6
			continue
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		default:
			b = append(b, c)
		}
		i += 2
	}
	return b
}

// scalar reads a number or literal.
func (s *scratch) scalar(i int) int {
	switch s.event[i] {
	case 't':
		return s.literal(i, "true")
	case 'f':
		return s.literal(i, "false")
	case 'n':
		return s.literal(i, "null")
	}
	return s.number(i)
}

func (s *scratch) literal(i int, word string) int {
	if end := i + len(word); end <= len(s.event) && string(s.event[i:end]) == word {
		return end
	}
	return s.fail(i, "not a JSON value")
}

func (s *scratch) number(i int) int {
	start := i
	if s.event[i] == '-' {
		i++
	}
	end := s.digits(i)
	switch {
	case end == i:
		return s.fail(start, "not a JSON value")
	case s.event[i] == '0' && end > i+1:
		return s.fail(start, "a number with a zero in front")
	}
	if i = end; i < len(s.event) && s.event[i] == '.' {
		if end = s.digits(i + 1); end == i+1 {
			return s.fail(start, "a number that ends in a point")
		}
		i = end
	}
	if i < len(s.event) && s.event[i]|0x20 == 'e' {
		if i++; i < len(s.event) && (s.event[i] == '+' || s.event[i] == '-') {
			i++
		}
		if end = s.digits(i); end == i {
			return s.fail(start, "a number without its exponent")
		}
		i = end
	}
	return i
}

func (s *scratch) digits(i int) int {
	for i < len(s.event) && '0' <= s.event[i] && s.event[i] <= '9' {
		i++
	}
	return i
}
