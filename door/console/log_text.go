package console

import (
	"bytes"
	"fmt"
	"html"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What a program writes for a terminal becomes text here: colours are classes,
// and whatever else steers a terminal is dropped. Nothing that was written is
// hidden by it: a colour on itself is none, an order to conceal is not obeyed,
// and what cannot be seen is named.

// paint is how text looks, as SGR sequences have made it.
type paint struct {
	bold, dim, italic, underline, strike, inverse bool
	front, back                                   colour
}

// colour is one that a terminal has; 0 is its own.
type colour uint8

const (
	noColour colour = iota
	black
	red
	green
	yellow
	blue
	magenta
	cyan
	white
	grey
)

var colourNames = [...]string{"", "black", "red", "green", "yellow", "blue", "magenta", "cyan", "white", "grey"}

// class is the CSS classes of the look, "" for none.
func (p paint) class() string {
	var all []string
	for _, c := range []struct {
		is   bool
		name string
	}{{p.bold, "t-bold"}, {p.dim, "t-dim"}, {p.italic, "t-italic"}, {p.underline, "t-line"}, {p.strike, "t-strike"}} {
		if c.is {
			all = append(all, c.name)
		}
	}
	front, back := p.front, p.back
	if p.inverse {
		front, back = back, front
		if back == noColour {
			all = append(all, "t-inverse")
		}
	}
	if front != noColour && front != back && (!p.inverse || back != noColour) {
		all = append(all, "t-"+colourNames[front])
	}
	if back != noColour && front != back {
		all = append(all, "on-"+colourNames[back])
	}
	return strings.Join(all, " ")
}

// sgr changes the look as the parameters of an SGR sequence say.
func (p *paint) sgr(params string) {
	codes := strings.Split(params, ";")
	for i := 0; i < len(codes); i++ {
		head, sub, _ := strings.Cut(codes[i], ":")
		n, err := strconv.Atoi(head)
		if head == "" {
			n, err = 0, nil
		}
		if err != nil {
			continue
		}
		if n == 38 || n == 48 {
			rest := codes[i+1:]
			if sub != "" {
				rest = strings.Split(sub, ":")
			}
			c, used := extended(rest)
			if n == 38 {
				p.front = c
			} else {
				p.back = c
			}
			if sub == "" {
				i += used
			}
			continue
		}
		p.one(n)
	}
}

func (p *paint) one(n int) {
	switch {
	case n == 0:
		*p = paint{}
	case n == 1:
		p.bold = true
	case n == 2:
		p.dim = true
	case n == 3:
		p.italic = true
	case n == 4 || n == 21:
		p.underline = true
	case n == 7:
		p.inverse = true
	case n == 9:
		p.strike = true
	case n == 22:
		p.bold, p.dim = false, false
	case n == 23:
		p.italic = false
	case n == 24:
		p.underline = false
	case n == 27:
		p.inverse = false
	case n == 29:
		p.strike = false
	case n >= 30 && n <= 37:
		p.front = colour(n-30) + black
	case n == 39:
		p.front = noColour
	case n >= 40 && n <= 47:
		p.back = colour(n-40) + black
	case n == 49:
		p.back = noColour
	case n >= 90 && n <= 97:
		p.front = bright(n - 90)
	case n >= 100 && n <= 107:
		p.back = bright(n - 100)
	}
}

func bright(n int) colour {
	if n == 0 {
		return grey
	}
	return colour(n) + black
}

// extended is a colour of 256, or of all, as the nearest one that there is, and how many codes said it.
func extended(codes []string) (c colour, used int) {
	number := func(i int) int {
		if i < 0 || i >= len(codes) {
			return 0
		}
		n, err := strconv.Atoi(codes[i])
		if err != nil {
			return 0
		}
		return min(max(n, 0), 255)
	}
	switch number(0) {
	case 5:
		n := number(1)
		switch {
		case n < 8:
			return colour(n) + black, 2
		case n < 16:
			return bright(n - 8), 2
		case n < 232:
			n -= 16
			return nearest(n/36*51, n/6%6*51, n%6*51), 2
		default:
			return nearest((n-232)*10+8, (n-232)*10+8, (n-232)*10+8), 2
		}
	case 2:
		if len(codes) >= 5 && codes[1] == "" { // with a colour space between, which nobody fills in
			return nearest(number(2), number(3), number(4)), 5
		}
		return nearest(number(1), number(2), number(3)), 4
	}
	return noColour, 1
}

// nearest is the colour whose name people would give a mixture of red, green and blue.
func nearest(r, g, b int) colour {
	most, least := max(r, g, b), min(r, g, b)
	if most-least < 48 {
		switch {
		case most < 64:
			return black
		case most < 176:
			return grey
		}
		return white
	}
	half := (most + least) / 2
	switch n := flag(r > half) | flag(g > half)<<1 | flag(b > half)<<2; n {
	case 1, 2, 3, 4, 5, 6:
		return colour(n) + black
	}
	return white
}

func flag(is bool) int {
	if is {
		return 1
	}
	return 0
}

const escape = 0x1b

// steering is how many bytes of text, which begins with an escape, steer a
// terminal, and the parameters if they are an SGR sequence.
func steering(text []byte) (n int, params string, sgr bool) {
	if len(text) < 2 {
		return len(text), "", false
	}
	switch c := text[1]; {
	case c == '[':
		i := 2
		for i < len(text) && text[i] >= 0x20 && text[i] <= 0x3f {
			i++
		}
		if i == len(text) || text[i] < 0x40 || text[i] > 0x7e {
			return i, "", false
		}
		params = string(text[2:i])
		return i + 1, params, text[i] == 'm' && len(params) < 100 && strings.Trim(params, "0123456789;:") == ""
	case c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_': // a string, up to its end; one without an end hides nothing
		for i := 2; i < len(text); i++ {
			if text[i] == 0x07 {
				return i + 1, "", false
			}
			if text[i] == escape {
				if i+1 < len(text) && text[i+1] == '\\' {
					return i + 2, "", false
				}
				break
			}
		}
		return 2, "", false
	case c >= 0x20 && c <= 0x2f:
		i := 2
		for i < len(text) && text[i] >= 0x20 && text[i] <= 0x2f {
			i++
		}
		return min(i+1, len(text)), "", false
	case c >= 0x30 && c <= 0x7e:
		return 2, "", false
	}
	return 1, "", false
}

// repaint changes the look as the sequences of a line do.
func (p *paint) repaint(line []byte) {
	for {
		i := bytes.IndexByte(line, escape)
		if i < 0 {
			return
		}
		n, params, sgr := steering(line[i:])
		if sgr {
			p.sgr(params)
		}
		line = line[i+n:]
	}
}

// stripped is a line without what steers terminals.
func stripped(line []byte) []byte {
	if bytes.IndexByte(line, escape) < 0 {
		return line
	}
	var out []byte
	for {
		i := bytes.IndexByte(line, escape)
		if i < 0 {
			return append(out, line...)
		}
		n, _, _ := steering(line[i:])
		out = append(out, line[:i]...)
		line = line[i+n:]
	}
}

// painted writes a line as HTML, and leaves the look as it is after it.
func (p *paint) painted(b *strings.Builder, line []byte) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	for len(line) > 0 {
		i := bytes.IndexByte(line, escape)
		if i < 0 {
			i = len(line)
		}
		if i > 0 {
			class := p.class()
			if class != "" {
				fmt.Fprintf(b, `<i class="%s">`, class)
			}
			visible(b, string(line[:i]))
			if class != "" {
				b.WriteString(`</i>`)
			}
			line = line[i:]
			continue
		}
		n, params, sgr := steering(line)
		if sgr {
			p.sgr(params)
		}
		line = line[n:]
	}
}

