// Package escape lets through what a foreign program draws on a person's terminal, and undoes at the end what it has switched on.
//
// A terminal obeys whoever writes to it. Some of that reaches beyond its screen:
// it may set the clipboard and the title, resize and move windows, print, store
// keys, read files, and answer questions as if the person had typed the answer,
// which the shell behind may then run. What is known to draw is passed on here,
// and nothing else. Of the questions those remain whose answers are numbers and
// which editors and shells ask: where the cursor is, and of what kind the terminal.
package escape

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Filter passes on to a terminal what draws. It is for one goroutine.
type Filter struct {
	to  io.Writer
	out []byte

	state  state
	seq    []byte // of the sequence so far, without what begins it
	long   bool   // it is too long to be one
	str    byte   // what began the string that is passed over
	passed int    // bytes of it
	rune   []byte // part of a character

	modes   map[int]bool // private modes that were changed, and how
	drawn   bool         // something was
	keypad  bool
	charset bool
	insert  bool
	margins bool
	cursor  bool // its shape
	look    bool // colours and the like
}

type state byte

const (
	ground state = iota
	escaped
	control // CSI
	passing // a string: OSC, DCS, SOS, PM, APC, or a title
	ending  // ESC within a string
)

const (
	longest       = 128     // of a sequence
	longestString = 1 << 20 // after which it is taken for text again
	longestNumber = 5       // digits
)

// New is a Filter in front of to.
func New(to io.Writer) *Filter { return &Filter{to: to, modes: map[int]bool{}} }

