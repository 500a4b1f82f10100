package iac

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/lang/guard"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the files of testdata")

// show is a document as the tests write it: each resource as JSON, then the line of each property.
func show(doc *guard.Document) string {
	var b strings.Builder
	for name, r := range doc.Root().Get("Resources").Members() {
		id, _ := name.Text()
		doubt := ""
		if w := r.Doubt(); w != "" {
			doubt = " perhaps: " + w
		}
		fmt.Fprintf(&b, "## %s at %s%s\n", id, doc.Place(r), doubt)
		text := r.JSON()
		if err := text.Indent(jsontext.WithIndent(" ")); err != nil {
			panic(err)
		}
		b.Write(text)
		b.WriteString("\n")
		var unknown []string
		unknowns(r, &unknown)
		sort.Strings(unknown)
		for _, u := range unknown {
			b.WriteString(u + "\n")
		}
	}
	return b.String()
}

// unknowns lists what is unknown below v, and why.
func unknowns(v *value, out *[]string) {
	if u := v.Unknown(); u != nil {
		*out = append(*out, fmt.Sprintf("unknown %s: %s", v.Path(), u.Why))
		return
	}
	if w := v.Doubt(); w != "" {
		*out = append(*out, fmt.Sprintf("perhaps %s: %s", v.Path(), w))
	}
	for _, x := range v.Items() {
		unknowns(x, out)
	}
	for _, x := range v.Members() {
		unknowns(x, out)
	}
}

// What testdata/*.txtar holds becomes the document beside it.
func TestDocuments(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("there is no testdata", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i+1 < len(a.Files); i += 2 {
				docs, err := Documents(a.Files[i].Name, a.Files[i].Data)
				got := ""
				for _, d := range docs {
					got += show(d)
				}
				if err != nil {
					got = err.Error() + "\n"
				}
				if *update {
					a.Files[i+1].Data = []byte(got)
					continue
				}
				if diff := cmp.Diff(string(a.Files[i+1].Data), got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", a.Files[i].Name, diff)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(a), 0o666); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
