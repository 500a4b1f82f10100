package deps

import (
	"context"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// Judge is what a scan says of components that were listed before, by the
// advisories of today. unread are the places of which they say nothing.
func (s *Scanner) Judge(ctx context.Context, components []component.Component) (findings []finding.Finding, unread []diag.Place, err error) {
	out := scan.Out{
		Finding:   func(f finding.Finding) { findings = append(findings, f) },
		Component: func(component.Component) {},
		Unread:    func(p diag.Place) { unread = append(unread, p) },
	}
	p := &pass{scanner: s, ctx: ctx, out: out, noData: map[string]diag.Place{}, seen: map[string]diag.Place{}}
	files := map[string][]component.Component{}
	var names []string
	for _, c := range components {
		if files[c.Place.File] == nil {
			names = append(names, c.Place.File)
		}
		files[c.Place.File] = append(files[c.Place.File], c)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if err := p.judge(name, files[name]); err != nil {
			return nil, nil, err
		}
	}
	return findings, unread, p.End()
}

const noDataWhy = "NO DATA: "

// Listed tells whether a scan listed every component that there is: of some
// kinds of packages it may know no advisories, and is not complete then.
func Listed(s finding.Scan) bool {
	return s.Complete || len(s.Skipped) > 0 && !slices.ContainsFunc(s.Skipped, func(p diag.Place) bool { return !strings.HasPrefix(p.Why, noDataWhy) })
}
