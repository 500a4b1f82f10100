package rules_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"testing"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/rules"
	"golang.org/x/tools/txtar"
)

var hangul = regexp.MustCompile(`\p{Hangul}`)

// No two families have a rule of the same ID, and each says what people need to know of it.
func TestIDs(t *testing.T) {
	from := map[string]string{}
	for _, f := range rules.Policies() {
		policies, err := guard.ParsePolicies(f.Files)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range policies {
			if from[p.ID] != "" {
				t.Errorf("%s is of %s and of %s", p.ID, from[p.ID], f.Name)
			}
			from[p.ID] = f.Name
			if p.Help == "" || p.Link == "" {
				t.Errorf("%s has no help or no link", p.ID)
			}
			if !hangul.MatchString(p.Title.Ko) || !hangul.MatchString(p.Fix.Ko) {
				t.Errorf("%s says nothing in Korean", p.ID)
			}
			if len(p.Controls) == 0 {
				t.Errorf("%s serves no control", p.ID)
			}
		}
	}
}

// The book says how many rules a family has.
func TestBook(t *testing.T) {
	text, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rules.Policies() {
		files, err := fs.Glob(f.Files, "*.txtar")
		if err != nil {
			t.Fatal(err)
		}
		row := regexp.MustCompile("(?m)^\\| `" + f.Name + "` \\|.*\\| ([0-9]+) \\|$").FindSubmatch(text)
		if row == nil || string(row[1]) != strconv.Itoa(len(files)) {
			t.Errorf("docs/rules.md says something else of %s than %d rules", f.Name, len(files))
		}
	}
}

// A rule has two examples of each kind at least, with and without the property where both matter.
func TestExamples(t *testing.T) {
	for _, f := range rules.Policies() {
		files, err := fs.Glob(f.Files, "*.txtar")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			text, err := fs.ReadFile(f.Files, name)
			if err != nil {
				t.Fatal(err)
			}
			kinds := map[string]int{}
			for _, part := range txtar.Parse(text).Files {
				kinds[path.Dir(part.Name)]++
			}
			if kinds["bad"] < 2 || kinds["good"] < 2 {
				t.Errorf("%s/%s has %d bad and %d good examples", f.Name, name, kinds["bad"], kinds["good"])
			}
		}
	}
}

// How long the start of a scan waits for its rules.
func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		for _, f := range rules.Policies() {
			if _, err := guard.ParsePolicies(f.Files); err != nil {
				b.Fatal(err)
			}
		}
	}
}
