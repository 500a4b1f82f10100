package report

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/fault"
)

func (d *doc) decoder() *jsontext.Decoder {
	in := &bounded{Reader: d.open()}
	dec := jsontext.NewDecoder(in, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	in.done = dec.InputOffset
	return dec
}

// wrongJSON says where JSON is not.
func (d *doc) wrongJSON(dec *jsontext.Decoder, err error) error {
	var bad *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return d.wrong(d.size-d.off, "it ends in the middle: the report is torn")
	case errors.As(err, &bad):
		return d.wrong(bad.ByteOffset, "this is not JSON: %w", bad.Err)
	case fault.Of(err) != fault.Internal:
		return d.wrong(dec.InputOffset(), "%w", err)
	}
	return err
}

// lookJSON reads the report to its end, and what its first object says.
func (d *doc) lookJSON() error {
	d.kind = isJSON
	d.members = map[string]bool{}
	dec := d.decoder()
	for {
		switch dec.PeekKind() {
		case '[':
			d.list = true
			if err := d.lookList(dec); err != nil {
				return d.wrongJSON(dec, err)
			}
		case '{':
			if err := d.lookObject(dec, d.roots == 0); err != nil {
				return d.wrongJSON(dec, err)
			}
		default:
			_, err := dec.ReadToken()
			if err == io.EOF && d.roots > 0 {
				d.list = d.list || d.roots > 1
				return nil
			}
			if err == nil {
				err = fault.Invalid.Errorf("a report is made of objects")
			}
			return d.wrongJSON(dec, err)
		}
		d.roots++
	}
}

