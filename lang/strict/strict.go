// Package strict reads YAML that people write into Go values, and names every mistake at its place.
//
// Struct fields are matched by their yaml tag, or their name in lower case; an
// unknown key is a mistake. Values may be strings, booleans, whole numbers,
// durations (30s, 12h, 7d), structs, slices, maps with string keys, pointers to
// these, anything that reads itself from text, and yaml.Node for what is read later.
package strict

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"go.yaml.in/yaml/v4"
)

const (
	most    = 1 << 20 // bytes of a file
	deepest = 32      // levels
	nodes   = 100_000 // values, those behind aliases counted each time
)

// Unmarshal reads text, the content of the file so named, into the value that v
// points to. What the text does not say stays as it is. The first mistake is a
// *diag.Error of kind fault.Invalid.
func Unmarshal(file string, text []byte, v any) error {
	r := reader{file: file, text: text}
	if len(text) > most {
		return fault.Invalid.Wrap(diag.Errorf(diag.Place{File: file}, "the file is larger than %d bytes", most))
	}
	root, err := r.parse()
	if err == nil && root != nil {
		err = r.value(root, reflect.ValueOf(v).Elem(), 0)
	}
	return fault.Invalid.Wrap(err)
}

// Errorf is a mistake in a node of the file, for what the caller finds wrong with what was read.
func Errorf(file string, text []byte, n *yaml.Node, format string, a ...any) error {
	r := reader{file: file, text: text}
	return fault.Invalid.Wrap(r.errorf(n, format, a...))
}

type reader struct {
	file string
	text []byte
	seen int
}

func (r *reader) errorf(n *yaml.Node, format string, a ...any) *diag.Error {
	return diag.Errorf(diag.Place{File: r.file, Line: n.Line, Column: n.Column}, format, a...).In(r.text)
}

var yamlLine = regexp.MustCompile(`(?:^|.*\b)line (\d+)[:,]? ?(.*)`)

// parse is the root node, or nil for an empty file.
func (r *reader) parse() (*yaml.Node, error) {
	var doc yaml.Node
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil { // the parser is not ours
				err = fmt.Errorf("not YAML: %v", p)
			}
		}()
		return yaml.Unmarshal(r.text, &doc)
	}()
	if err != nil {
		place := diag.Place{File: r.file}
		message := strings.TrimPrefix(err.Error(), "yaml: ")
		if m := yamlLine.FindStringSubmatch(strings.ReplaceAll(message, "\n", " ")); m != nil {
			place.Line, _ = strconv.Atoi(m[1])
			if m[2] != "" {
				message = m[2]
			}
		}
		return nil, diag.Errorf(place, "%s", message).In(r.text)
	}
	if doc.Kind == 0 || len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	nodeType     = reflect.TypeFor[yaml.Node]()
)

func (r *reader) value(n *yaml.Node, v reflect.Value, depth int) error {
	if r.seen++; r.seen > nodes || depth > deepest {
		return r.errorf(n, "the file holds too much: more than %d values, or %d levels", nodes, deepest)
	}
	if n.Kind == yaml.AliasNode {
		return r.value(n.Alias, v, depth+1)
	}
	if v.Type() == nodeType {
		v.Set(reflect.ValueOf(*n))
		return nil
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return r.value(n, v.Elem(), depth)
	}
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return r.text1(n, t)
	}
	switch v.Kind() {
	case reflect.Struct:
		return r.object(n, v, depth)
	case reflect.Slice:
		return r.list(n, v, depth)
	case reflect.Map:
		return r.mapping(n, v, depth)
	}
	return r.scalar(n, v)
}

func (r *reader) text1(n *yaml.Node, t encoding.TextUnmarshaler) error {
	if n.Kind != yaml.ScalarNode {
		return r.errorf(n, "a text is wanted here, not %s", kind(n))
	}
	if err := t.UnmarshalText([]byte(n.Value)); err != nil {
		return r.errorf(n, "%q: %s", n.Value, err)
	}
	return nil
}

