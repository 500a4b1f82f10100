package secret

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Every word is found wherever it stands, in order, however long the text and the words are.
func TestWords(t *testing.T) {
	type place struct{ word, end int }
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfNDistinct(rapid.StringMatching(`[ab]{1,4}|[abc]{60,90}|key`), 0, 8, rapid.ID[string]).Draw(t, "words")
		pieces := append(slices.Clone(words), "a", "ab", "B", "x", strings.Repeat("x", 100), strings.Repeat("ab", 3000), "KEY")
		var text strings.Builder
		for range rapid.IntRange(0, 60).Draw(t, "pieces") {
			text.WriteString(rapid.SampledFrom(pieces).Draw(t, "piece"))
		}
		var got, want []place
		build(words).each([]byte(text.String()), func(word, end int) { got = append(got, place{word, end}) })
		low := strings.ToLower(text.String())
		for end := range len(low) + 1 {
			for i, w := range words {
				if strings.HasSuffix(low[:end], w) {
					want = append(want, place{i, end})
				}
			}
		}
		order := func(a, b place) int { return (a.end-b.end)*100 + a.word - b.word }
		if !slices.IsSortedFunc(got, func(a, b place) int { return a.end - b.end }) {
			t.Fatalf("not in order: %v", got)
		}
		slices.SortFunc(got, order)
		if slices.SortFunc(want, order); !slices.Equal(got, want) {
			t.Fatalf("%d places, want %d", len(got), len(want))
		}
	})
}
