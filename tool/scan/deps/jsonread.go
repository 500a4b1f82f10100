package deps

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/diag"
)

// jsonReader reads a document member by member, so that lines are known and only
// one package at a time is held twice.
type jsonReader struct{ d *jsontext.Decoder }

// readJSON hands f to read; what goes wrong gets its place.
func readJSON(f manifest, read func(jsonReader) error) error {
	r := jsonReader{jsontext.NewDecoder(bytes.NewReader(bytes.TrimPrefix(f.content, []byte("\ufeff"))), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))}
	if err := read(r); err != nil {
		if at, ok := err.(*diag.Error); ok {
			return at
		}
		return diag.Errorf(diag.At(f.path, f.content, min(int(r.d.InputOffset()), len(f.content))), "this cannot be read: %v", err).In(f.content)
	}
	return nil
}

// members calls each for every member of the object that comes next, which is
// passed over if it is none.
func (r jsonReader) members(each func(name string, offset int) error) error {
	if r.d.PeekKind() == 'n' {
		return r.d.SkipValue()
	}
	return members(r.d, each)
}

// members calls each for every member of the object that comes next; anything else is an error.
func members(d *jsontext.Decoder, each func(name string, offset int) error) error {
	t, err := d.ReadToken()
	if err != nil {
		return err
	}
	if t.Kind() != '{' {
		return fmt.Errorf("an object is expected here, not %s", t.Kind())
	}
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := each(t.String(), int(d.InputOffset())-1); err != nil {
			return err
		}
	}
	_, err = d.ReadToken()
	return err
}

// items calls each before every item of the list that comes next.
func (r jsonReader) items(each func(offset int) error) error {
	if r.d.PeekKind() == 'n' {
		return r.d.SkipValue()
	}
	t, err := r.d.ReadToken()
	if err != nil {
		return err
	}
	if t.Kind() != '[' {
		return fmt.Errorf("a list is expected here, not %s", t.Kind())
	}
	for k := r.d.PeekKind(); k != ']' && k != 0; k = r.d.PeekKind() {
		if err := each(int(r.d.InputOffset())); err != nil {
			return err
		}
	}
	_, err = r.d.ReadToken()
	return err
}

// value reads the value that comes next into v.
func (r jsonReader) value(v any) error {
	text, err := r.d.ReadValue()
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v, lenient)
}

// lineOf is the line on which the value that follows offset begins.
func lineOf(lines lineIndex, text []byte, offset int) int {
	for offset < len(text) && (text[offset] == ' ' || text[offset] == ',' || text[offset] == '\n' || text[offset] == '\r' || text[offset] == '\t') {
		offset++
	}
	return lines.line(offset)
}

// lineBelow is the line of the first text that follows offset: a name within an object.
func lineBelow(lines lineIndex, content []byte, offset int, text string) int {
	const far = 4 << 10
	window := content[min(offset, len(content)):min(len(content), offset+far)]
	if i := bytes.Index(window, []byte(text)); i >= 0 {
		return lines.line(offset + i)
	}
	return lineOf(lines, content, offset)
}

func keysOf[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
