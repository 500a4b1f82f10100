package haechi_test

import (
	"flag"
	"fmt"
	"go/doc"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite what tests compare with")

const mapBegin, mapEnd = "<!-- map: written by go test -run TestMap -update . -->\n", "<!-- end of map -->\n"

// The map in ARCHITECTURE.md is what the packages say of themselves, floor by floor, the roof first.
func TestMap(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), mapBegin)
	drawn, after, ok2 := strings.Cut(rest, mapEnd)
	if !ok || !ok2 {
		t.Fatal("ARCHITECTURE.md has no map")
	}
	var b strings.Builder
	all := sources(t)
	for f := len(floors) - 1; f >= 0; f-- {
		fmt.Fprintf(&b, "\n**%s**\n\n", floors[f])
		for _, s := range all {
			if floor(s.path) == f {
				fmt.Fprintf(&b, "- `%s`: %s\n", s.path, sentence(t, s))
			}
		}
	}
	b.WriteString("\n")
	if b.String() == drawn {
		return
	}
	if !*update {
		t.Fatalf("the map is old: go test -run TestMap -update . rewrites it; it should be:\n%s", b.String())
	}
	if err := os.WriteFile("ARCHITECTURE.md", []byte(before+mapBegin+b.String()+mapEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// sentence is the first sentence of a package's comment, without "Package x" and its full stop.
func sentence(t *testing.T, s source) string {
	for _, f := range s.files {
		if f.Doc == nil {
			continue
		}
		name := f.Name.Name
		first := new(doc.Package).Synopsis(f.Doc.Text())
		if first == "" {
			first = strings.SplitN(f.Doc.Text(), "\n", 2)[0]
		}
		lead := "Package " + name + " "
		if name == "main" {
			lead = "Command " + s.path[strings.LastIndexByte(s.path, '/')+1:] + " "
			if !strings.HasPrefix(first, lead) {
				lead = "Haechi "
			}
		}
		rest, ok := strings.CutPrefix(first, lead)
		if !ok {
			t.Errorf("%s: the comment begins %q, not %q", s.path, first, lead+"…")
		}
		return strings.TrimSuffix(rest, ".")
	}
	t.Errorf("%s has no package comment", s.path)
	return ""
}
