// Package diag points at places in people's files and says what is wrong there and what to do.
package diag

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Place is a place in a file. File is slash-separated and relative to what was
// looked at; Line and Column count from 1, and 0 means unknown. Column counts
// bytes. Why says, where it matters, what it is about that place.
type Place struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitzero"`
	Column int    `json:"column,omitzero"`
	Why    string `json:"why,omitzero"`
}

// String is file:line:column, as far as it is known.
func (p Place) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Error is a mistake at a place of a file.
type Error struct {
	Place
	Message string // what is wrong: lower case, no full stop
	Hint    string // what to do about it, or ""
	Source  string // the line that Place points at, or "": see In
}

// Errorf is a mistake at p.
func Errorf(p Place, format string, a ...any) *Error {
	return &Error{Place: p, Message: fmt.Sprintf(format, a...)}
}

// In gives e the text of the file, so that Detail can show the line.
func (e *Error) In(text []byte) *Error {
	if e.Line > 0 {
		e.Source = line(text, e.Line)
	}
	return e
}

// WithHint adds what to do about it.
func (e *Error) WithHint(format string, a ...any) *Error {
	e.Hint = fmt.Sprintf(format, a...)
	return e
}

// Error is one line: place, message and hint.
func (e *Error) Error() string {
	s := e.Message
	if p := e.Place.String(); p != "" {
		s = p + ": " + s
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Detail is the error as a terminal shows it: the place and message, then the
// line with a caret below the column, then the hint.
func (e *Error) Detail() string {
	var b strings.Builder
	if p := e.Place.String(); p != "" {
		b.WriteString(p + ": ")
	}
	b.WriteString(e.Message)
	const width = 72
	if source, column := window(e.Source, e.Column, width); source != "" {
		gutter := fmt.Sprintf("%5d", e.Line)
		fmt.Fprintf(&b, "\n%s | %s", gutter, source)
		if column > 0 {
			fmt.Fprintf(&b, "\n%s | %s^", strings.Repeat(" ", len(gutter)), strings.Repeat(" ", column-1))
		}
	}
	if e.Hint != "" {
		b.WriteString("\n      = " + e.Hint)
	}
	return b.String()
}

// Detail shows err with line and caret where it is, or wraps, an *Error; else it is err's own words.
func Detail(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	return strings.Replace(err.Error(), e.Error(), e.Detail(), 1)
}

// Nearest is the one of names that got was most likely meant to be, or "".
func Nearest(got string, names []string) string {
	best, least := "", len(got)/3+2
	for _, n := range names {
		if d := distance(strings.ToLower(got), strings.ToLower(n), least); d < least {
			best, least = n, d
		}
	}
	return best
}

// DidYouMean is `did you mean "x"?` for the nearest of names, or "".
func DidYouMean(got string, names []string) string {
	if n := Nearest(got, names); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return ""
}

// At is the place of a byte offset within text.
func At(file string, text []byte, offset int) Place {
	offset = min(max(offset, 0), len(text))
	before := string(text[:offset])
	return Place{File: file, Line: 1 + strings.Count(before, "\n"), Column: offset - strings.LastIndexByte(before, '\n')}
}

// line is line n of text, without its end.
func line(text []byte, n int) string {
	rest := string(text)
	for ; n > 1; n-- {
		_, after, ok := strings.Cut(rest, "\n")
		if !ok {
			return ""
		}
		rest = after
	}
	first, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSuffix(first, "\r")
}

// window cuts a long line to what surrounds the column, replaces what a
// terminal would act on, and answers the column in characters.
func window(source string, column, width int) (string, int) {
	source = strings.ToValidUTF8(source, "?")
	at := min(max(column-1, 0), len(source))
	before, after := []rune(source[:at]), []rune(source[at:])
	if extra := len(before) - width*2/3; extra > 0 {
		before = before[extra:]
	}
	if room := width - len(before); len(after) > room {
		after = after[:room]
	}
	clean := func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError {
			return ' '
		}
		return r
	}
	shown := strings.Map(clean, string(before)+string(after))
	if column <= 0 {
		return shown, 0
	}
	return shown, len(before) + 1
}

// distance is how many letters must be changed to make a into b, or limit if it is no less.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return min(row[len(b)], limit)
}
