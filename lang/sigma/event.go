package sigma

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/word/fault"
)

// An Event is what a Set wants to know of one record. It is used again for the
// next record, by one goroutine at a time.
type Event struct {
	set   *Set
	slots [][]value
	hits  []int
	mark  []uint64 // which rules were looked at in this round
	round uint64

	covered map[string][]bool // which rules are about a source
}

const maxSources = 100 // to be kept in mind

func (e *Event) coveredBy(source string) []bool {
	if c, ok := e.covered[source]; ok {
		return c
	}
	c := make([]bool, len(e.set.rules))
	for i, r := range e.set.rules {
		c[i] = r.Correlation == nil && r.Source.Covers(source)
	}
	if e.covered == nil || len(e.covered) >= maxSources {
		e.covered = map[string][]bool{}
	}
	e.covered[source] = c
	return c
}

type kind uint8

const (
	nothing kind = iota // null
	text
	number
	boolean
	object // or what an array without elements leaves
)

// A value is one that a field has: of a list, each element is one.
type value struct {
	kind    kind
	lowered bool
	text    string // unescaped; of objects their JSON
	lower   string
}

// folded is the text, in lower case unless case counts.
func (v *value) folded(cased bool) string {
	if cased {
		return v.text
	}
	if !v.lowered {
		v.lower, v.lowered = strings.ToLower(v.text), true
	}
	return v.lower
}

// Event makes an event for s.
func (s *Set) Event() *Event {
	return &Event{set: s, slots: make([][]value, s.slots), mark: make([]uint64, len(s.rules))}
}

func (e *Event) clear() {
	for i := range e.slots {
		e.slots[i] = e.slots[i][:0]
	}
	e.round++
}

// ReadText takes in a record that has no fields: only keywords can match.
func (e *Event) ReadText(line string) {
	e.clear()
	if e.set.keywords >= 0 {
		e.add(e.set.keywords, value{kind: text, text: line})
	}
}

// Read takes in a record that is a JSON object. Only what rules ask for is kept,
// and only that is checked closely.
func (e *Event) Read(record string) error {
	e.clear()
	s := scanner{text: record, e: e, words: e.set.keywords >= 0}
	s.space()
	if s.peek() != '{' {
		return fault.Invalid.Errorf("a JSON object is expected")
	}
	if err := s.value(&e.set.root, 0); err != nil {
		return err
	}
	if s.space(); s.pos < len(s.text) {
		return s.wrong("something follows the object")
	}
	return nil
}

// Get is the first value of a field that the set was asked to want, or "".
func (e *Event) Get(field string) string {
	slot, ok := e.set.fields[field]
	if !ok {
		return ""
	}
	for _, v := range e.slots[slot] {
		if v.kind == text || v.kind == number || v.kind == boolean {
			return v.text
		}
	}
	return ""
}

func (e *Event) add(slot int, v value) { e.slots[slot] = append(e.slots[slot], v) }

// A tree holds which fields are wanted, member by member.
type tree struct {
	members map[string]*tree
	slot    int // 1 more than the slot's number; 0 for none
}

// child is what is wanted below a member; a name with dots is taken for the way it looks like.
func (t *tree) child(name string) *tree {
	if t == nil {
		return nil
	}
	if c := t.members[name]; c != nil || strings.IndexByte(name, '.') < 0 {
		return c
	}
	for part := range strings.SplitSeq(name, ".") {
		if t = t.members[part]; t == nil {
			return nil
		}
	}
	return t
}

// A scanner goes through JSON once and steps over what nobody wants.
type scanner struct {
	text  string
	pos   int
	e     *Event
	words bool // all values are wanted, for keywords
}

const maxJSONDepth = 200

func (s *scanner) wrong(why string) error {
	return fault.Invalid.Errorf("no JSON at byte %d: %s", s.pos, why)
}

func (s *scanner) space() {
	for s.pos < len(s.text) && s.text[s.pos] <= ' ' {
		s.pos++
	}
}

func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

