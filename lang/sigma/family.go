package sigma

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// A File is one file of a family: rules with their help, and records that show what they are about.
type File struct {
	Name  string
	Help  string // Markdown
	Rules []*Rule
	Bad   []Example // each is found by the rules
	Good  []Example // none is
}

// An Example is records in the order they came, one a line.
type Example struct {
	Name    string
	Records []string
}

// Load reads a family: each .txtar file of a folder with its help.md, rule.yml, bad/* and
// good/*, and each .yml or .yaml file, which has rules only.
func Load(family fs.FS) ([]File, error) {
	var files []File
	err := fs.WalkDir(family, ".", func(name string, d fs.DirEntry, err error) error {
		ext := path.Ext(name)
		if err != nil || d.IsDir() || ext != ".txtar" && ext != ".yml" && ext != ".yaml" {
			return err
		}
		text, err := fs.ReadFile(family, name)
		if err != nil {
			return err
		}
		f := File{Name: name}
		if ext == ".txtar" {
			err = f.unpack(txtar.Parse(text))
		} else {
			f.Rules, err = Parse(name, text)
		}
		files = append(files, f)
		return err
	})
	return files, err
}

func (f *File) unpack(a *txtar.Archive) (err error) {
	for _, part := range a.Files {
		dir, _, _ := strings.Cut(part.Name, "/")
		switch {
		case part.Name == "help.md":
			f.Help = string(part.Data)
		case part.Name == "rule.yml" && f.Rules == nil:
			if f.Rules, err = Parse(f.Name+"/rule.yml", part.Data); err != nil {
				return err
			}
		case dir == "bad":
			f.Bad = append(f.Bad, Example{part.Name, lines(part.Data)})
		case dir == "good":
			f.Good = append(f.Good, Example{part.Name, lines(part.Data)})
		default:
			return fault.Invalid.Wrap(diag.Errorf(diag.Place{File: f.Name}, "there is no place for %q in it", part.Name).WithHint("help.md, rule.yml, bad/… and good/… are"))
		}
	}
	if f.Rules == nil {
		return fault.Invalid.Wrap(diag.Errorf(diag.Place{File: f.Name}, "it has no rule.yml"))
	}
	return nil
}

func lines(text []byte) (all []string) {
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// Rules are those of all files.
func Rules(files []File) (all []*Rule) {
	for _, f := range files {
		all = append(all, f.Rules...)
	}
	return all
}

// A Proof says of one file whether its examples show what they should.
type Proof struct {
	File      string
	Rules     int
	Bad, Good int      // examples
	Unmet     []string // what is not as it should be
}

// Prove tries each file's rules on its own examples. A file without help, or without examples of both kinds, proves nothing.
func Prove(family fs.FS) ([]Proof, error) {
	files, err := Load(family)
	if err != nil {
		return nil, err
	}
	var proofs []Proof
	for _, f := range files {
		p := Proof{File: f.Name, Rules: len(f.Rules), Bad: len(f.Bad), Good: len(f.Good)}
		for what, there := range map[string]bool{"help.md": f.Help != "", "bad example": len(f.Bad) > 0, "good example": len(f.Good) > 0} {
			if !there {
				p.Unmet = append(p.Unmet, "there is no "+what)
			}
		}
		slices.Sort(p.Unmet)
		set, err := Compile(f.Rules, timeFields[:]...)
		if err != nil {
			return nil, err
		}
		for _, x := range f.Bad {
			p.check(set, x, true)
		}
		for _, x := range f.Good {
			p.check(set, x, false)
		}
		proofs = append(proofs, p)
	}
	return proofs, nil
}

func (p *Proof) check(set *Set, x Example, want bool) {
	raised, err := set.tryExample(x.Records)
	switch {
	case err != nil:
		p.Unmet = append(p.Unmet, fmt.Sprintf("%s: %v", x.Name, err))
	case len(x.Records) == 0:
		p.Unmet = append(p.Unmet, x.Name+": it is empty")
	case want && len(raised) == 0:
		p.Unmet = append(p.Unmet, x.Name+": it is not found")
	case !want && len(raised) > 0:
		p.Unmet = append(p.Unmet, fmt.Sprintf("%s: it is found by %q", x.Name, raised))
	}
}

// timeFields are where records say when they are from.
var timeFields = [...]string{"eventTime", "@timestamp", "requestReceivedTimestamp", "time"}

// tryExample is the titles of the rules that raise something, in order.
func (s *Set) tryExample(records []string) (raised []string, err error) {
	e := s.Event()
	windows := map[string]*Window{}
	for _, r := range records {
		if strings.HasPrefix(r, "{") {
			if err := e.Read(r); err != nil {
				return nil, err
			}
		} else {
			e.ReadText(r)
		}
		for _, i := range s.matchAny(e) {
			if !s.quiet[i] {
				raised = append(raised, s.rules[i].Title)
			}
			for _, k := range s.feeds[i] {
				c := s.rules[k].Correlation
				group := fmt.Sprintf("%d %q", k, e.Group(c))
				if windows[group] == nil {
					windows[group] = &Window{}
				}
				if c.Observe(windows[group], e.time(), e.Get(c.Field)) {
					raised = append(raised, s.rules[k].Title)
				}
			}
		}
	}
	return raised, nil
}

// matchAny takes an example for a record of each source that rules are about.
func (s *Set) matchAny(e *Event) (hits []int) {
	for i, r := range s.rules {
		if r.Correlation == nil && s.bound[i].holds(e) {
			hits = append(hits, i)
		}
	}
	return hits
}

// Group is the values by which a correlation counts apart.
func (e *Event) Group(c *Correlation) []string {
	all := make([]string, len(c.GroupBy))
	for i, f := range c.GroupBy {
		all[i] = e.Get(f)
	}
	return all
}

func (e *Event) time() time.Time {
	for _, f := range timeFields {
		if t, err := time.Parse(time.RFC3339Nano, e.Get(f)); err == nil {
			return t
		}
	}
	return time.Time{}
}
