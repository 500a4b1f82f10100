package git

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// No commit, list of files or comparison, however odd, makes the readers panic.
func FuzzParse(f *testing.F) {
	f.Add("tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nparent x\nauthor A <a@b> 1700000000 +0900\n\nsubject\n\nbody")
	f.Add("100644 blob e69de29bb2d1d6434b8b29ae775ad8c2e48c5391       0\ta/b\x00040000 tree x -\ta\x00")
	f.Add("c0ffee\x00::100644 100644 000000 a b c MD\x00path\x00:100644 100644 a b M\x00p\x00")
	f.Fuzz(func(t *testing.T, text string) {
		_ = parseCommit(text).Subject()
		_ = new(Tree).list(text)
		_ = eachRaw([]byte(text), func(string, Change) {})
	})
}

// Whatever git says of a difference, lines are numbered and counted, and nothing is kept beyond what was asked for.
func FuzzDiffs(f *testing.F) {
	id := strings.Repeat("7", 40)
	f.Add(":100644 100644 " + id + " " + id + " M\x00a\x00\x00diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@ x\n-1\n+2\n 3\n\\ No newline at end of file\n")
	f.Add(":100644 100644 " + id + " " + id + " R100\x00a\x00b\x00:000000 160000 " + id + " " + id + " T\x00c\x00\x00diff --git a/a b/b\n")
	f.Add(":100644 000000 " + id + " " + id + " D\x00a\x00\x00diff --git a/a b/a\nBinary files a/a and /dev/null differ\n@@ -1 +1,999999999 @@\n")
	f.Fuzz(func(t *testing.T, out string) {
		files, _, err := parseDiff(out, Diffs{Lines: 5, Files: 3, Total: 8}, false)
		if err != nil {
			return
		}
		lines := 0
		for _, d := range files {
			for _, h := range d.Hunks {
				lines += len(h.Lines)
			}
		}
		if len(files) > 3 || lines > 8 {
			t.Errorf("%d files, %d lines", len(files), lines)
		}
	})
}

// Whatever git says of the lines of a file, of merges and of commits: it is read, and is text.
func FuzzBlame(f *testing.F) {
	id := strings.Repeat("7", 40)
	f.Add(id + " 1 1 1\nauthor Ada\nauthor-mail <a@b>\nauthor-time 1700000000\nsummary s\n\tline\n")
	f.Add(id + "\x00100644 " + id + " 1\ta\x00100644 " + id + " 2\ta\x00\x00")
	f.Add("tree " + id + "\ngpgsig -----BEGIN X-----\n a\n -----END X-----\nauthor A <a> 1 +0000\n\nmessage")
	f.Fuzz(func(t *testing.T, out string) {
		lines, _, err := parseBlame(out)
		for _, l := range lines {
			if err == nil && !utf8.ValidString(l.Text) {
				t.Errorf("%q", l.Text)
			}
		}
		_, _, _ = parseMerge(out)
		payload, signature := unsign([]byte(out))
		if len(payload)+len(signature) > 2*len(out)+4 {
			t.Errorf("%d bytes of %d", len(payload)+len(signature), len(out))
		}
	})
}
