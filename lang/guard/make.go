package guard

import (
	"iter"
	"math"
	"path"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/diag"
)

// Unknown is what is known of a value that cannot be known before the resource is
// made: a parameter without a default, an attribute of another resource.
type Unknown struct {
	Why string // parameter Stage has no default

	// Present: the value is there, whatever it is.
	Present bool
	// Plain: where it is unknown, stands a name, number or address that the cloud
	// gives: it is not empty and is neither a wildcard nor a truth value.
	Plain bool
	// Filled: if it is a list, something is in it.
	Filled bool
	// Parts are the texts around what is unknown of a text, first and last
	// included: ["arn:aws:s3:::", "/*"]; nil where nothing is known of it.
	Parts []string
	// As is what stands there instead: {Ref: Key}. Rules may look into it.
	As *Value
}

// Member is a member of a map that is made.
type Member struct{ Name, Value *Value }

// NewNull makes nothing.
func NewNull() *Value { return &Value{kind: kindNull} }

// NewBool makes a truth value.
func NewBool(b bool) *Value { return &Value{kind: kindBool, truth: b} }

// NewInt makes an integer.
func NewInt(n int64) *Value { return &Value{kind: kindInt, number: n} }

// NewFloat makes a float.
func NewFloat(f float64) *Value { return &Value{kind: kindFloat, number: int64(math.Float64bits(f))} }

// NewNumber makes an integer or a float of its text in JSON.
func NewNumber(text string) *Value { return number(text) }

// NewText makes a text.
func NewText(s string) *Value { return newString(s) }

// NewList makes a list. Its items are its own from then on.
func NewList(items ...*Value) *Value { return newList(items) }

// NewMap makes a map; of a name that comes twice the last value counts. Names and
// values are its own from then on; a value is in one map or list only: see Clone.
func NewMap(members ...Member) *Value {
	fields := make([]field, 0, len(members))
	for _, m := range members {
		fields = append(fields, field{m.Name, m.Value})
	}
	return newMap(fields)
}

// NewUnknown makes a value that cannot be known.
func NewUnknown(u Unknown) *Value { return &Value{kind: kindUnknown, unknown: &u} }

// Perhaps marks a value that is there only under a condition that cannot be known.
func (v *Value) Perhaps(why string) *Value {
	if v.kind == kindUnknown {
		u := *v.unknown
		u.Present = false
		v.unknown = &u
		return v
	}
	v.unknown = &Unknown{Why: why}
	return v
}

// At puts v at a place: file is its number among the files of the document.
func (v *Value) At(file, line, column int) *Value {
	v.file, v.line, v.column = uint16(file), int32(line), int32(column)
	return v
}

// As puts v where other is.
func (v *Value) As(other *Value) *Value {
	if other != nil {
		v.file, v.line, v.column = other.file, other.line, other.column
	}
	return v
}

// Clone is a copy of v that is in no map or list.
func (v *Value) Clone() *Value {
	c := *v
	c.parent, c.byName = nil, nil
	switch v.kind {
	case kindList:
		items := make([]*Value, len(v.items))
		for i, x := range v.items {
			items[i] = x.Clone()
		}
		l := newList(items)
		c.items = l.items
		for _, x := range c.items {
			x.parent = &c
		}
	case kindMap:
		fields := make([]field, len(v.fields))
		for i, f := range v.fields {
			fields[i] = field{f.key.Clone(), f.value.Clone()}
		}
		m := newMap(fields)
		c.fields, c.byName = m.fields, m.byName
		for _, f := range c.fields {
			f.key.parent, f.value.parent = &c, &c
		}
	}
	return &c
}

// IsMap tells whether v is a map.
func (v *Value) IsMap() bool { return v != nil && v.kind == kindMap }

// IsList tells whether v is a list.
func (v *Value) IsList() bool { return v != nil && v.kind == kindList }

// IsNull tells whether v is nothing.
func (v *Value) IsNull() bool { return v == nil || v.kind == kindNull }

// Unknown is what is known of a value that is unknown as a whole, else nil.
func (v *Value) Unknown() *Unknown {
	if v == nil || v.kind != kindUnknown {
		return nil
	}
	return v.unknown
}

// Text is the text that v is.
func (v *Value) Text() (text string, ok bool) {
	if v == nil || v.kind != kindString {
		return "", false
	}
	return v.text, true
}

// Scalar is a text, number or truth value as a text.
func (v *Value) Scalar() (text string, ok bool) {
	switch {
	case v == nil:
		return "", false
	case v.kind == kindString:
		return v.text, true
	case v.kind == kindBool || v.numeric():
		return v.show(100), true
	}
	return "", false
}

