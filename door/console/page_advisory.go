package console

import (
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/word/finding"
)

type hitRow struct {
	inspect.Package
	Path, Fixed string
	Uses        []useRow
	All         int
}

type advisoryView struct {
	advisory.Bug
	Severity   finding.Label
	Odds       string
	Percentile string
	Hits       []hitRow
	Things     int
	References []string
	Findings   []findingRow
	FindingsAt string
	Packages   []advisory.Spoken
	More       int // packages that are not listed
}

func (o *Console) advisory() page {
	return page{
		name: "advisory", path: "/advisories/{id}", under: "components",
		asks: func(r *request) []iam.Request { return r.ask("inspector2:SearchVulnerabilities", "") },
		view: o.advisoryView,
	}
}

// packagesShown is how many of the packages an advisory speaks of are listed: some speak of thousands.
const packagesShown = 50

func (o *Console) advisoryView(r *request) (any, error) {
	b, hits, err := o.config.Inspect.Bug(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	v := advisoryView{Bug: b, Severity: severityOf(b.Severity), Odds: oddsOf(b.Match.Odds), Packages: b.Packages}
	if o := b.Match.Odds; o != nil {
		v.Percentile = oddsOf(&advisory.Odds{Score: o.Percentile})
	}
	if len(v.Packages) > packagesShown {
		v.More, v.Packages = len(v.Packages)-packagesShown, v.Packages[:packagesShown]
	}
	for _, a := range b.Advisories {
		for _, link := range a.References {
			if link = safeURL(link); link != "" && !slices.Contains(v.References, link) {
				v.References = append(v.References, link)
			}
		}
	}
	things := map[int64]bool{}
	for _, h := range hits {
		row := hitRow{Package: h.Package, Path: packagePath(h.ID), Fixed: h.Fixed, All: len(h.Uses)}
		for _, u := range h.Uses {
			things[u.Thing.ID] = true
		}
		if row.Uses, err = o.useRows(r, h.Uses); err != nil {
			return nil, err
		}
		v.Hits = append(v.Hits, row)
	}
	v.Things = len(things)
	got, err := o.config.Hub.Find(r.Context(), hub.Query{Filters: hub.Filters{"GeneratorId": hub.Is("deps/" + b.ID)}, Limit: 20})
	if err != nil {
		return nil, err
	}
	for i := range got.Findings {
		v.Findings = append(v.Findings, rowOf(r.lang, &got.Findings[i], false))
	}
	v.FindingsAt = filterPath(`rule:"deps/` + strings.ReplaceAll(b.ID, `"`, "") + `"`)
	return v, nil
}
