package escape

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// passed is what goes through, written in pieces of n bytes.
func passed(text string, n int) string {
	var b bytes.Buffer
	f := New(&b)
	for len(text) > 0 {
		i := min(n, len(text))
		_, _ = f.Write([]byte(text[:i]))
		text = text[i:]
	}
	return b.String()
}

// What draws goes through as it is, however it is cut.
func TestDraws(t *testing.T) {
	for _, text := range []string{
		"plain\r\n\ttext\b\a\f\v", "해치 é ✓ 🦁", "\x1b[1;31mred\x1b[0m", "\x1b[38;2;1;2;3mtrue\x1b[m", "\x1b[4:3mcurly", "\x1b[2J\x1b[H\x1b[10;20Hthere",
		"\x1b[?1049h\x1b[?25l\x1b[1;24r\x1b[?1h\x1b=", "\x1b[?2004h\x1b[?1000;1006h", "\x1b7\x1b8\x1bM\x1bD\x1bE\x1bH", "\x1b(0lqqk\x1b(B", "\x0e\x0f",
		"\x1b[6n\x1b[5n\x1b[c\x1b[0c\x1b[>c", "\x1b[2 q", "\x1b[3P\x1b[4@\x1b[5L\x1b[6M\x1b[7X\x1b[8S\x1b[9T", "\x1bc", "\x1b[!p", "\x1b[4hinsert\x1b[4l", "\x1b[K\x1b[1K\x1b[?J", "\x1b[5b",
	} {
		for n := 1; n <= len(text); n++ {
			if got := passed(text, n); got != text {
				t.Errorf("%q by %d: %q", text, n, got)
				break
			}
		}
	}
}

// What reaches beyond the screen, or answers in the person's place, does not.
func TestReachesBeyond(t *testing.T) {
	for name, c := range map[string][2]string{
		"title":                        {"a\x1b]0;rm -rf /\ab", "ab"},
		"title, ended by ST":           {"a\x1b]2;t\x1b\\b", "ab"},
		"clipboard":                    {"a\x1b]52;c;cm0gLXJm\ab", "ab"},
		"link":                         {"\x1b]8;;file:///etc/passwd\x1b\\here\x1b]8;;\x1b\\", "here"},
		"colours asked for":            {"\x1b]11;?\ab", "b"},
		"palette":                      {"\x1b]4;1;red\ab", "b"},
		"iTerm's files":                {"\x1b]1337;File=name=eA==;inline=0:AAAA\ab", "b"},
		"a title that never ends":      {"\x1b]0;all that\nfollows", "\r\nfollows"},
		"screen's title":               {"\x1bkname\x1b\\b", "b"},
		"settings asked for":           {"\x1bP$qm\x1b\\b", "b"},
		"keys that are stored":         {"\x1bP1;1|17/0a\x1b\\b", "b"},
		"a terminal behind":            {"\x1bPtmux;\x1b\x1b]52;c;eA==\a\x1b\\b", "b"}, // what follows the second ESC is an OSC of its own
		"pictures that read files":     {"\x1b_Gt=f;L2V0Yy9wYXNzd2Q=\x1b\\b", "b"},
		"private message":              {"\x1b^m\x1b\\b", "b"},
		"start of string":              {"\x1bXs\x1b\\b", "b"},
		"answerback":                   {"a\x05b", "ab"},
		"who are you":                  {"a\x1bZb", "ab"},
		"windows":                      {"\x1b[21t\x1b[8;1;1t\x1b[2tb", "b"},
		"printer":                      {"\x1b[5i\x1b[?5ib", "b"},
		"version":                      {"\x1b[>q\x1b[>0qb", "b"},
		"third attributes":             {"\x1b[=cb", "b"},
		"modes asked for":              {"\x1b[?2004$pb", "b"},
		"other questions":              {"\x1b[?6n\x1b[?15n\x1b[x\x1b[1;1;1;1;1;1*y\x1b[7nb", "b"},
		"keyboards":                    {"\x1b[>4;2m\x1b[>1u\x1b[?u\x1b[<u\x1b[=5ub", "b"},
		"modes that are not drawing":   {"\x1b[?3h\x1b[?1001h\x1b[?1034h\x1b[?9001hb", "b"},
		"of a list, those that are":    {"\x1b[?3;25;9001lb", "\x1b[?25lb"},
		"saved modes":                  {"\x1b[?1000s\x1b[?1000rb", "b"},
		"the mouse's trap":             {"\x1b[1;1;1;1;1Tb", "b"},
		"other characters":             {"\x1b%@\x1b F\x1b#8\x1b%Gb", "b"},
		"one character for two":        {"a\u009d0;t\u009cb\u009b21t", "a0;tb21t"},
		"no character":                 {"a\x9b21tb\xffc", "a\ufffd21tb\ufffdc"},
		"half a character":             {"a\xe2\x82b", "a\ufffdb"},
		"a giant number":               {"\x1b[999999999bb", "b"},
		"a sequence that never ends":   {"\x1b[" + strings.Repeat("1;", 400) + "mb", "b"},
		"a sequence within another":    {"\x1b[3\x1b[31mb", "\x1b[31mb"},
		"cancelled":                    {"\x1b[3\x18b\x1b]0;t\x1ac", "bc"},
		"controls within":              {"\x1b[3\r1mb\x1b[1\x05mc", "\r\x1b[31mb\x1b[1mc"},
		"marks at the wrong place":     {"\x1b[1?5h\x1b[ 1qb", "b"},
		"null, delete, other controls": {"a\x00\x7f\x11\x13\x10b", "ab"},
	} {
		for n := 1; n <= len(c[0]); n++ {
			if got := passed(c[0], n); got != c[1] {
				t.Errorf("%s: %q by %d: %q, want %q", name, c[0], n, got, c[1])
				break
			}
		}
	}
}

