package sigma

import (
	"encoding/base64"
	"encoding/binary"
	"unicode/utf16"
)

const maxDashes = 3

// dashes is text with each dash that begins a word written in every way that Windows' programs take.
func dashes(text string) (all []string, ok bool) {
	all = []string{""}
	for i, count := 0, 0; i < len(text); i++ {
		word := i+1 < len(text) && isWord(text[i+1]) && (i == 0 || !isWord(text[i-1]))
		if (text[i] != '-' && text[i] != '/') || !word {
			for k := range all {
				all[k] += text[i : i+1]
			}
			continue
		}
		if count++; count > maxDashes {
			return nil, false
		}
		var more []string
		for _, s := range all {
			for _, d := range []string{"-", "/", "–", "—", "―"} {
				more = append(more, s+d)
			}
		}
		all = more
	}
	return all, true
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func encodeAll(texts []string, encoding string) (all []string) {
	for _, s := range texts {
		switch encoding {
		case "wide", "utf16le":
			all = append(all, utf16Text(s, binary.LittleEndian))
		case "utf16be":
			all = append(all, utf16Text(s, binary.BigEndian))
		case "base64":
			all = append(all, base64.StdEncoding.EncodeToString([]byte(s)))
		case "base64offset":
			all = append(all, atOffsets(s)...)
		}
	}
	return all
}

func utf16Text(s string, order binary.AppendByteOrder) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// atOffsets is what base64 makes of s behind 0, 1 and 2 other bytes, without the characters these have a part in.
func atOffsets(s string) (all []string) {
	begin, end := [...]int{0, 2, 3}, [...]int{0, 3, 2}
	for i := range 3 {
		text := base64.StdEncoding.EncodeToString([]byte("  "[:i] + s))
		if e := len(text) - end[(len(s)+i)%3]; e > begin[i] {
			all = append(all, text[begin[i]:e])
		}
	}
	return all
}
