package accessanalyzer

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/diag"
)

type location struct {
	Path []pathElement `json:"path"`
	Span span          `json:"span"`
}

// A pathElement is one step into the policy: into a list, or into an object.
type pathElement struct {
	Index *int   `json:"index,omitzero"`
	Value string `json:"value,omitzero"`
}

type span struct {
	Start position `json:"start"`
	End   position `json:"end"`
}

// A position counts lines from 1, columns and offsets from 0.
type position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Offset int `json:"offset"`
}

// locate is the place in a policy as its path and its span: that of the value,
// or of the member's name, that begins there. What is no JSON has no path.
func locate(text []byte, p diag.Place) []location {
	at := offset(text, p)
	where := location{Path: []pathElement{}, Span: span{positionOf(text, at), positionOf(text, at)}}
	dec := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return []location{where}
		}
		end := int(dec.InputOffset())
		if end <= at || token.Kind() == '}' || token.Kind() == ']' {
			continue
		}
		where.Path = elements(string(dec.StackPointer()))
		where.Span.End = positionOf(text, end)
		return []location{where}
	}
}

// elements are the steps of a JSON pointer. A step of digits is into a list:
// no element of a policy has such a name.
func elements(pointer string) []pathElement {
	all := []pathElement{}
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if step == "" {
			continue
		}
		if i, err := strconv.Atoi(step); err == nil {
			all = append(all, pathElement{Index: &i})
			continue
		}
		all = append(all, pathElement{Value: strings.NewReplacer("~1", "/", "~0", "~").Replace(step)})
	}
	return all
}

// offset is the byte that a place points at.
func offset(text []byte, p diag.Place) int {
	at := 0
	for line := 1; line < p.Line; line++ {
		next := bytes.IndexByte(text[at:], '\n')
		if next < 0 {
			break
		}
		at += next + 1
	}
	return min(at+max(p.Column-1, 0), len(text))
}

func positionOf(text []byte, at int) position {
	p := diag.At("", text, at)
	return position{Line: p.Line, Column: p.Column - 1, Offset: at}
}