// A string that goes on and on is text again at last, so that nothing can hide for ever.
func TestLongString(t *testing.T) {
	got := passed("\x1bP"+strings.Repeat("x", longestString+5), 1000)
	if len(got) < 1 || len(got) > 5 {
		t.Errorf("%d bytes went through", len(got))
	}
}

// What was switched on is undone, and what was switched off again is not.
func TestClose(t *testing.T) {
	for in, want := range map[string]string{
		"text": "",
		"\x1b[?1049h\x1b[?1h\x1b=\x1b[?25l\x1b[?1000;1006h\x1b[?2004h": "\x1b[?1049l\x1b[?1l\x1b[?25h\x1b[?1000l\x1b[?1006l\x1b[?2004l\x1b>",
		"\x1b[?1049h\x1b[?25l\x1b[?25h\x1b[?1049l":                     "",
		"\x1b[31mred":            "\x1b[0m",
		"\x1b[31mred\x1b[m":      "",
		"\x1b(0":                 "\x1b(B\x1b)0\x0f",
		"\x1b[2;5r":              "\x1b7\x1b[r\x1b8",
		"\x1b[2;5r\x1b[r":        "",
		"\x1b[5 q\x1b[4h":        "\x1b[4l\x1b[0 q",
		"\x1b[?25l\x1b[31m\x1bc": "",
	} {
		var b bytes.Buffer
		f := New(&b)
		_, _ = f.Write([]byte(in))
		b.Reset()
		if err := f.Close(); err != nil || b.String() != want {
			t.Errorf("after %q: %q %v, want %q", in, b.String(), err, want)
		}
		b.Reset()
		if _ = f.Close(); b.Len() > 0 {
			t.Errorf("again after %q: %q", in, b.String())
		}
	}
}

// Whatever comes: it is the same however it is cut, it is text in UTF-8, it
// holds no string and no answerback, and to filter it once more changes nothing.
func FuzzFilter(f *testing.F) {
	f.Add([]byte("\x1b]52;c;eA==\a\x1b[?1049h\x1b[31mred\xe2\x82"), 3)
	f.Add([]byte("\x1bP$qm\x1b\\\x1b[6n\u009b21t\x1b(0"), 1)
	f.Fuzz(func(t *testing.T, text []byte, n int) {
		whole := passed(string(text), len(text)+1)
		if got := passed(string(text), max(1, n&63)); got != whole {
			t.Fatalf("%q by %d: %q, whole %q", text, n&63, got, whole)
		}
		if !utf8.ValidString(whole) || strings.ContainsAny(whole, "\x05\x00\x18\x1a\x7f") {
			t.Fatalf("%q: %q", text, whole)
		}
		for _, s := range []string{"\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bX", "\x1bk", "\x1bZ"} {
			if strings.Contains(whole, s) {
				t.Fatalf("%q: %q holds %q", text, whole, s)
			}
		}
		if again := passed(whole, len(whole)+1); again != whole {
			t.Fatalf("%q: %q, again %q", text, whole, again)
		}
	})
}
