package journal

// A window remembers the newest request ids.
type window struct {
	most int
	ids  map[requestHash]struct{}
	ring []requestHash // in the order they came; once full, next is the oldest
	next int
}

func (w *window) has(id requestHash) bool {
	_, ok := w.ids[id]
	return ok
}

func (w *window) add(id requestHash) {
	if id == nobody || w.has(id) {
		return
	}
	if w.ids == nil {
		w.ids = map[requestHash]struct{}{}
	}
	w.ids[id] = struct{}{}
	if len(w.ring) < w.most {
		w.ring = append(w.ring, id)
		return
	}
	delete(w.ids, w.ring[w.next])
	w.ring[w.next] = id
	w.next = (w.next + 1) % w.most
}
