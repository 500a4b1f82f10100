package redact

import (
	"bytes"
	"io"
)

// A Writer masks what is written to it. It hands on what it is given at once, but for
// an end that may be the beginning of a secret: that waits for what follows, or for Flush. (Nearly every letter
// begins some form of some secret. So a whole line does not wait for its last few: should a
// secret be folded just there, these are shown, and the rest of it is masked.) Line breaks within a secret stay. A Writer
// is used by one goroutine at a time.
type Writer struct {
	to    io.Writer
	auto  *automaton
	state uint32

	// A letter is a byte that is no line break. Letters are counted since the first.
	seen int    // letters that were written
	done int    // of them handed on
	held []byte // the others, with the line breaks among them
	out  []byte // what is handed on next

	finds  []find // that are not yet handed on whole, in order
	within bool   // the mask of the first was handed on, in this line
	masked int
}

// find is a secret, from one letter to another.
type find struct{ from, to int }

// few letters of a secret may be shown at the end of a line.
const few = 3

// Writer masks what is written to it, and hands it on to w.
func (s *Set) Writer(w io.Writer) *Writer {
	if s == nil {
		return &Writer{to: w}
	}
	return &Writer{to: w, auto: s.auto}
}

// Masked is how many secrets were found so far.
func (w *Writer) Masked() int { return w.masked }

// Write masks p and hands it on. What is not taken is lost.
func (w *Writer) Write(p []byte) (int, error) {
	if w.auto == nil {
		return w.to.Write(p)
	}
	w.scan(p)
	pending := int(w.auto.nodes[w.state].depth)
	if pending <= few && len(p) > 0 && p[len(p)-1] == '\n' {
		pending = 0
	}
	keep, ok := ending(p, pending)
	if ok && len(w.finds) == 0 {
		return len(p), w.pass(p, keep, pending)
	}
	w.held = append(w.held, p...)
	until := w.seen - pending
	for _, f := range w.finds { // what is hidden anyway need not wait
		if f.from <= until && until < f.to {
			until = f.to
		}
	}
	return len(p), w.handOn(until)
}

// Flush hands on what is held back. Should it turn out to be the beginning of a secret, the rest is masked.
func (w *Writer) Flush() error { return w.handOn(w.seen) }

// scan runs over p and keeps what it finds.
func (w *Writer) scan(p []byte) {
	a := w.auto
	state, dense, shift, rows := w.state, a.dense, a.shift, a.rows
	counted := 0
	for i := 0; i < len(p); {
		if state < dense {
			for i < len(p) && state < dense {
				state = rows[int(state)<<shift|int(a.class[p[i]])]
				i++
			}
		} else {
			state = a.step(state, p[i])
			i++
		}
		if state < dense || a.nodes[state].match == 0 || isBreak(p[i-1]) {
			continue
		}
		w.seen += letters(p[counted:i])
		counted = i
		w.find(w.seen-int(a.nodes[state].match), w.seen)
	}
	w.seen += letters(p[counted:])
	w.state = state
}

// find keeps a find, which ends after all others.
func (w *Writer) find(from, to int) {
	if n := len(w.finds); n == 0 || w.finds[n-1].to <= from {
		w.masked++
	}
	for n := len(w.finds); n > 0 && w.finds[n-1].to >= from; n = len(w.finds) {
		from = min(from, w.finds[n-1].from)
		w.finds = w.finds[:n-1]
	}
	w.finds = append(w.finds, find{from, to})
}

// pass hands on what is held, and p up to keep: there is no secret in it. The rest is pending.
func (w *Writer) pass(p []byte, keep, pending int) error {
	var err error
	if len(w.held) > 0 {
		_, err = w.to.Write(w.held)
	}
	if err == nil && keep > 0 {
		_, err = w.to.Write(p[:keep])
	}
	if len(w.held)+keep > 0 {
		w.within = false // else what comes may go on with the secret that was masked last
	}
	w.held = append(w.held[:0], p[keep:]...)
	w.done = w.seen - pending
	return err
}

// handOn hands on what is held, up to a letter.
func (w *Writer) handOn(until int) error {
	at := 0
	w.out = w.out[:0]
	for ; at < len(w.held); at++ {
		c := w.held[at]
		if isBreak(c) {
			w.out = append(w.out, c)
			w.within = false
			continue
		}
		if w.done >= until {
			break
		}
		w.letter(c)
	}
	w.held = append(w.held[:0], w.held[at:]...)
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.to.Write(w.out)
	return err
}

func (w *Writer) letter(c byte) {
	switch {
	case len(w.finds) == 0 || w.done < w.finds[0].from:
		w.out = append(w.out, c)
		w.within = false
	case !w.within:
		w.out = append(w.out, Mask...)
		w.within = true
	}
	w.done++
	if len(w.finds) > 0 && w.done >= w.finds[0].to {
		w.finds = append(w.finds[:0], w.finds[1:]...)
	}
}

func isBreak(c byte) bool { return c == '\n' || c == '\r' }

func letters(text []byte) int {
	return len(text) - bytes.Count(text, []byte{'\n'}) - bytes.Count(text, []byte{'\r'})
}

// ending is where the last n letters of text begin; not ok if there are fewer.
func ending(text []byte, n int) (at int, ok bool) {
	at = len(text)
	for n > 0 && at > 0 {
		at--
		if !isBreak(text[at]) {
			n--
		}
	}
	return at, n == 0
}
