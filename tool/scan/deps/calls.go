package deps

import (
	"context"
	"path"
	"slices"

	"github.com/haechi-dev/haechi/word/diag"
)

// Calls answers which of some functions the module in a folder of the tree calls,
// and one way to each. Functions are those of packages by path; keys of the answer
// are "path Name", or "path *" for any of a package.
type Calls func(ctx context.Context, dir string, symbols map[string][]string) (map[string]string, error)

// Calling is s that asks for the call graph of Go modules in which something is vulnerable.
func (s *Scanner) Calling(calls Calls) *Scanner {
	other := *s
	other.calls = calls
	return &other
}

// askCalls tells, for each bug of Go whose functions are known, whether they are called.
func (p *pass) askCalls() {
	byDir := map[string][]*vulnerable{}
	for _, v := range p.found {
		if path.Base(v.file) == "go.mod" && len(v.symbols()) > 0 {
			dir := path.Dir(v.file)
			byDir[dir] = append(byDir[dir], v)
		}
	}
	for _, dir := range sortedKeys(byDir) {
		want := map[string][]string{}
		for _, v := range byDir[dir] {
			for pkg, names := range v.symbols() {
				if had, ok := want[pkg]; ok && (len(had) == 0 || len(names) == 0) {
					want[pkg] = nil // all of it
				} else {
					want[pkg] = append(had, names...)
				}
			}
		}
		called, err := p.scanner.calls(p.ctx, dir, want)
		if err != nil {
			p.out.Unread(diag.Place{File: path.Join(dir, "go.mod"), Why: "no call graph: " + err.Error()})
			continue
		}
		for _, v := range byDir[dir] {
			v.reach = NeverCalls
			for _, pkg := range sortedKeys(v.symbols()) {
				names := slices.Sorted(slices.Values(append(v.symbols()[pkg], "*")))
				for _, name := range names {
					if way := called[pkg+" "+name]; way != "" && v.reach == NeverCalls {
						v.reach, v.calledBy = Called, way
					}
				}
			}
		}
	}
}

// symbols are the functions with the bug, by package.
func (v *vulnerable) symbols() map[string][]string {
	all := map[string][]string{}
	for _, a := range v.bug.Advisories {
		for _, s := range a.Symbols {
			all[s.Path] = append(all[s.Path], s.Symbols...)
		}
	}
	return all
}
