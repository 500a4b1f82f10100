// Package redact masks secrets that are known, in a stream of text, however they are written there.
//
// A secret is found as it is, in base64 (at each of the three places at which it can begin, with
// either alphabet), in hexadecimal, percent-encoded, and escaped as in JSON, XML and a shell; also where
// it was split over several writes, or over lines of whatever width. What somebody set
// his mind on hiding, such as a secret spelt backwards, is not found: who may read a secret can tell it.
package redact

import (
	"bytes"
	"slices"
)

// Mask stands where a secret stood.
const Mask = "***"

// Shortest is how many bytes a secret has at least: a shorter one stands in too many words.
const Shortest = 4

// A Value is a secret, and what to call it.
type Value struct {
	Name string
	Text string
}

// A Set is secrets to look for. It may be used by several goroutines; nil is the empty set.
type Set struct {
	auto *automaton
}

// New makes a set of values. It names those that are too short to be masked.
func New(values ...Value) (set *Set, short []string) {
	var patterns [][]byte
	for _, v := range values {
		found := forms(v.Text)
		if len(found) == 0 {
			short = append(short, v.Name)
		}
		patterns = append(patterns, found...)
	}
	slices.SortFunc(patterns, bytes.Compare)
	patterns = slices.CompactFunc(patterns, bytes.Equal)
	if len(patterns) == 0 {
		return nil, short
	}
	return &Set{newAutomaton(patterns)}, short
}

// Bytes is text with its secrets masked.
func (s *Set) Bytes(text []byte) []byte {
	var out bytes.Buffer
	w := s.Writer(&out)
	_, _ = w.Write(text) // a buffer takes everything
	_ = w.Flush()
	return out.Bytes()
}

// String is text with its secrets masked.
func (s *Set) String(text string) string { return string(s.Bytes([]byte(text))) }
