package wire

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A walk goes over a JSON value with the shape that it should have, and writes
// it anew as it goes: on the way in times become RFC 3339, and nulls go; on the
// way out times become what the protocol wants. All else stays byte for byte.
type walk struct {
	model  *Model
	limits Limits
	way    way
	loose  []string // members of the top whose elements are not looked into

	in       *jsontext.Decoder
	out      []byte
	path     []byte
	depth    int
	problems []string // what breaks a constraint of the model
	first    string   // the path of what does first, and whether it is missing
	missing  bool
}

type way int

const (
	inward  way = iota // a call: what is unknown passes, constraints are checked
	outward            // an answer: times are written, nothing is checked
	strict             // an answer as it was sent: nothing unknown may be there
)

const maxProblems = 10

// badShape is a value of another type than the shape has: it cannot be read at all.
type badShape struct{ at, want string }

func (b *badShape) Error() string {
	if b.at == "" {
		return "expected " + b.want
	}
	return b.at + ": expected " + b.want
}

// do walks text as shape and answers the text written anew.
func (w *walk) do(shape string, text []byte) ([]byte, error) {
	w.in = jsontext.NewDecoder(bytes.NewBuffer(text))
	w.out = make([]byte, 0, len(text)+64)
	s := w.model.Shapes[shape]
	if s == nil {
		s = &modelType{Type: "structure"}
	}
	if err := w.value(s); err != nil {
		return nil, err
	}
	if _, err := w.in.ReadToken(); err == nil {
		return nil, &badShape{"", "nothing after the value"}
	}
	return w.out, nil
}

func (w *walk) value(s *modelType) error {
	if w.depth++; w.depth > w.limits.Depth {
		return &badShape{w.at(), fmt.Sprintf("no more than %d levels", w.limits.Depth)}
	}
	defer func() { w.depth-- }()
	if s.Document {
		return w.copy()
	}
	switch s.Type {
	case "structure":
		return w.structure(s)
	case "list":
		return w.list(s)
	case "map":
		return w.mapping(s)
	case "string", "character":
		return w.text(s)
	case "integer", "long", "short", "byte":
		return w.integer(s)
	case "float", "double":
		return w.float(s)
	case "boolean":
		if k := w.in.PeekKind(); k != 't' && k != 'f' {
			return w.mistyped("true or false")
		}
		return w.copy()
	case "timestamp":
		return w.timestamp(s)
	case "blob":
		return w.blob(s)
	}
	return fmt.Errorf("the model has a shape of type %q, which is not read here", s.Type)
}

// copy takes a value as it is.
func (w *walk) copy() error {
	raw, err := w.in.ReadValue()
	w.out = append(w.out, raw...)
	return err
}

func (w *walk) structure(s *modelType) error {
	if w.in.PeekKind() != '{' {
		return w.mistyped("an object")
	}
	if _, err := w.in.ReadToken(); err != nil {
		return err
	}
	w.out = append(w.out, '{')
	start, seen, last := len(w.out), 0, ""
	var present [4]uint64 // of the first 256 members; larger shapes require few, and those come early or are looked for
	var more []int
	for w.in.PeekKind() == '"' {
		raw, err := w.in.ReadValue()
		if err != nil {
			return err
		}
		if len(w.out) > start {
			w.out = append(w.out, ',')
		}
		before := len(w.out)
		w.out = append(append(w.out, raw...), ':')
		name := unquote(raw)
		i, known := s.index[name]
		if !known {
			if w.way == strict && !(s.Union && name == "__type") {
				w.problem(name, "is not a member of the shape")
			}
			if err := w.copy(); err != nil {
				return err
			}
			continue
		}
		if w.in.PeekKind() == 'n' {
			if w.way == strict {
				w.problem(name, "is null")
			}
			if _, err := w.in.ReadToken(); err != nil {
				return err
			}
			w.out = bytes.TrimSuffix(w.out[:before], []byte{','})
			continue
		}
		seen, last = seen+1, name
		if i < 256 {
			present[i/64] |= 1 << (i % 64)
		} else {
			more = append(more, i)
		}
		if err := w.member(name, w.model.Shapes[s.Members[i].Shape]); err != nil {
			return err
		}
	}
	if _, err := w.in.ReadToken(); err != nil {
		return err
	}
	w.out = append(w.out, '}')
	if w.way == outward {
		return nil
	}
	if s.Union && seen != 1 {
		w.problem("", "must have exactly one member, not %d (last %q)", seen, last)
	}
	for _, name := range s.Required {
		i := slices.IndexFunc(s.Members, func(m member) bool { return m.Name == name })
		if i >= 0 && (i < 256 && present[i/64]&(1<<(i%64)) == 0 || i >= 256 && !slices.Contains(more, i)) {
			w.problem(s.Members[i].wire(), "must not be null")
		}
	}
	return nil
}

