package hub

import (
	"regexp"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

// verdict is what comes of holding two findings against each other.
type verdict int

const (
	unrelated verdict = iota
	same              // they say the same
	differ            // they look alike, and say that they are two
)

// judgement is a verdict, with what is in common and why that is the same problem.
type judgement struct {
	verdict
	kind, reason string
}

// judge holds two claims against each other that have marks in common. It does not matter which comes first.
// In doubt they are two: who must look at two problems that are one loses a minute, who is shown one where
// there are two never sees the other.
func judge(n, o *node) judgement {
	a, b := &n.row.finding, &o.row.finding
	for _, m := range n.claim.marks {
		if !slices.Contains(o.claim.marks, m) {
			continue
		}
		said := strings.Split(m.text, "\n")
		switch m.kind {
		case TieSecret:
			return judgement{same, TieSecret, "the same secret, told by its keyed hash"}
		case TieVulnerability:
			return judgeVulnerability(a, b, said[0])
		case TieWeakness:
			if j := judgeWeakness(a, b, said); j.verdict != unrelated {
				return j
			}
		case TieRoute:
			if j := judgeRoute(n, o, said); j.verdict != unrelated {
				return j
			}
		}
	}
	return judgement{}
}

func judgeVulnerability(a, b *finding.Finding, id string) judgement {
	p, q := packageNamed(a, id), packageNamed(b, id)
	if p.version != "" && q.version != "" && p.version != q.version || p.space != "" && q.space != "" && p.space != q.space {
		return judgement{verdict: differ}
	}
	name := or(p.space, q.space)
	if name != "" {
		name += "/"
	}
	reason := id + " in " + strings.TrimSpace(name+p.name+" "+or(p.version, q.version)) + " of " + a.ProductFields[finding.FieldTarget]
	if (p.version == "") != (q.version == "") {
		reason += " (one of the two says no version)"
	}
	return judgement{same, TieVulnerability, reason}
}

// packageNamed is the package in which a finding says the vulnerability is.
func packageNamed(f *finding.Finding, id string) parcel {
	for i := range f.Vulnerabilities {
		if v := &f.Vulnerabilities[i]; slices.Contains(namesOf(v), id) {
			return packageOf(f, v)
		}
	}
	return parcel{}
}

// judgeWeakness is of two findings of one weakness at one place. A line is the same line only in the same
// commit; where the commits differ, or one is not said, what stands there must be the same, as far as both say.
func judgeWeakness(a, b *finding.Finding, said []string) judgement {
	if a.Place().File == "" {
		at := said[2]
		if said[3] != "" {
			at += ", parameter " + said[3]
		}
		return judgement{same, TieWeakness, said[0] + " at " + at + " of " + said[1]}
	}
	x, y := a.ProductFields[finding.FieldCommit], b.ProductFields[finding.FieldCommit]
	reason := said[0] + " at " + said[2] + ":" + said[3]
	if x == y {
		return judgement{same, TieWeakness, reason}
	}
	if !oneInOther(a.ProductFields[finding.FieldExcerpt], b.ProductFields[finding.FieldExcerpt]) {
		return judgement{} // of two states of the file
	}
	return judgement{same, TieWeakness, reason + ", where the same code stands"}
}

// oneInOther tells whether one excerpt holds the other, but for blanks, and this is enough to go by.
func oneInOther(a, b string) bool {
	a, b = strings.Join(strings.Fields(a), " "), strings.Join(strings.Fields(b), " ")
	const enough = 12
	return len(a) >= enough && len(b) >= enough && (strings.Contains(a, b) || strings.Contains(b, a))
}

// judgeRoute is of a finding in code and one at an address. The route stands in the code; where the other
// names a parameter, so does the code.
func judgeRoute(n, o *node, said []string) judgement {
	if n.row.finding.Place().File == "" {
		n, o = o, n
	}
	code, site := &n.row.finding, &o.row.finding
	if code.Place().File == "" || site.Place().File != "" {
		return judgement{} // two of one kind
	}
	file := code.Place().File
	if line := code.ProductFields[finding.FieldLine]; line != "" {
		file += ":" + line
	}
	reason := said[0] + " at " + said[2] + " of " + said[1] + ": the route stands in the code at " + file
	if pageOf(code.Place().File) == said[2] {
		reason = said[0] + " at " + said[2] + " of " + said[1] + ", which is the page " + file
	}
	text := code.ProductFields[finding.FieldExcerpt] + " " + code.ProductFields[finding.FieldEvidence]
	for _, at := range addressesOf(site) {
		switch {
		case at.claim() != o.claim.name || !slices.Contains(at.routes(), said[2]):
		case at.param == "":
			return judgement{same, TieRoute, reason}
		case holdsWord(text, at.param):
			return judgement{same, TieRoute, reason + ", with the parameter " + at.param}
		}
	}
	return judgement{}
}

func holdsWord(text, word string) bool {
	at, err := regexp.Compile(`(^|[^A-Za-z0-9_])` + regexp.QuoteMeta(word) + `($|[^A-Za-z0-9_])`)
	return err == nil && at.MatchString(text)
}
