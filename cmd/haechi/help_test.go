package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// What help says fits a terminal of 80 columns.
func TestHelpFits(t *testing.T) {
	for _, v := range verbs() {
		var out bytes.Buffer
		haechi(t.Context(), call{args: []string{"help", v.name}, stdin: strings.NewReader(""), stdout: &out, stderr: &out, env: func(string) string { return "" }})
		if out.Len() < 60 {
			t.Errorf("help %s says %q", v.name, out.String())
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
				t.Errorf("help %s: %d columns: %s", v.name, n, line)
			}
		}
	}
}
