package secret

import (
	"fmt"
	"io/fs"

	"github.com/haechi-dev/haechi/word/diag"
)

// Proof says of one rule's file whether its examples show what they should.
type Proof struct {
	File      string
	Bad, Good int      // examples
	Unmet     []string // what is not as it should be
}

// Prove tries each rule of a family on its own examples: it finds each bad one
// once, and no rule of the family finds anything in a good one. A file that
// cannot be read costs itself alone.
func Prove(files fs.FS) ([]Proof, error) {
	names, err := fs.Glob(files, "*.txtar")
	if err != nil {
		return nil, err
	}
	var proofs []Proof
	var rules []*Rule
	at := map[int]*Rule{}
	for i, name := range names {
		proofs = append(proofs, Proof{File: name})
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		r, err := ParseRule(name, text)
		if err != nil {
			proofs[i].Unmet = []string{diag.Detail(err)}
			continue
		}
		at[i] = r
		rules = append(rules, r)
	}
	s, err := With(rules, nil)
	if err != nil {
		return nil, err
	}
	for i, r := range at {
		p := &proofs[i]
		p.Bad, p.Good, p.Unmet = len(r.Bad), len(r.Good), s.unmet(r)
	}
	return proofs, nil
}

func (s *Scanner) unmet(r *Rule) (unmet []string) {
	if len(r.Bad) == 0 || len(r.Good) == 0 {
		unmet = append(unmet, "it wants at least one bad and one good example")
	}
	for _, e := range r.Bad {
		switch found := s.Check(e.Path, e.Content); {
		case len(found) == 0:
			unmet = append(unmet, fmt.Sprintf("bad/%s: nothing is found", e.Path))
		case len(found) > 1:
			unmet = append(unmet, fmt.Sprintf("bad/%s: %d secrets are found, not one", e.Path, len(found)))
		case found[0].GeneratorID != "secret/"+r.ID:
			unmet = append(unmet, fmt.Sprintf("bad/%s: %s finds it, not this rule", e.Path, found[0].GeneratorID))
		}
	}
	for _, e := range r.Good {
		for _, f := range s.Check(e.Path, e.Content) {
			unmet = append(unmet, fmt.Sprintf("good/%s: %s finds something on line %d", e.Path, f.GeneratorID, f.Place().Line))
		}
	}
	return unmet
}