func (w *walk) member(name string, s *modelType) error {
	n := len(w.path)
	if n > 0 {
		w.path = append(w.path, '.')
	}
	w.path = append(w.path, name...)
	var err error
	if w.depth == 1 && slices.Contains(w.loose, name) {
		err = w.unlooked(s)
	} else {
		err = w.value(s)
	}
	w.path = w.path[:n]
	return err
}

// unlooked counts the elements of a list and takes each as it is: whoever
// answers looks at them one by one, and answers for each.
func (w *walk) unlooked(s *modelType) error {
	if s.Type != "list" {
		return w.copy()
	}
	return w.elements(s, func() error { return w.copy() })
}

func (w *walk) list(s *modelType) error {
	element := w.model.Shapes[s.Element.Shape]
	return w.elements(s, func() error { return w.value(element) })
}

func (w *walk) elements(s *modelType, each func() error) error {
	if w.in.PeekKind() != '[' {
		return w.mistyped("a list")
	}
	if _, err := w.in.ReadToken(); err != nil {
		return err
	}
	w.out = append(w.out, '[')
	count, n := 0, len(w.path)
	for k := w.in.PeekKind(); k != ']' && k != 0; k = w.in.PeekKind() {
		if count > 0 {
			w.out = append(w.out, ',')
		}
		w.path = append(strconv.AppendInt(append(w.path, '['), int64(count), 10), ']')
		if count++; count > w.limits.Elements {
			return &badShape{w.at(), fmt.Sprintf("no more than %d elements", w.limits.Elements)}
		}
		if err := each(); err != nil {
			return err
		}
		w.path = w.path[:n]
	}
	if _, err := w.in.ReadToken(); err != nil {
		return err
	}
	w.out = append(w.out, ']')
	w.size(s, float64(count), "elements")
	return nil
}

func (w *walk) mapping(s *modelType) error {
	if w.in.PeekKind() != '{' {
		return w.mistyped("an object")
	}
	if _, err := w.in.ReadToken(); err != nil {
		return err
	}
	key, value := w.model.Shapes[s.Key.Shape], w.model.Shapes[s.Value.Shape]
	w.out = append(w.out, '{')
	count, start := 0, len(w.out)
	for w.in.PeekKind() == '"' {
		raw, err := w.in.ReadValue()
		if err != nil {
			return err
		}
		if count++; count > w.limits.Elements {
			return &badShape{w.at(), fmt.Sprintf("no more than %d entries", w.limits.Elements)}
		}
		if len(w.out) > start {
			w.out = append(w.out, ',')
		}
		w.out = append(append(w.out, raw...), ':')
		name := unquote(raw)
		w.textIs(key, name)
		if err := w.member(name, value); err != nil {
			return err
		}
	}
	if _, err := w.in.ReadToken(); err != nil {
		return err
	}
	w.out = append(w.out, '}')
	w.size(s, float64(count), "entries")
	return nil
}

func (w *walk) text(s *modelType) error {
	if w.in.PeekKind() != '"' {
		return w.mistyped("a string")
	}
	raw, err := w.in.ReadValue()
	if err != nil {
		return err
	}
	w.out = append(w.out, raw...)
	if w.way == outward || w.way == inward && s.Min == nil && s.Max == nil && s.Pattern == "" && s.Enum == nil {
		return nil
	}
	w.textIs(s, unquote(raw))
	return nil
}

