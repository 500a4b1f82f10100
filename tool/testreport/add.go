package testreport

import (
	"cmp"
	"slices"
)

// Add makes r the report of both. What both say of a file's coverage, the later one says.
func (r *Report) Add(other *Report) {
	room := max(0, MostCases-len(r.Cases))
	take := min(room, len(other.Cases))
	r.Cases = append(r.Cases, other.Cases[:take]...)
	r.Dropped += other.Dropped + len(other.Cases) - take
	if other.Coverage == nil {
		return
	}
	if r.Coverage == nil {
		r.Coverage = &Coverage{}
	}
	r.Coverage.add(other.Coverage)
}

func (c *Coverage) add(other *Coverage) {
	files := append(slices.Clip(c.Files), other.Files...)
	slices.SortStableFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	var kept []File
	for _, f := range files {
		if n := len(kept); n > 0 && kept[n-1].Path == f.Path {
			c.Count.sub(kept[n-1].Count)
			kept[n-1] = f
			continue
		}
		kept = append(kept, f)
	}
	c.Count.plus(other.Count)
	c.Dropped += other.Dropped + max(0, len(kept)-MostFiles)
	c.Files = kept[:min(len(kept), MostFiles)]
}

func (c *Count) plus(o Count) {
	c.LinesCovered += o.LinesCovered
	c.LinesMissed += o.LinesMissed
	c.BranchesCovered += o.BranchesCovered
	c.BranchesMissed += o.BranchesMissed
}

func (c *Count) sub(o Count) {
	c.LinesCovered -= o.LinesCovered
	c.LinesMissed -= o.LinesMissed
	c.BranchesCovered -= o.BranchesCovered
	c.BranchesMissed -= o.BranchesMissed
}
