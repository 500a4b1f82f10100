package match

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/word/diag"
)

// tree is JSON with its places: members in the order they were written,
// repeated names and all, and numbers as they were spelt.
type tree struct {
	kind    jsontext.Kind // '{' '[' '"' '0' 't' 'f' 'n'
	at, end int           // byte offsets
	text    string        // of a text, unescaped; of a number, as it was written
	members []member
	items   []tree
}

type member struct {
	name  string
	at    int
	value tree
}

// source is the text of a pattern while it is being parsed. What is taken from
// it is a part of it where possible, to save memory.
type source string

// errorf is a mistake at a byte offset.
func (s source) errorf(at int, format string, a ...any) *diag.Error {
	return diag.Errorf(diag.At("pattern", []byte(s), at), format, a...).In([]byte(s))
}

// tree reads the whole source, which must be one JSON value.
func (s source) tree() (tree, error) {
	d := jsontext.NewDecoder(strings.NewReader(string(s)), jsontext.AllowDuplicateNames(true))
	t, err := s.value(d, 1)
	if err != nil {
		return tree{}, err
	}
	if _, err := d.ReadToken(); err == nil {
		return tree{}, s.errorf(t.end, "something follows the pattern")
	} else if err != io.EOF {
		return tree{}, s.syntax(err)
	}
	return t, nil
}

func (s source) value(d *jsontext.Decoder, depth int) (tree, error) {
	t := tree{kind: d.PeekKind()}
	var err error
	switch t.kind {
	case '{', '[':
		if _, err = d.ReadToken(); err != nil {
			return t, s.syntax(err)
		}
		if t.at = int(d.InputOffset()) - 1; depth > maxDepth {
			return t, s.errorf(t.at, "nested deeper than %d levels", maxDepth)
		}
		if err = s.contents(d, &t, depth); err != nil {
			return t, err
		}
		_, err = d.ReadToken()
	default:
		t.at, t.text, err = s.scalar(d)
	}
	if err != nil {
		return t, s.syntax(err)
	}
	t.end = int(d.InputOffset())
	return t, nil
}

func (s source) contents(d *jsontext.Decoder, t *tree, depth int) error {
	for d.PeekKind() != '}' && d.PeekKind() != ']' {
		var m member
		var err error
		if t.kind == '{' {
			if m.at, m.name, err = s.scalar(d); err != nil {
				return s.syntax(err)
			}
		}
		if m.value, err = s.value(d, depth+1); err != nil {
			return err
		}
		if t.kind == '{' {
			t.members = append(t.members, m)
		} else {
			t.items = append(t.items, m.value)
		}
	}
	return nil
}

// scalar reads a text, number or literal, and tells where it begins.
func (s source) scalar(d *jsontext.Decoder) (at int, text string, err error) {
	raw, err := d.ReadValue()
	if err != nil {
		return 0, "", err
	}
	end := int(d.InputOffset())
	at = end - len(raw)
	switch {
	case raw.Kind() != '"':
		return at, string(s[at:end]), nil
	case bytes.IndexByte(raw, '\\') < 0:
		return at, string(s[at+1 : end-1]), nil
	}
	unquoted, err := jsontext.AppendUnquote(nil, raw)
	return at, string(unquoted), err
}

// syntax gives jsontext's own complaint a place.
func (s source) syntax(err error) error {
	at := len(s)
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at, err = int(e.ByteOffset), e.Err
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return s.errorf(len(s), "the JSON ends too early")
	}
	return s.errorf(at, "not valid JSON: %v", err)
}
