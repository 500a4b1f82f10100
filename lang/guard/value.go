package guard

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/word/diag"
)

// kind is what a value is.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindInt
	kindFloat
	kindChar // only from parse_char and within ranges
	kindString
	kindRegex // only in rules
	kindRange // only in rules
	kindList
	kindMap
	kindUnknown // only in documents that were made
)

func (k kind) String() string {
	return [...]string{"null", "a boolean", "an integer", "a float", "a character", "a string", "a regular expression", "a range", "a list", "a map", "unknown"}[k]
}

// Value is a node of a document, or a literal of a rule: it knows where it was
// written and how one gets to it from the top.
type Value struct {
	kind   kind
	truth  bool
	file   uint16 // the number of its file among those of the document
	index  int32  // within parent, where that is a list
	number int64  // kindInt, kindChar; kindFloat: its bits
	text   string // kindString, kindRegex: as written
	items  []*Value
	fields []field
	byName map[string]int // of fields, where there are many

	literal *literal // kindRegex, kindRange

	unknown *Unknown // of kindUnknown; of any other: it may not be there at all

	parent       *Value
	name         string // within parent, where that is a map
	line, column int32  // from 1; 0 for what was computed
}

// literal is what only rules hold. Documents have many values, which stay small.
type literal struct {
	match matcher // kindRegex
	span  *span   // kindRange
}

// float is the number that a kindFloat is.
func (v *Value) float() float64 { return math.Float64frombits(uint64(v.number)) }

// field is a member of a map; its key is a value too, because rules filter keys.
type field struct {
	key   *Value
	value *Value
}

// span is r[low,high] and its like.
type span struct {
	low, high         *Value
	lowOpen, highOpen bool // the end itself is not in it
}

// many is from how many members on a map gets an index.
const many = 12

// newMap makes a map of fields; a name that comes twice keeps its first place and its last value.
func newMap(fields []field) *Value {
	v := &Value{kind: kindMap, fields: fields}
	if len(fields) > many {
		v.byName = make(map[string]int, len(fields))
		for i, f := range fields {
			v.byName[f.key.text] = i
		}
	}
	for i := range v.fields {
		for _, x := range []*Value{v.fields[i].key, v.fields[i].value} {
			x.parent, x.name = v, v.fields[i].key.text
		}
	}
	return v
}

func newList(items []*Value) *Value {
	v := &Value{kind: kindList, items: items}
	for i, x := range items {
		x.parent, x.index = v, int32(i)
	}
	return v
}

func newString(s string) *Value { return &Value{kind: kindString, text: s} }

// computed is v at the place of from: what a function makes of a value is reported where that is.
func computed(v, from *Value) *Value {
	if from != nil {
		v.parent, v.name, v.index, v.file, v.line, v.column = from.parent, from.name, from.index, from.file, from.line, from.column
	}
	return v
}

// get is the member called name of a map, or nil.
func (v *Value) get(name string) *Value {
	if v.byName != nil {
		if i, ok := v.byName[name]; ok {
			return v.fields[i].value
		}
		return nil
	}
	for i := range v.fields {
		if v.fields[i].key.text == name {
			return v.fields[i].value
		}
	}
	return nil
}

func (v *Value) scalar() bool {
	return v.kind != kindList && v.kind != kindMap && v.kind != kindUnknown
}

// path is how one gets to v from the top of its document, as a JSON pointer.
func (v *Value) path() string {
	var steps []string
	for x := v; x.parent != nil; x = x.parent {
		if x.parent.kind == kindList {
			steps = append(steps, strconv.Itoa(int(x.index)))
		} else {
			steps = append(steps, escape(x.name))
		}
	}
	var b strings.Builder
	for i := len(steps) - 1; i >= 0; i-- {
		b.WriteString("/" + steps[i])
	}
	return b.String()
}

// escape writes a name as a step of a JSON pointer.
func escape(name string) string {
	if !strings.ContainsAny(name, "~/") {
		return name
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// place is where v was written, as far as that is known.
func (v *Value) place(file string) diag.Place {
	for x := v; x != nil; x = x.parent {
		if x.line > 0 {
			return diag.Place{File: file, Line: int(x.line), Column: int(x.column)}
		}
	}
	return diag.Place{File: file}
}

// show writes v as JSON for people, cut after about most bytes.
func (v *Value) show(most int) string {
	var b strings.Builder
	v.write(&b, most)
	if b.Len() <= most {
		return b.String()
	}
	s := b.String()[:most]
	for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

func (v *Value) write(b *strings.Builder, most int) {
	if b.Len() > most {
		return
	}
	switch v.kind {
	case kindNull:
		b.WriteString("null")
	case kindBool:
		b.WriteString(strconv.FormatBool(v.truth))
	case kindInt:
		b.WriteString(strconv.FormatInt(v.number, 10))
	case kindFloat:
		b.WriteString(floatText(v.float()))
	case kindChar:
		b.WriteString(strconv.Quote(string(rune(v.number))))
	case kindString:
		b.WriteString(strconv.Quote(v.text[:min(len(v.text), most+1)]))
	case kindRegex:
		b.WriteString("/" + v.text + "/")
	case kindRange:
		v.literal.span.write(b, most)
	case kindList:
		b.WriteByte('[')
		for i, x := range v.items {
			if i > 0 {
				b.WriteByte(',')
			}
			x.write(b, most)
			if b.Len() > most {
				return
			}
		}
		b.WriteByte(']')
	case kindUnknown:
		v.unknown.write(b, most)
	case kindMap:
		b.WriteByte('{')
		for i, f := range v.fields {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strconv.Quote(f.key.text) + ":")
			f.value.write(b, most)
			if b.Len() > most {
				return
			}
		}
		b.WriteByte('}')
	}
}

func (u *Unknown) write(b *strings.Builder, most int) {
	switch {
	case u.As != nil:
		u.As.write(b, most)
	case u.Parts != nil:
		b.WriteString(strconv.Quote(strings.Join(u.Parts, "…")))
	default:
		b.WriteString("unknown")
	}
}

func (s *span) write(b *strings.Builder, most int) {
	b.WriteByte('r')
	b.WriteByte("[("[btoi(s.lowOpen)])
	s.low.write(b, most)
	b.WriteByte(',')
	s.high.write(b, most)
	b.WriteByte("])"[btoi(s.highOpen)])
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func floatText(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}