// Write passes on what of p draws, in one write.
func (f *Filter) Write(p []byte) (int, error) {
	f.out = f.out[:0]
	for _, b := range p {
		f.take(b)
	}
	if len(f.out) > 0 {
		f.drawn = true
		if _, err := f.to.Write(f.out); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (f *Filter) take(b byte) {
	if f.state != passing && f.state != ending && (b >= 0x80 || len(f.rune) > 0) && f.character(b) {
		return
	}
	switch f.state {
	case ground:
		f.ground(b)
	case escaped:
		f.escaped(b)
	case control:
		f.control(b)
	case passing:
		f.passing(b)
	case ending:
		f.state = passing
		switch {
		case b == '\\':
			f.state = ground
		default: // any other sequence ends a string, too
			f.begin(escaped)
			f.take(b)
		}
	}
}

// character takes bytes of a character that is not ASCII. It tells whether the byte was of one.
func (f *Filter) character(b byte) bool {
	if b < 0x80 { // one was cut short
		f.rune = f.rune[:0]
		f.out = utf8.AppendRune(f.out, utf8.RuneError)
		return false
	}
	if f.state != ground { // no sequence has such
		f.state = ground
	}
	f.rune = append(f.rune, b)
	if !utf8.FullRune(f.rune) {
		return true
	}
	for len(f.rune) > 0 && utf8.FullRune(f.rune) {
		r, size := utf8.DecodeRune(f.rune)
		if r >= 0xa0 { // below are C1's: the same commands once more, in one character
			f.out = utf8.AppendRune(f.out, r)
		}
		f.rune = f.rune[:copy(f.rune, f.rune[size:])]
	}
	return true
}

func (f *Filter) begin(s state) { f.state, f.seq, f.long = s, f.seq[:0], false }

func (f *Filter) ground(b byte) {
	switch {
	case b == 0x1b:
		f.begin(escaped)
	case b == 0x0e, b == 0x0f:
		f.charset = true
		f.out = append(f.out, b)
	case b >= '\a' && b <= '\r', b >= ' ' && b < 0x7f: // what rings, moves and prints; not what asks for an answer
		f.out = append(f.out, b)
	}
}

// within takes control characters, which count within sequences, too. It tells whether b was one.
func (f *Filter) within(b byte) bool {
	switch {
	case b == 0x1b:
		f.begin(escaped)
	case b == 0x18, b == 0x1a: // cancel
		f.state = ground
	case b < ' ' || b == 0x7f:
		f.ground(b)
	default:
		return false
	}
	return true
}

func (f *Filter) escaped(b byte) {
	if f.within(b) {
		return
	}
	if b < '0' { // what a final byte is about
		if f.seq = append(f.seq, b); len(f.seq) > longest {
			f.state = ground
		}
		return
	}
	f.state = ground
	if len(f.seq) > 0 {
		f.designate(string(f.seq), b)
		return
	}
	switch b {
	case '[':
		f.begin(control)
	case ']', 'P', 'X', '^', '_', 'k':
		f.state, f.str, f.passed = passing, b, 0
	case '=', '>':
		f.keypad = b == '='
		f.out = append(f.out, 0x1b, b)
	case 'c': // back to the start
		f.forget()
		clear(f.modes)
		f.out = append(f.out, 0x1b, b)
	case '7', '8', 'D', 'E', 'H', 'M':
		f.out = append(f.out, 0x1b, b)
	case 'N', 'O', 'n', 'o', '|', '}', '~':
		f.charset = true
		f.out = append(f.out, 0x1b, b)
	}
}

// designate takes a set of characters.
func (f *Filter) designate(where string, set byte) {
	if len(where) != 1 || !strings.Contains("()*+-./", where) {
		return
	}
	f.charset = true
	f.out = append(f.out, 0x1b, where[0], set)
}

func (f *Filter) passing(b byte) {
	f.passed++
	switch {
	case b == 0x1b:
		f.state = ending
	case b == 0x18, b == 0x1a, b == '\a' && f.str == ']':
		f.state = ground
	case b == '\n' && (f.str == ']' || f.str == 'k'): // no title has two lines: it never ended
		f.state = ground
		f.out = append(f.out, '\r', b)
	case f.passed > longestString:
		f.state = ground
	}
}

func (f *Filter) control(b byte) {
	if f.within(b) {
		return
	}
	if b < '@' {
		if f.long = f.long || len(f.seq) >= longest; !f.long {
			f.seq = append(f.seq, b)
		}
		return
	}
	f.state = ground
	if !f.long {
		f.command(parse(f.seq), b)
	}
}

// command is what stands before the final byte of a CSI sequence.
type command struct {
	private string // one of < = > ?
	params  string
	between string
	wrong   bool
}

func parse(seq []byte) (c command) {
	text := string(seq)
	if text != "" && strings.IndexByte("<=>?", text[0]) >= 0 {
		c.private, text = text[:1], text[1:]
	}
	i := strings.IndexFunc(text, func(r rune) bool { return r < '0' })
	if i >= 0 {
		text, c.between = text[:i], text[i:]
	}
	c.params = text
	c.wrong = strings.ContainsFunc(c.params, func(r rune) bool { return r > ';' }) || strings.ContainsFunc(c.between, func(r rune) bool { return r >= '0' })
	for _, p := range strings.FieldsFunc(c.params, func(r rune) bool { return r == ';' || r == ':' }) {
		c.wrong = c.wrong || len(p) > longestNumber
	}
	return c
}

// moves are the commands that move, erase and insert.
const moves = "@ABCDEFGHIJKLMPSXZ`abdefgsu"

func (f *Filter) command(c command, final byte) {
	if c.wrong {
		return
	}
	yes := false
	switch c.private + c.between {
	case "":
		yes = f.plain(c.params, final)
	case "?":
		switch final {
		case 'h', 'l':
			if c.params = f.private(c.params, final == 'h'); c.params != "" {
				yes = true
			}
		case 'J', 'K':
			yes = true
		}
	case ">":
		yes = final == 'c' && zero(c.params) // the answer is three numbers
	case " ":
		if yes = final == 'q' && len(c.params) <= 1; yes {
			f.cursor = !zero(c.params)
		}
	case "!":
		if yes = final == 'p' && c.params == ""; yes { // a soft reset
			f.forget()
		}
	}
	if yes {
		f.out = append(f.out, 0x1b, '[')
		f.out = append(f.out, c.private...)
		f.out = append(f.out, c.params...)
		f.out = append(f.out, c.between...)
		f.out = append(f.out, final)
	}
}

func zero(params string) bool { return params == "" || params == "0" }

// plain tells whether a command without a mark draws.
func (f *Filter) plain(params string, final byte) bool {
	switch {
	case strings.IndexByte(moves, final) >= 0:
		return true
	case final == 'm':
		f.look = !zero(params)
		return true
	case final == 'r':
		f.margins = params != ""
		return true
	case final == 'T': // with more than one it is about the mouse
		return !strings.Contains(params, ";")
	case final == 'n': // the answers are numbers
		return params == "5" || params == "6"
	case final == 'c':
		return zero(params)
	case (final == 'h' || final == 'l') && params == "4":
		f.insert = final == 'h'
		return true
	}
	return false
}

// privateModes are those that change how it is drawn, how the mouse and a
// paste are told of; the value is how they are when nobody changes them.
func privateModes() map[int]bool {
	return map[int]bool{
		1: false, 5: false, 6: false, 7: true, 12: false, 25: true, 47: false, 66: false,
		1000: false, 1002: false, 1003: false, 1004: false, 1005: false, 1006: false, 1007: false, 1015: false,
		1047: false, 1048: false, 1049: false, 2004: false, 2026: false,
	}
}

// private changes modes, and gives back those of the list that there are.
func (f *Filter) private(params string, on bool) string {
	var kept []string
	known := privateModes()
	for p := range strings.SplitSeq(params, ";") {
		n, err := strconv.Atoi(p)
		def, ok := known[n]
		if err != nil || !ok {
			continue
		}
		kept = append(kept, strconv.Itoa(n))
		if delete(f.modes, n); on != def && n != 1048 { // which saves the cursor, and nothing stays on
			f.modes[n] = on
		}
	}
	return strings.Join(kept, ";")
}

func (f *Filter) forget() {
	f.keypad, f.charset, f.insert, f.margins, f.cursor, f.look = false, false, false, false, false, false
	for _, n := range []int{1, 6, 25, 66} {
		delete(f.modes, n)
	}
}

// Close undoes what was switched on and not off again, so that the terminal is
// as it was; the first to go is a second screen.
func (f *Filter) Close() error {
	var b strings.Builder
	var left []int
	for n := range f.modes {
		left = append(left, n)
	}
	screens := []int{1049, 1047, 47}
	slices.SortFunc(left, func(x, y int) int {
		if a, b := slices.Index(screens, x), slices.Index(screens, y); a != b {
			return b - a
		}
		return x - y
	})
	for _, n := range left {
		final := "h"
		if f.modes[n] {
			final = "l"
		}
		b.WriteString("\x1b[?" + strconv.Itoa(n) + final)
	}
	for _, s := range []struct {
		on   bool
		text string
	}{{f.look, "\x1b[0m"}, {f.charset, "\x1b(B\x1b)0\x0f"}, {f.insert, "\x1b[4l"}, {f.margins, "\x1b7\x1b[r\x1b8"}, {f.keypad, "\x1b>"}, {f.cursor, "\x1b[0 q"}} {
		if s.on {
			b.WriteString(s.text)
		}
	}
	f.forget()
	clear(f.modes)
	f.begin(ground)
	f.rune = f.rune[:0]
	if b.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(f.to, b.String())
	return err
}