// visible writes text as HTML in which every character shows: those that cannot
// be seen, or that turn the direction of writing, are named.
func visible(b *strings.Builder, text string) {
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= 0x20 && c < 0x7f || c == '\t' || c == '\n' { // most of them
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		if !unseen(r) && (r != utf8.RuneError || n > 1) {
			i += n
			continue
		}
		b.WriteString(html.EscapeString(text[start:i]))
		if r == utf8.RuneError {
			b.WriteString("\uFFFD")
		} else {
			fmt.Fprintf(b, `<b class="unseen">U+%04X</b>`, r)
		}
		i += n
		start = i
	}
	b.WriteString(html.EscapeString(text[start:]))
}

// unseen tells whether a character does something to a text that cannot be seen.
func unseen(r rune) bool {
	switch {
	case r < 0x20 && r != '\t' && r != '\n', r >= 0x7f && r <= 0x9f, r == 0xad, r == 0x061c, r == 0x115f, r == 0x1160, r == 0x180e, r == 0x3164, r == 0xfeff, r == 0xffa0:
		return true
	case r >= 0x200b && r <= 0x200f && r != 0x200d, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f:
		return true
	}
	return r >= 0xe0000 && r <= 0xe007f || r >= 0xfff9 && r <= 0xfffb
}

// seen is a character, or a mark in the place of one that cannot be seen.
func seen(r rune) rune {
	if unseen(r) {
		return '\uFFFD'
	}
	return r
}

// plainText is a program's output without what steers terminals.
func plainText(text []byte) string {
	return strings.ToValidUTF8(string(bytes.ReplaceAll(stripped(text), []byte("\r\n"), []byte("\n"))), "\uFFFD")
}
