package secret

import (
	"bytes"
	"encoding/base64"
)

const (
	shortestRun = 20       // shorter base64 holds nothing worth decoding
	longestRun  = 64 << 10 // and longer text is no secret
)

// base64Table tells the characters of base64, both alphabets.
func base64Table() (table [256]bool) {
	for c := range 256 {
		b := byte(c)
		table[c] = isAlnum(b) || b == '+' || b == '/' || b == '-' || b == '_'
	}
	return table
}

// run is base64 in a text, maybe over several lines.
type run struct {
	start, end int
	text       []byte // what it decodes to
}

// decodeRuns finds base64 that decodes to text. It looks at every twentieth
// byte first, so that prose and code cost next to nothing.
func decodeRuns(text []byte, table *[256]bool, found func(run)) {
	for i := shortestRun - 1; i < len(text); {
		if !table[text[i]] {
			i += shortestRun
			continue
		}
		start := i
		for start > 0 && i-start < shortestRun && table[text[start-1]] {
			start--
		}
		end := i + 1
		for end < len(text) && table[text[end]] {
			end++
		}
		next := end + shortestRun
		if end-start >= shortestRun {
			r, ok := decodeRun(text, start, end, table)
			if ok {
				found(r)
			}
			next = max(next, r.end+shortestRun) // what is too long is not read again from its next line
		}
		i = next
	}
}

func decodeRun(text []byte, start, end int, table *[256]bool) (run, bool) {
	var first [12]byte
	n, err := encodingOf(text[start:end]).Decode(first[:], text[start:start+16])
	if err != nil || !printable(first[:n]) {
		return run{}, false
	}
	encoded := make([]byte, 0, end-start)
	encoded = append(encoded, text[start:end]...)
	for len(encoded) < longestRun { // the next lines, if they hold nothing else
		more, after := nextLine(text, end, table)
		if len(more) == 0 {
			break
		}
		encoded, end = append(encoded, more...), after
	}
	if len(encoded) > longestRun {
		return run{end: end}, false
	}
	decoded := make([]byte, len(encoded))
	n, err = encodingOf(encoded).Decode(decoded, encoded)
	if err != nil || !printable(decoded[:n]) {
		return run{}, false
	}
	return run{start: start, end: end, text: decoded[:n]}, true
}

func encodingOf(encoded []byte) *base64.Encoding {
	if bytes.ContainsAny(encoded, "-_") {
		return base64.RawURLEncoding
	}
	return base64.RawStdEncoding
}

// nextLine is the base64 on the line after end, if end is the end of a line and the next holds nothing else.
func nextLine(text []byte, end int, table *[256]bool) ([]byte, int) {
	i := end
	for i < len(text) && (text[i] == '\r' || text[i] == ' ') {
		i++
	}
	if i >= len(text) || text[i] != '\n' {
		return nil, 0
	}
	for i++; i < len(text) && (text[i] == ' ' || text[i] == '\t'); {
		i++
	}
	from := i
	for i < len(text) && table[text[i]] {
		i++
	}
	to := i
	for i < len(text) && (text[i] == '=' || text[i] == '\r' || text[i] == ' ') {
		i++
	}
	if i < len(text) && text[i] != '\n' {
		return nil, 0
	}
	return text[from:to], to
}
