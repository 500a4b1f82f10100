package secret

import (
	"cmp"
	"slices"
)

func (s *search) settle() []hit { return settle(s.hits, s.vetoes) }

// settle keeps the surest of hits that overlap, and none where a veto lies unless it is as sure.
func settle(hits []hit, vetoes []span) []hit {
	slices.SortStableFunc(hits, func(a, b hit) int {
		return cmp.Or(b.rule.rank-a.rule.rank, int(b.verdict)-int(a.verdict), a.start-b.start, b.end-a.end)
	})
	var kept []hit
	taken, vetoed := intervals{}, merged(vetoes)
	for _, h := range hits {
		if h.rule.rank == rankGeneric && h.rule.lexer != "pem" && vetoed.overlap(h.start, h.end) {
			continue
		}
		if taken.overlap(h.start, h.end) {
			continue
		}
		taken.add(h.start, h.end)
		kept = append(kept, h)
	}
	slices.SortFunc(kept, func(a, b hit) int { return cmp.Or(a.start-b.start, a.end-b.end) })
	return kept
}

// merged is spans made disjoint.
func merged(spans []span) intervals {
	slices.SortFunc(spans, func(a, b span) int { return a.start - b.start })
	var in intervals
	for _, v := range spans {
		if last := len(in) - 1; last >= 0 && v.start <= in[last].end {
			in[last].end = max(in[last].end, v.end)
		} else {
			in = append(in, v)
		}
	}
	return in
}

// intervals are disjoint, in order.
type intervals []span

func (in *intervals) find(start int) int {
	i, _ := slices.BinarySearchFunc(*in, start, func(s span, start int) int { return s.end - start - 1 })
	return i // the first that ends after start
}

func (in *intervals) overlap(start, end int) bool {
	i := in.find(start)
	return i < len(*in) && (*in)[i].start < end
}

func (in *intervals) add(start, end int) {
	*in = slices.Insert(*in, in.find(start), span{start, end})
}