func (r *reader) object(n *yaml.Node, v reflect.Value, depth int) error {
	if n.Kind != yaml.MappingNode {
		return r.errorf(n, "keys and values are wanted here, not %s", kind(n))
	}
	fields := map[string]int{}
	var names []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		if name != "-" && f.IsExported() {
			fields[name] = i
			names = append(names, name)
		}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		field, ok := fields[key.Value]
		if !ok {
			hint := diag.DidYouMean(key.Value, names)
			if hint == "" {
				slices.Sort(names)
				hint = "there are " + strings.Join(names, ", ")
			}
			return r.errorf(key, "unknown key %q", key.Value).WithHint("%s", hint)
		}
		if seen[key.Value] {
			return r.errorf(key, "%q stands here twice", key.Value)
		}
		seen[key.Value] = true
		if err := r.value(n.Content[i+1], v.Field(field), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) list(n *yaml.Node, v reflect.Value, depth int) error {
	if n.Kind == yaml.ScalarNode && v.Type().Elem().Kind() == reflect.String { // one text is a list of one
		n = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{n}, Line: n.Line, Column: n.Column}
	}
	if n.Kind != yaml.SequenceNode {
		return r.errorf(n, "a list is wanted here, not %s", kind(n))
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, min(len(n.Content), 64)))
	for _, c := range n.Content {
		e := reflect.New(v.Type().Elem()).Elem()
		if err := r.value(c, e, depth+1); err != nil {
			return err
		}
		v.Set(reflect.Append(v, e))
	}
	return nil
}

func (r *reader) mapping(n *yaml.Node, v reflect.Value, depth int) error {
	if n.Kind != yaml.MappingNode {
		return r.errorf(n, "keys and values are wanted here, not %s", kind(n))
	}
	v.Set(reflect.MakeMap(v.Type()))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := reflect.ValueOf(n.Content[i].Value).Convert(v.Type().Key())
		if v.MapIndex(key).IsValid() {
			return r.errorf(n.Content[i], "%q stands here twice", n.Content[i].Value)
		}
		e := reflect.New(v.Type().Elem()).Elem()
		if err := r.value(n.Content[i+1], e, depth+1); err != nil {
			return err
		}
		v.SetMapIndex(key, e)
	}
	return nil
}

func (r *reader) scalar(n *yaml.Node, v reflect.Value) error {
	if n.Kind != yaml.ScalarNode {
		return r.errorf(n, "one value is wanted here, not %s", kind(n))
	}
	switch {
	case v.Type() == durationType:
		d, err := Duration(n.Value)
		if err != nil {
			return r.errorf(n, "%s", err)
		}
		v.SetInt(int64(d))
	case v.Kind() == reflect.String:
		v.SetString(n.Value)
	case v.Kind() == reflect.Bool:
		if n.Value != "true" && n.Value != "false" {
			return r.errorf(n, "true or false is wanted here, not %q", n.Value)
		}
		v.SetBool(n.Value == "true")
	case v.CanInt():
		i, err := strconv.ParseInt(n.Value, 10, v.Type().Bits())
		if err != nil {
			return r.errorf(n, "a whole number is wanted here, not %q", n.Value)
		}
		v.SetInt(i)
	case v.CanUint():
		i, err := strconv.ParseUint(n.Value, 10, v.Type().Bits())
		if err != nil {
			return r.errorf(n, "a whole number, not below zero, is wanted here, not %q", n.Value)
		}
		v.SetUint(i)
	default:
		panic("strict: a field of type " + v.Type().String())
	}
	return nil
}

func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	}
	return strconv.Quote(n.Value)
}

// Duration is time.ParseDuration with days: 7d, 1d12h. It is never negative.
func Duration(text string) (time.Duration, error) {
	rest, days := text, time.Duration(0)
	if before, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseInt(before, 10, 32)
		if err != nil || n > math.MaxInt64/int64(24*time.Hour) {
			return 0, errDuration(text)
		}
		days, rest = time.Duration(n)*24*time.Hour, after
	}
	if rest == "" && days > 0 {
		return days, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || days < 0 || d > math.MaxInt64-days {
		return 0, errDuration(text)
	}
	return days + d, nil
}

func errDuration(text string) error {
	return errors.New(strconv.Quote(text) + " is not a duration, such as 30s, 12h or 7d")
}
