package hub

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// value is one value of an attribute, as it is in a finding.
type value struct {
	text     string // of a text, a map's entry, an address; "true" or "false"
	key      string // of a map's entry
	number   float64
	at       int64 // microseconds, where the hub has them at hand
	isNumber bool
	isTime   bool
}

// trie knows where in a finding's JSON the wanted attributes are, so that one
// pass over the text reads them all and skips everything else.
type trie struct {
	next map[string]*trie
	all  []int // tests that want every text below here (Keyword)
	here []int // tests that want the scalars here
	maps []int // tests that want the entries of the object here
}

func newTrie(tests []test) *trie {
	root := &trie{}
	for i, t := range tests {
		at := root
		for _, name := range t.attribute.path {
			if at.next[name] == nil {
				if at.next == nil {
					at.next = map[string]*trie{}
				}
				at.next[name] = &trie{}
			}
			at = at.next[name]
		}
		switch t.attribute.kind {
		case isKeyword:
			at.all = append(at.all, i)
		case isMap:
			at.maps = append(at.maps, i)
		default:
			at.here = append(at.here, i)
		}
	}
	return root
}

// read is what the finding says of each of n tests' attributes. What is not
// JSON ends the reading; nothing is made up for the rest.
func (t *trie) read(doc []byte, n int) [][]value {
	r := reader{decoder: jsontext.NewDecoder(bytes.NewBuffer(doc), jsontext.AllowDuplicateNames(true)), found: make([][]value, n)}
	_ = r.walk(t, nil, nil)
	return r.found
}

type reader struct {
	decoder *jsontext.Decoder
	found   [][]value
}

func (r *reader) put(tests []int, v value) {
	for _, i := range tests {
		r.found[i] = append(r.found[i], v)
	}
}

// walk reads the next value. all are the tests above that want every text.
func (r *reader) walk(t *trie, all []int, entry func(value)) error {
	if t != nil && len(t.all) > 0 {
		all = append(all[:len(all):len(all)], t.all...)
	}
	if t == nil && len(all) == 0 && entry == nil {
		return r.decoder.SkipValue()
	}
	switch r.decoder.PeekKind() {
	case '{':
		return r.object(t, all)
	case '[':
		return r.array(t, all)
	}
	token, err := r.decoder.ReadToken()
	if err != nil {
		return err
	}
	v := value{}
	switch token.Kind() {
	case '"':
		v.text = token.String()
		r.put(all, v)
	case '0':
		number, err := token.Float()
		v.text, v.number, v.isNumber = token.String(), number, err == nil
	case 't', 'f':
		v.text = token.String()
	default:
		return nil // null is absent
	}
	if t != nil {
		r.put(t.here, v)
	}
	if entry != nil {
		entry(v)
	}
	return nil
}

func (r *reader) object(t *trie, all []int) error {
	if _, err := r.decoder.ReadToken(); err != nil {
		return err
	}
	for r.decoder.PeekKind() == '"' {
		token, err := r.decoder.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		var next *trie
		var entry func(value)
		if t != nil {
			next = t.next[name]
			if len(t.maps) > 0 {
				entry = func(v value) {
					v.key = name
					r.put(t.maps, v)
				}
			}
		}
		if err := r.walk(next, all, entry); err != nil {
			return err
		}
	}
	_, err := r.decoder.ReadToken()
	return err
}

func (r *reader) array(t *trie, all []int) error {
	if _, err := r.decoder.ReadToken(); err != nil {
		return err
	}
	for k := r.decoder.PeekKind(); k != ']' && k != 0; k = r.decoder.PeekKind() {
		if err := r.walk(t, all, nil); err != nil {
			return err
		}
	}
	_, err := r.decoder.ReadToken()
	return err
}
