package diag_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/word/diag"
)

// A mistake is shown with its line, a caret and a hint.
func TestDetail(t *testing.T) {
	text := []byte("name: shop\nsteps:\n  -\n    runn: go test ./...\n")
	err := diag.Errorf(diag.At("shop.yaml", text, strings.Index(string(text), "runn")), "unknown field %q", "runn").
		In(text).WithHint("%s", diag.DidYouMean("runn", []string{"name", "run", "needs"}))
	want := `shop.yaml:4:5: unknown field "runn"
    4 |     runn: go test ./...
      |     ^
      = did you mean "run"?`
	if got := err.Detail(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	wrapped := fmt.Errorf("reading the pipeline: %w", err)
	if got := diag.Detail(wrapped); got != "reading the pipeline: "+want {
		t.Errorf("wrapped:\n%s", got)
	}
	if got, want := err.Error(), `shop.yaml:4:5: unknown field "runn" (did you mean "run"?)`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A long or hostile line neither floods nor steers the terminal.
func TestDetailIsBounded(t *testing.T) {
	text := []byte(strings.Repeat("a", 5000) + "\x1b[31mX" + strings.Repeat("한", 5000))
	got := diag.Errorf(diag.Place{File: "x", Line: 1, Column: 5001}, "bad").In(text).Detail()
	if len(got) > 1000 || strings.ContainsRune(got, 0x1b) {
		t.Errorf("%d bytes, with escape: %v", len(got), strings.ContainsRune(got, 0x1b))
	}
}

func TestNearest(t *testing.T) {
	names := []string{"prefix", "suffix", "wildcard", "exists"}
	for got, want := range map[string]string{"prefxi": "prefix", "Suffix": "suffix", "quite-another": "", "": ""} {
		if n := diag.Nearest(got, names); n != want {
			t.Errorf("Nearest(%q) = %q, want %q", got, n, want)
		}
	}
}

// No place and no line, however odd, makes it panic.
func FuzzDetail(f *testing.F) {
	f.Add([]byte("a\nb\tc\r\n"), 2, 1)
	f.Add([]byte("\xff\xfe한글"), 1, 3)
	f.Fuzz(func(t *testing.T, text []byte, line, column int) {
		_ = diag.Errorf(diag.Place{File: "f", Line: line, Column: column}, "m").In(text).Detail()
		if p := diag.At("f", text, column); p.Line < 1 || p.Column < 1 {
			t.Errorf("At(%q, %d) = %v", text, column, p)
		}
	})
}
