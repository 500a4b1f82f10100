package licence

import (
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// prints are what the texts of licences look like, made by gen.go.
//
//go:embed prints.txt
var prints string

// Found is a licence whose text stands in a file.
type Found struct {
	ID       string
	Coverage float64 // how much of the licence's text is there, from 0 to 1
}

// window is how many words in a row are hashed together, and sample how many of
// the hashes are kept: one in so many.
const (
	window = 4
	sample = 8
)

// index is all prints, and which of them hold a hash.
type index struct {
	ids    []string
	sizes  []int
	holder map[uint32][]uint16
}

var fingerprints = sync.OnceValue(func() *index {
	x := &index{holder: map[uint32][]uint16{}}
	for line := range strings.Lines(prints) {
		parts := strings.Fields(line)
		if len(parts) != 3 || strings.HasPrefix(line, "#") {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(parts[2])
		count, err2 := strconv.Atoi(parts[1])
		if err != nil || err2 != nil || len(raw) != 4*count {
			panic("licence: prints.txt is damaged at " + parts[0])
		}
		for ; len(raw) > 0; raw = raw[4:] {
			h := binary.BigEndian.Uint32(raw)
			x.holder[h] = append(x.holder[h], uint16(len(x.ids)))
		}
		x.ids, x.sizes = append(x.ids, parts[0]), append(x.sizes, count)
	}
	return x
})

// Identify tells which licences stand in a text, the one with most text first.
// A text that holds all of a shorter licence as a part of a longer one is the longer one.
func Identify(text []byte) []Found {
	const largest, enough = 1 << 20, 0.85
	x := fingerprints()
	hits := make([]int, len(x.ids))
	where := map[int][]uint32{}
	for h := range grams(text[:min(len(text), largest)]) {
		for _, i := range x.holder[h] {
			hits[i]++
			where[int(i)] = append(where[int(i)], h)
		}
	}
	var candidates []int
	for i, n := range hits {
		if float64(n) >= enough*float64(x.sizes[i]) {
			candidates = append(candidates, i)
		}
	}
	slices.SortFunc(candidates, func(a, b int) int { // by text that is there, less what is missing
		return (2*hits[b] - x.sizes[b]) - (2*hits[a] - x.sizes[a])
	})
	taken := map[uint32]bool{}
	var found []Found
	for _, i := range candidates {
		fresh := 0
		for _, h := range where[i] {
			if !taken[h] {
				fresh++
			}
		}
		if fresh*2 < len(where[i]) || slices.ContainsFunc(found, func(f Found) bool { return f.ID == x.ids[i] }) {
			continue
		}
		for _, h := range where[i] {
			taken[h] = true
		}
		found = append(found, Found{x.ids[i], float64(hits[i]) / float64(x.sizes[i])})
	}
	return found
}

// grams are the hashes of all runs of words in a text, each once. Copyright lines
// name people and say nothing about the licence.
func grams(text []byte) map[uint32]bool {
	set := map[uint32]bool{}
	var last [window]string
	n := 0
	for line := range strings.Lines(strings.ToLower(string(text))) {
		trimmed := strings.TrimLeft(line, " \t*#/-;.")
		if strings.HasPrefix(trimmed, "copyright") && !strings.Contains(trimmed, "notice") && !strings.Contains(trimmed, "holder") && !strings.Contains(trimmed, "owner") && !strings.Contains(trimmed, "license") {
			continue
		}
		for word := range strings.FieldsFuncSeq(line, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9') }) {
			copy(last[:], last[1:])
			last[window-1] = word
			if n++; n >= window {
				h := fnv.New32a()
				for _, w := range last {
					_, _ = h.Write([]byte(w)) // a hash cannot fail
					_, _ = h.Write([]byte{0})
				}
				set[h.Sum32()] = true
			}
		}
	}
	return set
}

// sketch is the part of a text's hashes that stands for it: one in sample, or all
// of a short one.
func sketch(text []byte) []uint32 {
	const least = 24
	var all, some []uint32
	for h := range grams(text) {
		all = append(all, h)
		if h%sample == 0 {
			some = append(some, h)
		}
	}
	if len(some) < least {
		some = all
	}
	slices.Sort(some)
	return some
}

// IsText tells the names that files with licences have.
func IsText(base string) bool {
	low := strings.ToLower(base)
	for _, stem := range []string{"license", "licence", "copying", "unlicense", "notice", "copyright"} {
		if low == stem || strings.HasPrefix(low, stem+".") || strings.HasPrefix(low, stem+"-") || strings.HasPrefix(low, stem+"_") || strings.HasSuffix(low, "."+stem) || strings.HasSuffix(low, "-"+stem) {
			return !strings.HasSuffix(low, ".go") && !strings.HasSuffix(low, ".js") && !strings.HasSuffix(low, ".py") && !strings.HasSuffix(low, ".java")
		}
	}
	return false
}
