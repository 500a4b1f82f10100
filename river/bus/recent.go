package bus

import (
	"bytes"
	"slices"
	"sync"
)

// recent holds the events that were committed here last, by position, so that
// a follower that keeps up does not read and decode what this node just wrote.
// What another node wrote, or what is large, is not among them: there the
// follower asks the database.
type recent struct {
	mu    sync.Mutex
	slots [kept]stored
}

const (
	kept  = 2048     // events
	small = 16 << 10 // bytes of one of them
)

// add takes in events that are committed.
func (r *recent) add(events []stored) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range events {
		r.slots[s.position%kept] = s
	}
}

// after are the events behind a position without a gap, at most n, of these
// types (all if there are none), and the last position that was looked at.
func (r *recent) after(position int64, n int, types []string) (events []stored, last int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for last = position; len(events) < n; last++ {
		s := &r.slots[(last+1)%kept]
		if s.position != last+1 {
			break
		}
		if len(types) == 0 || slices.Contains(types, s.event.Type) {
			events = append(events, *s)
		}
	}
	return events, last
}

// same tells whether an event that was read back would be this one to the byte.
func (s *stored) same(body []byte) bool {
	return len(body) <= small && bytes.Contains(body, s.event.Detail)
}
