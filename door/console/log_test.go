package console

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Colours of terminals are taken out of logs; the rest stays as it was.
func TestPlainText(t *testing.T) {
	for text, want := range map[string]string{
		"\x1b[32mok\x1b[0m\n": "ok\n", "\x1b[1;31;4mbad\x1b[m": "bad", "\x1b]0;title\x07text": "text", "a\r\nb": "a\nb", "한글\xff": "한글\uFFFD", "[32m": "[32m",
	} {
		if got := plainText([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func paintedLine(line string) string {
	var b strings.Builder
	(&paint{}).painted(&b, []byte(line))
	return b.String()
}

// Colours become classes, all other sequences nothing, and nothing is hidden, turned around or taken for a part of the page.
func TestPainted(t *testing.T) {
	for line, want := range map[string]string{
		"plain & <b>":                    "plain &amp; &lt;b&gt;",
		"\x1b[32mok\x1b[0m done":         `<i class="t-green">ok</i> done`,
		"\x1b[1;4;31mbad\x1b[m":          `<i class="t-bold t-line t-red">bad</i>`,
		"\x1b[97;41mx":                   `<i class="t-white on-red">x</i>`,
		"\x1b[7mx\x1b[27my":              `<i class="t-inverse">x</i>y`,
		"\x1b[7;31mx":                    `<i class="on-red">x</i>`,
		"\x1b[38;5;196mx":                `<i class="t-red">x</i>`,
		"\x1b[38;2;10;200;30mx":          `<i class="t-green">x</i>`,
		"\x1b[38:2::10:20:230mx":         `<i class="t-blue">x</i>`,
		"\x1b[38;5;244;1mx":              `<i class="t-bold t-grey">x</i>`,
		"\x1b[30;40mnot hidden":          "not hidden",
		"\x1b[8mnot concealed":           "not concealed",
		"\x1b[2J\x1b[H\x1b[?25lx\x1b[1A": "x",
		"\x1b]0;title\x07x":              "x",
		"\x1b]52;c;c2VjcmV0\x1b\\x":      "x",
		"\x1b]8;;https://evil.example\x1b\\a\x1b]8;;\x1b\\": "a",
		"\x1b]0;without an end":                             "0;without an end",
		"\x1bPq#0\x1b\\x":                                   "x",
		"\x1b(Bx\x1bcy\x1b=z":                               "xyz",
		"x\x1b":                                             "x",
		"x\x1b[":                                            "x",
		"x\x1b[31":                                          "x",
		"a\rb\r":                                            `a<b class="unseen">U+000D</b>b`,
		"a\bb\x00":                                          `a<b class="unseen">U+0008</b>b<b class="unseen">U+0000</b>`,
		"a\u202eb\u200b":                                    `a<b class="unseen">U+202E</b>b<b class="unseen">U+200B</b>`,
		"\u009b31mx":                                        `<b class="unseen">U+009B</b>31mx`,
		"\xffx":                                             "\uFFFDx",
		"한글 👩‍👧":                                            "한글 👩‍👧",
		"\x1b[99999999999999999999;;;31;mx":                 "x",
	} {
		if got := paintedLine(line); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

var allowed = regexp.MustCompile(`</?(?:i|b)(?: class="[a-z -]+")?>`)

// Whatever a program writes, nothing but our own marks is in what is made of it.
func FuzzPainted(f *testing.F) {
	for _, s := range []string{"\x1b[1;31mx", "\x1b]0;t\x07", "<script>\x1b[38;5;1m&", "\x1b[38:2::1:2:3m", "\xc2\x9b\u202e\r", "\x1bP\x1b\\", "한글"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		html := paintedLine(line)
		rest := allowed.ReplaceAllString(html, "")
		if strings.ContainsAny(rest, "<>\x1b\x00\r") {
			t.Fatalf("%q becomes %q", line, html)
		}
		if strings.Count(html, "<i") != strings.Count(html, "</i>") {
			t.Fatalf("%q: %q is not closed", line, html)
		}
		if bytes.IndexByte(stripped([]byte(line)), escape) >= 0 {
			t.Fatalf("%q keeps an escape", line)
		}
	})
}

// logOf reads a log out of memory, a piece at a time.
func logOf(text *[]byte, piece int, done *bool) logSource {
	return logSource{key: "log", read: func(_ context.Context, from int64) ([]byte, int64, bool, error) {
		end := min(from+int64(piece), int64(len(*text)))
		return (*text)[from:end], end, *done && end == int64(len(*text)), nil
	}}
}

// A window anywhere shows its lines, with the look that they have there, also while the log grows.
func TestWindows(t *testing.T) {
	var text []byte
	done := false
	write := func(from, to int) {
		for i := from; i <= to; i++ {
			switch {
			case i == 700:
				text = append(text, "\x1b[31mfrom here on it is red\n"...)
			case i == 2000:
				text = append(text, "== phase build ==\n"...)
			default:
				text = fmt.Appendf(text, "line %d\n", i)
			}
		}
	}
	var x logIndex
	for _, piece := range []int{64, 4096, 1 << 20} {
		text, done, x = nil, false, logIndex{}
		s := logOf(&text, piece, &done)
		write(1, 1500)
		text = append(text, "line 1501"...) // it is not whole yet
		if state, err := x.refresh(t.Context(), s); err != nil || state.Total != 1500 || state.Ended {
			t.Fatalf("pieces of %d: %+v %v", piece, state, err)
		}
		text = append(text, '\n')
		write(1502, 3000)
		text = append(text, "the last has no end"...)
		done = true
		state, err := x.refresh(t.Context(), s)
		if err != nil || state.Total != 3001 || !state.Ended || !slices.Equal(state.Heads, []logHead{{2000, 2, "build"}}) {
			t.Fatalf("pieces of %d: %+v %v", piece, state, err)
		}
		for n, want := range map[int]string{
			1: "<span>line 1<", 512: "<span>line 512<", 513: "<span>line 513<", 1024: `<i class="t-red">line 1024<`, 1999: `<i class="t-red">line 1999<`,
			2000: `<div class="line head h-2" id="L2000"><a href="#L2000">2000</a><span>== phase build ==<`, 2001: "<span>line 2001<", 3001: "<span>the last has no end<",
		} {
			html, next, err := x.window(t.Context(), s, n, 1)
			if err != nil || next != n+1 || !strings.Contains(html, want) || strings.Count(html, "<div") != 1 {
				t.Errorf("pieces of %d: line %d is %s, %v", piece, n, html, err)
			}
		}
		if html, next, err := x.window(t.Context(), s, 3002, 9); html != "" || next != 3002 || err != nil {
			t.Errorf("beyond the end: %q %d %v", html, next, err)
		}
		if lines, more, err := x.find(t.Context(), s, "LINE 299", 1); err != nil || more || len(lines) != 11 || lines[0] != 299 || lines[10] != 2999 {
			t.Errorf("found: %v %v %v", lines, more, err)
		}
		if lines, more, err := x.find(t.Context(), s, "line", 1); err != nil || !more || len(lines) != mostHits {
			t.Errorf("found: %d %v %v", len(lines), more, err)
		}
	}
}

// A log that was dropped since is looked at anew.
func TestLogGone(t *testing.T) {
	text, done := bytes.Repeat([]byte("line\n"), 2000), true
	s := logOf(&text, 4096, &done)
	var x logIndex
	if state, err := x.refresh(t.Context(), s); err != nil || state.Total != 2000 {
		t.Fatal(state, err)
	}
	text = text[:50]
	s.read = func(_ context.Context, from int64) ([]byte, int64, bool, error) {
		from = min(from, int64(len(text)))
		return text[from:], int64(len(text)), true, nil
	}
	if html, _, err := x.window(t.Context(), s, 1500, 10); err != nil || html != "" {
		t.Errorf("what is gone: %q %v", html, err)
	}
	if state, err := x.refresh(t.Context(), s); err != nil || state.Total != 10 {
		t.Errorf("then: %+v %v", state, err)
	}
}

// Actions, phases and commands are told from what programs write.
func TestHeads(t *testing.T) {
	for line, want := range map[string]logHead{
		"=== Build ===": {0, 1, "Build"}, "== phase pre_build ==": {0, 2, "pre_build"}, "$ go test ./...": {0, 3, "go test ./..."},
		"== ==": {}, "$": {}, "$ ": {}, "=======": {}, "x $ y": {}, "": {}, "=== ===": {}, "== phase  ==": {},
	} {
		if level, title := headOf([]byte(line)); level != want.Level || title != want.Title {
			t.Errorf("%q: %d %q", line, level, title)
		}
	}
}

// BenchmarkMillionLines is what it costs to look at a million lines for the first time, to show a window, and to search.
func BenchmarkMillionLines(b *testing.B) {
	var text []byte
	for i := range 1_000_000 {
		text = fmt.Appendf(text, "%07d \x1b[32mok\x1b[0m  \tgithub.com/example/shop/internal/basket\t0.0%02ds\n", i, i%97)
	}
	done := true
	s := logOf(&text, 4<<20, &done)
	var x logIndex
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			x = logIndex{}
			if state, err := x.refresh(b.Context(), s); err != nil || state.Total != 1_000_000 {
				b.Fatal(state, err)
			}
		}
	})
	b.Run("window", func(b *testing.B) {
		for b.Loop() {
			if _, next, err := x.window(b.Context(), s, 765_432, windowLines); err != nil || next != 765_432+windowLines {
				b.Fatal(next, err)
			}
		}
	})
	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			if lines, _, err := x.find(b.Context(), s, "0999999 ok", 1); err != nil || len(lines) != 1 {
				b.Fatal(lines, err)
			}
		}
	})
}
