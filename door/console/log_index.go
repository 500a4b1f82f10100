package console

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
)

// A log is kept by bytes and looked at by lines. An index knows where every
// 512th line begins, and how it looks there, so that a window of lines anywhere
// in a million costs what it shows. It is made from the log itself, and goes on
// where it was when the log has grown.

const (
	markEvery   = 512
	mostHeads   = 5000
	mostIndexes = 48
	windowLines = 500
	windowBytes = 1 << 20
	mostHits    = 1000
)

// logSource is where a log is read.
type logSource struct {
	key    string // tells it from others
	read   func(ctx context.Context, from int64) (text []byte, next int64, done bool, err error)
	follow func(ctx context.Context, from int64, take func(text []byte, next int64) error) error
	took   func(h logHead) string // how long what is below a head took, "" where that is not known; may be nil
}

// logMark is a place in a log.
type logMark struct {
	offset int64
	look   paint
}

// logHead is a line below which others belong together: an action, a phase, a command.
type logHead struct {
	Line  int // from 1
	Level int // 1 is an action, 2 a phase, 3 a command
	Title string
}

// logIndex is what is known of a log's lines.
type logIndex struct {
	mu    sync.Mutex
	next  int64 // up to where it was read
	lines int
	marks []logMark
	heads []logHead
	look  paint
	done  bool
}

// logIndexes are those that were used last.
type logIndexes struct {
	mu  sync.Mutex
	all map[string]*logIndex
	use []string // the last one is the newest
}

func (l *logIndexes) of(key string) *logIndex {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]*logIndex{}
	}
	if i := slices.Index(l.use, key); i >= 0 {
		l.use = slices.Delete(l.use, i, i+1)
	}
	l.use = append(l.use, key)
	if len(l.use) > mostIndexes {
		delete(l.all, l.use[0])
		l.use = l.use[1:]
	}
	if l.all[key] == nil {
		l.all[key] = &logIndex{}
	}
	return l.all[key]
}

// headOf tells whether a line is a head.
func headOf(line []byte) (level int, title string) {
	if len(line) < 3 || len(line) > 4096 || line[0] != '=' && line[0] != '$' {
		return 0, ""
	}
	text := string(bytes.TrimRight(line, "\r"))
	switch {
	case strings.HasPrefix(text, "=== ") && strings.HasSuffix(text, " ===") && len(text) > 8:
		return 1, text[4 : len(text)-4]
	case strings.HasPrefix(text, "== phase ") && strings.HasSuffix(text, " ==") && len(text) > 12:
		return 2, text[9 : len(text)-3]
	case strings.HasPrefix(text, "$ ") && len(text) > 2:
		return 3, text[2:]
	}
	return 0, ""
}

// logState is what a log has by now.
type logState struct {
	Total int
	Heads []logHead
	Ended bool
}

// refresh reads what has come since.
func (x *logIndex) refresh(ctx context.Context, s logSource) (logState, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		text, next, done, err := s.read(ctx, x.next)
		if err != nil {
			return logState{}, err
		}
		start := next - int64(len(text))
		whole := bytes.LastIndexByte(text, '\n') + 1
		if whole == 0 && (done || len(text) >= windowBytes) {
			whole = len(text) // the last line has no end
		}
		x.add(text[:whole], start)
		x.next = max(x.next, start+int64(whole))
		if x.done = done && whole == len(text); x.done || whole == 0 {
			return logState{x.lines, slices.Clip(x.heads), x.done}, nil
		}
	}
}

// add takes whole lines in, the first of which begins at an offset.
func (x *logIndex) add(text []byte, offset int64) {
	for len(text) > 0 {
		if x.lines%markEvery == 0 {
			x.marks = append(x.marks, logMark{offset, x.look})
		}
		n := bytes.IndexByte(text, '\n') + 1
		if n == 0 {
			n = len(text)
		}
		line := bytes.TrimSuffix(text[:n], []byte("\n"))
		x.lines++
		if level, title := headOf(line); level > 0 {
			x.look = paint{}
			if len(x.heads) < mostHeads {
				x.heads = append(x.heads, logHead{x.lines, level, title})
			}
		}
		x.look.repaint(line)
		text, offset = text[n:], offset+int64(n)
	}
}

// each shows the lines from a number on, until there are no more or it is told to stop.
func (x *logIndex) each(ctx context.Context, s logSource, from int, show func(n int, line []byte, look *paint) bool) error {
	from = max(from, 1)
	x.mu.Lock()
	at := (from - 1) / markEvery
	if at >= len(x.marks) {
		x.mu.Unlock()
		return nil
	}
	mark, last, end := x.marks[at], x.lines, x.next
	x.mu.Unlock()
	look, offset := mark.look, mark.offset
	for n := at*markEvery + 1; n <= last && offset < end; {
		text, next, _, err := s.read(ctx, offset)
		if err != nil {
			return err
		}
		if len(text) == 0 || next-int64(len(text)) != offset { // it is not kept any more: the next look begins anew
			x.forget()
			return nil
		}
		whole := bytes.LastIndexByte(text, '\n') + 1
		if whole == 0 || next >= end && whole < int(end-offset) {
			whole = len(text)
		}
		for text = text[:whole]; len(text) > 0 && n <= last; n++ {
			i := bytes.IndexByte(text, '\n') + 1
			if i == 0 {
				i = len(text)
			}
			line := bytes.TrimSuffix(text[:i], []byte("\n"))
			if level, _ := headOf(line); level > 0 {
				look = paint{}
			}
			if n < from {
				look.repaint(line)
			} else if !show(n, line, &look) {
				return nil
			}
			text = text[i:]
		}
		offset += int64(whole)
	}
	return nil
}

// forget is what is known when nothing is.
func (x *logIndex) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.next, x.lines, x.marks, x.heads, x.look, x.done = 0, 0, nil, nil, paint{}, false
}

// find are the numbers of lines that hold a text, in any case, from a line on.
func (x *logIndex) find(ctx context.Context, s logSource, text string, from int) (lines []int, more bool, err error) {
	wanted := bytes.ToLower([]byte(text))
	var small []byte
	err = x.each(ctx, s, from, func(n int, line []byte, _ *paint) bool {
		small = lowered(small[:0], stripped(line))
		if bytes.Contains(small, wanted) {
			if len(lines) == mostHits {
				more = true
				return false
			}
			lines = append(lines, n)
		}
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	return lines, more, err
}

// lowered appends text in small letters.
func lowered(to, text []byte) []byte {
	for i, c := range text {
		if c >= 0x80 {
			return append(to, bytes.ToLower(text[i:])...)
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}
