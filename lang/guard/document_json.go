package guard

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/diag"
)

// jsonLoader turns tokens into values and remembers where they stood.
type jsonLoader struct {
	name  string
	text  []byte
	lines []int // the offset of each line's first byte
	d     *jsontext.Decoder
	nodes int
}

// loadAllJSON reads objects that follow each other.
func loadAllJSON(name string, text []byte, most int) (all []*Value, wrong *diag.Error) {
	l := &jsonLoader{name: name, text: text, lines: linesOf(text), d: jsontext.NewDecoder(bytes.NewReader(text))}
	for {
		v, err := l.value(0)
		if err != nil {
			return nil, err
		}
		if all = append(all, v); len(all) > most {
			return nil, diag.Errorf(l.at(int(l.d.InputOffset())), "more than %d documents", most)
		}
		if len(bytes.TrimLeft(text[l.d.InputOffset():], " \t\r\n")) == 0 {
			return all, nil
		}
	}
}

func loadJSON(name string, text []byte) (*Value, *diag.Error) {
	l := &jsonLoader{name: name, text: text, lines: linesOf(text), d: jsontext.NewDecoder(bytes.NewReader(text))}
	v, err := l.value(0)
	if err != nil {
		return nil, err
	}
	switch _, err := l.d.ReadToken(); {
	case err == nil:
		return nil, diag.Errorf(l.at(int(l.d.InputOffset())), "something follows the document").WithHint("one file holds one document")
	case !errors.Is(err, io.EOF):
		return nil, l.wrong(err)
	}
	return v, nil
}

func (l *jsonLoader) value(depth int) (*Value, *diag.Error) {
	if l.nodes++; l.nodes > maxNodes {
		return nil, diag.Errorf(l.at(int(l.d.InputOffset())), "more than %d values", maxNodes)
	}
	start := l.next()
	if depth > maxDepth {
		return nil, diag.Errorf(l.at(start), "nested deeper than %d levels", maxDepth)
	}
	t, err := l.d.ReadToken()
	if err != nil {
		return nil, l.wrong(err)
	}
	var v *Value
	switch t.Kind() {
	case 'n':
		v = &Value{kind: kindNull}
	case 't', 'f':
		v = &Value{kind: kindBool, truth: t.Bool()}
	case '"':
		v = newString(t.String())
	case '0':
		v = number(t.String())
	case '[':
		v, err := l.list(depth)
		return l.put(v, start), err
	case '{':
		v, err := l.fields(depth)
		return l.put(v, start), err
	}
	return l.put(v, start), nil
}

func (l *jsonLoader) list(depth int) (*Value, *diag.Error) {
	var items []*Value
	for l.d.PeekKind() != ']' {
		v, err := l.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	l.d.ReadToken()
	return newList(items), nil
}

func (l *jsonLoader) fields(depth int) (*Value, *diag.Error) {
	var fields []field
	for l.d.PeekKind() != '}' {
		start := l.next()
		t, err := l.d.ReadToken() // refuses names that come twice
		if err != nil {
			return nil, l.wrong(err)
		}
		key := l.put(newString(t.String()), start)
		v, wrong := l.value(depth + 1)
		if wrong != nil {
			return nil, wrong
		}
		fields = append(fields, field{key, v})
	}
	l.d.ReadToken()
	return newMap(fields), nil
}

// next is the offset of the token that comes next.
func (l *jsonLoader) next() int {
	i := int(l.d.InputOffset())
	for i < len(l.text) && strings.IndexByte(" \t\r\n,:", l.text[i]) >= 0 {
		i++
	}
	return i
}

func (l *jsonLoader) put(v *Value, offset int) *Value {
	if v != nil {
		p := l.at(offset)
		v.line, v.column = int32(p.Line), int32(p.Column)
	}
	return v
}

func (l *jsonLoader) at(offset int) diag.Place { return placeOf(l.name, l.lines, offset) }

func (l *jsonLoader) wrong(err error) *diag.Error {
	offset := int(l.d.InputOffset())
	var s *jsontext.SyntacticError
	if errors.As(err, &s) {
		offset = int(s.ByteOffset)
		err = s.Err
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return diag.Errorf(l.at(offset), "this name comes twice in the same object").WithHint("remove one of the two")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return diag.Errorf(l.at(len(l.text)), "the JSON ends too early")
	}
	return diag.Errorf(l.at(min(offset, len(l.text))), "not JSON: %v", err)
}

// number is an integer where the text is one that fits, else a float.
func number(text string) *Value {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return &Value{kind: kindInt, number: n}
	}
	f, _ := strconv.ParseFloat(text, 64) // out of range: ±Inf, which is how far off it is
	return NewFloat(f)
}