// Truth is the truth value that v is, also where it is written as a text.
func (v *Value) Truth() (truth, ok bool) {
	switch {
	case v == nil:
	case v.kind == kindBool:
		return v.truth, true
	case v.kind == kindString && (v.text == "true" || v.text == "True"):
		return true, true
	case v.kind == kindString && (v.text == "false" || v.text == "False"):
		return false, true
	}
	return false, false
}

// Whole is the integer that v is.
func (v *Value) Whole() (n int64, ok bool) {
	if v == nil || v.kind != kindInt {
		return 0, false
	}
	return v.number, true
}

// Get is the member of that name, or nil; also of what is nil or no map.
func (v *Value) Get(name string) *Value {
	if v == nil || v.kind != kindMap {
		return nil
	}
	return v.get(name)
}

// Items are the items of a list.
func (v *Value) Items() []*Value {
	if v == nil || v.kind != kindList {
		return nil
	}
	return v.items
}

// Members are the members of a map, in their order.
func (v *Value) Members() iter.Seq2[*Value, *Value] {
	return func(yield func(*Value, *Value) bool) {
		if v == nil || v.kind != kindMap {
			return
		}
		for _, f := range v.fields {
			if !yield(f.key, f.value) {
				return
			}
		}
	}
}

// Len is how many members or items a map or list has.
func (v *Value) Len() int {
	if v == nil {
		return 0
	}
	return len(v.items) + len(v.fields)
}

// Path is how one gets to v from the top, as a JSON pointer.
func (v *Value) Path() string { return v.path() }

// String shows v, cut where it is long.
func (v *Value) String() string { return v.show(shown) }

// JSON is v as JSON. What is unknown is what stands there instead, or a map with
// the one member Haechi::Unknown, which says why.
func (v *Value) JSON() jsontext.Value {
	var b []byte
	return v.appendJSON(b)
}

func (v *Value) appendJSON(b []byte) []byte {
	switch v.kind {
	case kindString:
		b, _ = jsontext.AppendQuote(b, v.text)
		return b
	case kindList:
		b = append(b, '[')
		for i, x := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = x.appendJSON(b)
		}
		return append(b, ']')
	case kindMap:
		b = append(b, '{')
		for i, f := range v.fields {
			if i > 0 {
				b = append(b, ',')
			}
			b, _ = jsontext.AppendQuote(b, f.key.text)
			b = append(b, ':')
			b = f.value.appendJSON(b)
		}
		return append(b, '}')
	case kindUnknown:
		if v.unknown.As != nil {
			return v.unknown.As.appendJSON(b)
		}
		b = append(b, `{"Haechi::Unknown":`...)
		b, _ = jsontext.AppendQuote(b, v.unknown.Why)
		return append(b, '}')
	}
	return append(b, v.show(400)...)
}

// Made is a document whose root was made; files are those that its values are in.
func Made(root *Value, files ...string) *Document {
	return &Document{name: files[0], root: root, files: files}
}

// Below is the document with another folder before the names of its files.
func (d *Document) Below(folder string) *Document {
	files := make([]string, len(d.files))
	for i, f := range d.files {
		files[i] = path.Join(folder, f)
	}
	return &Document{name: path.Join(folder, d.name), root: d.root, files: files}
}

// Root is the whole of the document.
func (d *Document) Root() *Value { return d.root }

// Place is where a value of the document was written.
func (d *Document) Place(v *Value) diag.Place {
	for x := v; x != nil; x = x.parent {
		if x.line > 0 {
			p := diag.Place{File: d.name, Line: int(x.line), Column: int(x.column)}
			if int(x.file) < len(d.files) {
				p.File = d.files[x.file]
			}
			return p
		}
	}
	return diag.Place{File: d.name}
}

// Same tells whether a and b are equal; known is false where that depends on what is unknown.
func Same(a, b *Value) (same, known bool) {
	t, _ := equal(a, b)
	return t == yes, t != maybe
}

// Why is the reason for which v, or something within it, is unknown, or "".
func (v *Value) Why() string { return v.why() }

// Doubt is why v, which is known, may not be there at all, or "".
func (v *Value) Doubt() string { return v.perhaps() }

// Line is where v begins, or 0.
func (v *Value) Line() int { return int(v.line) }

// InFile says which of the document's files v is in.
func (v *Value) InFile(file int) *Value {
	v.file = uint16(file)
	return v
}

// InFileAll is InFile for v and all within it.
func (v *Value) InFileAll(file int) *Value {
	v.file = uint16(file)
	for _, x := range v.items {
		x.InFileAll(file)
	}
	for _, f := range v.fields {
		f.key.InFileAll(file)
		f.value.InFileAll(file)
	}
	return v
}

// OnLine moves v to another line of its file.
func (v *Value) OnLine(line int) *Value {
	v.line, v.column = int32(line), 1
	return v
}
