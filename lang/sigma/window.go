package sigma

import (
	"slices"
	"time"
)

// A Window is what a correlation remembers of one group: plain data, to be kept by whoever counts.
type Window struct {
	Entries []Entry `json:"entries,omitzero"` // by time
	Began   int64   `json:"began,omitzero"`   // what First was at first: the name of the episode
	First   int64   `json:"first,omitzero"`   // of the episode that goes on, Unix milliseconds; 0 for none
	Last    int64   `json:"last,omitzero"`
	Count   int     `json:"count,omitzero"`
}

// An Entry is one detection that was counted.
type Entry struct {
	At    int64  `json:"at"` // Unix milliseconds
	Value string `json:"value,omitzero"`
}

// late is how much later than others a record may come in and still be counted in its place.
const late = time.Hour

// Observe counts one detection and tells whether the correlation holds now. Once it
// does, what follows within the timespan belongs to the same episode. Entries that
// can no more take part are forgotten.
func (c *Correlation) Observe(w *Window, at time.Time, value string) bool {
	e := Entry{At: at.UnixMilli()}
	if c.Kind == ValueCount {
		if value == "" {
			return false
		}
		e.Value = value
	}
	span := c.Timespan.Milliseconds()
	if w.First != 0 && e.At >= w.First-span && e.At <= w.Last+span {
		w.First, w.Last, w.Count = min(w.First, e.At), max(w.Last, e.At), w.Count+1
		return true
	}
	i, _ := slices.BinarySearchFunc(w.Entries, e.At+1, func(x Entry, at int64) int { return int(x.At - at) })
	w.Entries = slices.Insert(w.Entries, i, e)
	w.forget(span)
	from, to, ok := c.full(w.Entries, span)
	if !ok {
		return false
	}
	w.First, w.Last, w.Count = w.Entries[from].At, w.Entries[to-1].At, to-from
	w.Began = w.First
	w.Entries = slices.Delete(w.Entries, from, to)
	return true
}

// full finds the first stretch no longer than span that holds enough.
func (c *Correlation) full(all []Entry, span int64) (from, to int, ok bool) {
	values := map[string]int{}
	for from, to = 0, 0; to < len(all); {
		values[all[to].Value]++
		to++
		for all[to-1].At-all[from].At > span {
			if values[all[from].Value]--; values[all[from].Value] == 0 {
				delete(values, all[from].Value)
			}
			from++
		}
		count := to - from
		if c.Kind == ValueCount {
			count = len(values)
		}
		if count >= c.Least {
			return from, to, true
		}
	}
	return 0, 0, false
}

// forget drops what is too old, and the oldest of what is too much.
func (w *Window) forget(span int64) {
	newest := w.Entries[len(w.Entries)-1].At
	n := 0
	for n < len(w.Entries) && w.Entries[n].At < newest-span-late.Milliseconds() {
		n++
	}
	n = max(n, len(w.Entries)-2*maxLeast)
	w.Entries = slices.Delete(w.Entries, 0, n)
}