func (d *doc) lookList(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for i := 0; dec.PeekKind() != ']'; i++ {
		var err error
		if dec.PeekKind() == '{' {
			err = d.lookObject(dec, i == 0 && d.roots == 0)
		} else {
			err = skipValue(dec)
		}
		if err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// lookObject reads an object; of the first it keeps the names, and the values that are no list, a few levels deep.
func (d *doc) lookObject(dec *jsontext.Decoder, first bool) error {
	if !first {
		return skipValue(dec)
	}
	room := 20_000 // values: what formats are told by comes early and is small
	v, err := d.sketch(dec, 0, &room)
	d.head = node{v}
	return err
}

const sketchDepth = 3

func (d *doc) sketch(dec *jsontext.Decoder, depth int, room *int) (any, error) {
	*room--
	switch dec.PeekKind() {
	case '{':
		if depth > sketchDepth || *room < 0 {
			return map[string]any{}, skipValue(dec)
		}
		if _, err := dec.ReadToken(); err != nil {
			return nil, err
		}
		m := map[string]any{}
		for dec.PeekKind() != '}' {
			name, err := dec.ReadToken()
			if err != nil {
				return nil, err
			}
			label := name.String()
			if depth == 0 && len(d.members) < 1000 {
				d.members[label] = true
			}
			v, err := d.sketch(dec, depth+1, room)
			if err != nil {
				return nil, err
			}
			if *room > 0 {
				m[label] = v
			}
		}
		_, err := dec.ReadToken()
		return m, err
	case '[':
		if _, err := dec.ReadToken(); err != nil {
			return nil, err
		}
		list := []any{}
		for dec.PeekKind() != ']' {
			if len(list) == 0 && depth <= sketchDepth {
				v, err := d.sketch(dec, depth+1, room)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
				continue
			}
			if err := skipValue(dec); err != nil {
				return nil, err
			}
		}
		_, err := dec.ReadToken()
		return list, err
	}
	return scalar(dec)
}

func scalar(dec *jsontext.Decoder) (any, error) {
	t, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch t.Kind() {
	case '"':
		return strings.ToValidUTF8(t.String(), "\uFFFD"), nil
	case '0':
		return number(t.String()), nil
	case 't', 'f':
		return t.Bool(), nil
	case 'n':
		return nil, nil
	}
	return nil, fault.Invalid.Errorf("a value is missing")
}

// skipValue passes over a value, within the depth that is allowed.
func skipValue(dec *jsontext.Decoder) error {
	start := dec.StackDepth()
	for {
		t, err := dec.ReadToken()
		if err != nil {
			return err
		}
		switch t.Kind() {
		case '{', '[':
			if dec.StackDepth() > maxDepth {
				return fault.Limit.Errorf("it is nested more than %d deep", maxDepth)
			}
		}
		if dec.StackDepth() == start {
			return nil
		}
	}
}

// eachJSON walks every value of the report.
func (d *doc) eachJSON(steps []string, visit func([]string, node) error) error {
	dec := d.decoder()
	for {
		_, done := dec.PeekKind(), false
		if dec.PeekKind() == 0 {
			_, err := dec.ReadToken()
			done = err == io.EOF
			if !done {
				return d.wrongJSON(dec, err)
			}
		}
		if done {
			return nil
		}
		if err := d.walk(dec, steps, nil, visit); err != nil {
			return err
		}
	}
}

func (d *doc) walk(dec *jsontext.Decoder, steps, at []string, visit func([]string, node) error) error {
	if len(steps) == 0 {
		room := budget(maxRecord)
		v, err := d.tree(dec, nil, &room)
		if err != nil {
			return d.wrongJSON(dec, err)
		}
		return visit(at, node{v})
	}
	step := steps[0]
	switch k := dec.PeekKind(); {
	case k == '[' && (step == "*" || step == "[]"):
		if _, err := dec.ReadToken(); err != nil {
			return d.wrongJSON(dec, err)
		}
		for i := 0; dec.PeekKind() != ']'; i++ {
			if err := d.walk(dec, steps[1:], append(at, strconv.Itoa(i)), visit); err != nil {
				return err
			}
		}
		_, err := dec.ReadToken()
		return d.orWrong(dec, err)
	case step == "[]":
		return d.walk(dec, steps[1:], append(at, ""), visit)
	case k == '{':
		if _, err := dec.ReadToken(); err != nil {
			return d.wrongJSON(dec, err)
		}
		for dec.PeekKind() != '}' {
			name, err := dec.ReadToken()
			if err != nil {
				return d.wrongJSON(dec, err)
			}
			label := name.String()
			if step == "*" || step == label {
				err = d.walk(dec, steps[1:], append(at, label), visit)
			} else {
				err = d.orWrong(dec, skipValue(dec))
			}
			if err != nil {
				return err
			}
		}
		_, err := dec.ReadToken()
		return d.orWrong(dec, err)
	}
	return d.orWrong(dec, skipValue(dec))
}

func (d *doc) orWrong(dec *jsontext.Decoder, err error) error {
	if err == nil {
		return nil
	}
	return d.wrongJSON(dec, err)
}

// tree is a value as a whole, without what the paths in less lead to.
func (d *doc) tree(dec *jsontext.Decoder, less [][]string, room *budget) (any, error) {
	if dec.StackDepth() > maxDepth {
		return nil, fault.Limit.Errorf("it is nested more than %d deep", maxDepth)
	}
	switch dec.PeekKind() {
	case '{':
		if _, err := dec.ReadToken(); err != nil {
			return nil, err
		}
		m := map[string]any{}
		for dec.PeekKind() != '}' {
			name, err := dec.ReadToken()
			if err != nil {
				return nil, err
			}
			label := strings.ToValidUTF8(name.String(), "\uFFFD")
			if err := room.spend(len(label)); err != nil {
				return nil, err
			}
			below, left := cutPaths(less, label)
			if left {
				if err := skipValue(dec); err != nil {
					return nil, err
				}
				continue
			}
			v, err := d.tree(dec, below, room)
			if err != nil {
				return nil, err
			}
			m[label] = v
		}
		_, err := dec.ReadToken()
		return m, err
	case '[':
		if _, err := dec.ReadToken(); err != nil {
			return nil, err
		}
		list := []any{}
		below, left := cutPaths(less, "*")
		for dec.PeekKind() != ']' {
			if left {
				if err := skipValue(dec); err != nil {
					return nil, err
				}
				continue
			}
			v, err := d.tree(dec, below, room)
			if err != nil {
				return nil, err
			}
			if err := room.spend(0); err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.ReadToken()
		return list, err
	}
	v, err := scalar(dec)
	if s, ok := v.(string); ok && err == nil {
		err = room.spend(len(s))
	}
	return v, err
}

// cutPaths are the paths that go on below a member; left tells that one ends there.
func cutPaths(paths [][]string, label string) (below [][]string, left bool) {
	for _, p := range paths {
		if p[0] != label && p[0] != "*" {
			continue
		}
		if len(p) == 1 {
			return nil, true
		}
		below = append(below, p[1:])
	}
	return below, false
}

// rest is the report as a whole, without what the paths lead to; of values one after the other the first.
func (d *doc) rest(less ...string) (node, error) {
	var paths [][]string
	for _, p := range less {
		paths = append(paths, strings.Split(p, "/"))
	}
	dec, room := d.decoder(), budget(maxRecord)
	v, err := d.tree(dec, paths, &room)
	return node{v}, d.orWrong(dec, err)
}