func (s *scanner) value(t *tree, depth int) error {
	if depth > maxJSONDepth {
		return s.wrong("it is nested too deep")
	}
	s.space()
	start := s.pos
	switch s.peek() {
	case '{', '[':
		if t == nil && !s.words {
			return s.skip()
		}
		var err error
		if s.text[s.pos] == '{' {
			err = s.object(t, depth)
		} else {
			return s.array(t, depth)
		}
		if err == nil && t != nil && t.slot > 0 {
			s.e.add(t.slot-1, value{kind: object, text: s.text[start:s.pos]})
		}
		return err
	case '"':
		raw, escaped, err := s.string()
		if err == nil && (s.words || t != nil && t.slot > 0) {
			if escaped {
				raw = unescape(raw)
			}
			s.keep(t, value{kind: text, text: raw})
		}
		return err
	}
	return s.literal(t)
}

func (s *scanner) keep(t *tree, v value) {
	if t != nil && t.slot > 0 {
		s.e.add(t.slot-1, v)
	}
	if s.words && v.kind > nothing {
		s.e.add(s.e.set.keywords, v)
	}
}

func (s *scanner) object(t *tree, depth int) error {
	s.pos++
	for first := true; ; first = false {
		s.space()
		if s.peek() == '}' && first {
			s.pos++
			return nil
		}
		name, escaped, err := s.string()
		if err != nil {
			return err
		}
		if escaped {
			name = unescape(name)
		}
		if s.space(); s.peek() != ':' {
			return s.wrong("a colon is expected")
		}
		s.pos++
		if err := s.value(t.child(name), depth+1); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return nil
		default:
			return s.wrong("a comma or } is expected")
		}
	}
}

// array gives each element to the field it is a value of.
func (s *scanner) array(t *tree, depth int) error {
	start := s.pos
	s.pos++
	if s.space(); s.peek() == ']' {
		s.pos++
		if t != nil && t.slot > 0 {
			s.e.add(t.slot-1, value{kind: object, text: s.text[start:s.pos]})
		}
		return nil
	}
	for {
		if err := s.value(t, depth+1); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
		case ']':
			s.pos++
			return nil
		default:
			return s.wrong("a comma or ] is expected")
		}
	}
}

// string is what stands between two quotes.
func (s *scanner) string() (raw string, escaped bool, err error) {
	if s.peek() != '"' {
		return "", false, s.wrong("a text is expected")
	}
	start := s.pos + 1
	for at := start; ; {
		i := strings.IndexByte(s.text[at:], '"')
		if i < 0 {
			return "", false, s.wrong("a text has no end")
		}
		end := at + i
		backslashes := 0
		for end-backslashes > start && s.text[end-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			raw, s.pos = s.text[start:end], end+1
			return raw, escaped || backslashes > 0 || strings.IndexByte(raw, '\\') >= 0, nil
		}
		escaped, at = true, end+1
	}
}

func unescape(raw string) string {
	b, err := jsontext.AppendUnquote(nil, `"`+raw+`"`)
	if err != nil {
		return raw // as it came is better than not at all
	}
	return string(b)
}

func (s *scanner) literal(t *tree) error {
	start := s.pos
	for s.pos < len(s.text) && strings.IndexByte(",]} \t\r\n", s.text[s.pos]) < 0 {
		s.pos++
	}
	v := value{text: s.text[start:s.pos]}
	switch {
	case v.text == "null":
	case v.text == "true", v.text == "false":
		v.kind = boolean
	case v.text != "" && (v.text[0] == '-' || '0' <= v.text[0] && v.text[0] <= '9'):
		v.kind = number
	default:
		s.pos = start
		return s.wrong("a value is expected")
	}
	s.keep(t, v)
	return nil
}

// skip steps over an object or an array.
func (s *scanner) skip() error {
	for depth := 0; s.pos < len(s.text); {
		switch s.text[s.pos] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				s.pos++
				return nil
			}
		case '"':
			if _, _, err := s.string(); err != nil {
				return err
			}
			continue
		}
		s.pos++
	}
	return s.wrong("it has no end")
}
