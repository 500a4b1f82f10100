package guard

import (
	"sort"

	"github.com/haechi-dev/haechi/word/diag"
)

// linesOf are the offsets at which the lines of text begin.
func linesOf[T string | []byte](text T) []int {
	lines := []int{0}
	for i := range len(text) {
		if text[i] == '\n' {
			lines = append(lines, i+1)
		}
	}
	return lines
}

// placeOf is the line and column of an offset.
func placeOf(file string, lines []int, offset int) diag.Place {
	i := sort.SearchInts(lines, offset+1) - 1
	return diag.Place{File: file, Line: i + 1, Column: offset - lines[i] + 1}
}