// textIs holds a text against its shape. The text itself is never said back:
// it may be a secret.
func (w *walk) textIs(s *modelType, text string) {
	if w.way == outward {
		return
	}
	if s.Enum != nil && !slices.Contains(s.Enum, text) {
		w.problem("", "must satisfy enum value set: [%s]", strings.Join(s.Enum, ", "))
		return
	}
	if w.way == strict {
		return
	}
	if s.Min != nil || s.Max != nil {
		w.size(s, float64(utf8.RuneCountInString(text)), "characters")
	}
	if s.Pattern != "" && !s.pattern()(text) {
		w.problem("", "must satisfy regular expression pattern: %s", s.Pattern)
	}
}

func (w *walk) integer(s *modelType) error {
	if w.in.PeekKind() != '0' {
		return w.mistyped("an integer")
	}
	raw, err := w.in.ReadValue()
	if err != nil {
		return err
	}
	bits := 64
	switch s.Type {
	case "integer":
		bits = 32
	case "short":
		bits = 16
	case "byte":
		bits = 8
	}
	n, err := strconv.ParseInt(string(raw), 10, bits)
	if err != nil {
		return &badShape{w.at(), "an integer of that size"}
	}
	w.out = append(w.out, raw...)
	w.amount(s, float64(n))
	return nil
}

func (w *walk) float(s *modelType) error {
	if w.in.PeekKind() == '"' {
		raw, err := w.in.ReadValue()
		if err != nil {
			return err
		}
		switch unquote(raw) {
		case "NaN", "Infinity", "-Infinity":
			w.out = append(w.out, raw...)
			return nil
		}
		return &badShape{w.at(), "a number"}
	}
	if w.in.PeekKind() != '0' {
		return w.mistyped("a number")
	}
	raw, err := w.in.ReadValue()
	if err != nil {
		return err
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return &badShape{w.at(), "a number of that size"}
	}
	w.out = append(w.out, raw...)
	w.amount(s, f)
	return nil
}

func (w *walk) blob(s *modelType) error {
	if w.in.PeekKind() != '"' {
		return w.mistyped("a string in base64")
	}
	raw, err := w.in.ReadValue()
	if err != nil {
		return err
	}
	data, err := base64.StdEncoding.DecodeString(unquote(raw))
	if err != nil {
		return &badShape{w.at(), "a string in base64"}
	}
	w.out = append(w.out, raw...)
	w.size(s, float64(len(data)), "bytes")
	return nil
}

// size holds a length against min and max, amount a number.
func (w *walk) size(s *modelType, n float64, of string) {
	switch {
	case w.way != inward:
	case s.Min != nil && n < *s.Min:
		w.problem("", "must have length greater than or equal to %s (%s)", plain(*s.Min), of)
	case s.Max != nil && n > *s.Max:
		w.problem("", "must have length less than or equal to %s (%s)", plain(*s.Max), of)
	}
}

// plain is a bound as people write it: without an exponent.
func plain(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func (w *walk) amount(s *modelType, n float64) {
	switch {
	case w.way != inward:
	case s.Min != nil && n < *s.Min:
		w.problem("", "must have value greater than or equal to %s", plain(*s.Min))
	case s.Max != nil && n > *s.Max:
		w.problem("", "must have value less than or equal to %s", plain(*s.Max))
	}
}

func (w *walk) problem(member, format string, a ...any) {
	if len(w.problems) >= maxProblems {
		return
	}
	at := w.at()
	if at != "" && member != "" {
		at += "."
	}
	at += member
	if len(w.problems) == 0 {
		w.first, w.missing = at, member != ""
	}
	w.problems = append(w.problems, "Value at '"+at+"' failed to satisfy constraint: Member "+fmt.Sprintf(format, a...))
}

func (w *walk) mistyped(want string) error {
	// Where the text is no JSON at all, that is what is wrong.
	if _, err := w.in.ReadValue(); err != nil {
		return err
	}
	return &badShape{w.at(), want}
}

// at is the path of what is being looked at, kept short.
func (w *walk) at() string { return string(w.path[:min(len(w.path), 200)]) }

// unquote reads a JSON string that the decoder has found good.
func unquote(raw jsontext.Value) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return string(raw)
	}
	return string(text)
}
