package console

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/tool/sbom"
	"github.com/haechi-dev/haechi/tool/vex"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// partRow is a component of a thing, as it lies there.
type partRow struct {
	component.Component
	Search string
	Bugs   []bugRow
}

type madeView struct {
	inspect.Thing
	Search             string
	CycloneDX, SPDX    string // downloads
	OpenVEX, VEX       string
	Compare            string
	Findings           string
	Parts              []partRow
	All, Affected      int
	Direct, Unresolved int
	Elements           []element
	Called             string
	Score              string
	Runs               []running
	Drop               bool
}

func (o *Console) made() page {
	return page{
		name: "made", path: componentsPath + "/of/{id}", under: "components",
		asks: func(r *request) []iam.Request { return r.ask("inspector2:ListCoverage", "") },
		view: o.madeView,
		actions: map[string]action{componentsPath + "/drop": {
			asks: func(r *request) []iam.Request { return r.ask("haechi:ImportReport", "") },
			do:   o.dropBill,
		}},
		streams: map[string]stream{componentsPath + "/of/{id}/{format}": o.bill},
	}
}

// element is one that a bill of materials has to have.
type element struct {
	Name     string
	Have, Of int
}

// partsShown is how many components of a thing are listed.
const partsShown = 500

func (o *Console) madeView(r *request) (any, error) {
	id, err := numbered(r)
	if err != nil {
		return nil, err
	}
	t, components, err := o.config.Inspect.Thing(r.Context(), id)
	if err != nil {
		return nil, err
	}
	here := madePath(t.ID)
	v := madeView{Thing: t, Search: strings.TrimSpace(r.URL.Query().Get("q")), CycloneDX: here + "/cyclonedx", SPDX: here + "/spdx", OpenVEX: here + "/openvex", VEX: here + "/vex", Compare: fmt.Sprintf("%s/diff?from=%d", componentsPath, t.ID),
		Findings: filterPath(openFilter + ` tool:deps target:"` + t.Target + `"`), Drop: t.Kind == inspect.SBOM && r.may("haechi:ImportReport")}
	known, err := o.config.Inspect.BugsOf(components)
	if err != nil {
		return nil, err
	}
	v.list(components, known)
	v.score(r, components, t)
	runs, err := o.runsIn(r.Context(), t)
	v.Runs, v.Called = runs[t.ID], r.called(t.Kind)
	return v, err
}

// list fills in the components, those with bugs first.
func (v *madeView) list(components []component.Component, known []inspect.Known) {
	bugs := map[string][]bugRow{}
	for _, k := range known {
		at := k.Component.Locator()
		bugs[at] = append(bugs[at], bugRowOf(k.Match))
	}
	for _, c := range components {
		v.All++
		if c.Direct {
			v.Direct++
		}
		if c.State == component.Unresolved {
			v.Unresolved++
		}
		row := partRow{c, searchPath(c.Name, c.Version), bugs[c.Locator()]}
		if len(row.Bugs) > 0 {
			v.Affected++
		}
		if v.Search == "" || strings.Contains(strings.ToLower(c.Name), strings.ToLower(v.Search)) {
			v.Parts = append(v.Parts, row)
		}
	}
	slices.SortStableFunc(v.Parts, func(a, b partRow) int {
		return cmp.Or(cmp.Compare(len(b.Bugs), len(a.Bugs)), cmp.Compare(a.Name, b.Name), order(a.Component, b.Component))
	})
	v.Parts = v.Parts[:min(len(v.Parts), partsShown)]
}

func order(a, b component.Component) int {
	n, _ := advisory.Compare(a.Ecosystem, a.Version, b.Version)
	return n
}

// score says how far the thing's bill has the minimum elements.
func (v *madeView) score(r *request, components []component.Component, t inspect.Thing) {
	s := sbom.NTIA(sbom.Document{Components: components, Created: t.At.Format(time.RFC3339), Authors: []string{"haechi"},
		Related: slices.ContainsFunc(components, func(c component.Component) bool { return len(c.Needs) > 0 })})
	v.Score = fmt.Sprintf("%.0f", s.Total)
	for i, title := range []string{r.t("supplier name"), r.t("component name"), r.t("version"), r.t("other unique identifiers"), r.t("dependency relationship"), r.t("author of the data"), r.t("timestamp")} {
		v.Elements = append(v.Elements, element{title, s.Elements[i].Have, s.Elements[i].Of})
	}
}

// bill is the thing's bill of materials, to take away, or what was decided about its vulnerabilities.
func (o *Console) bill(r *request) error {
	id, err := numbered(r)
	if err != nil {
		return err
	}
	if format := r.PathValue("format"); format == "openvex" || format == "vex" {
		return o.decided(r, id, format)
	}
	write, kind, suffix := sbom.CycloneDX, "application/vnd.cyclonedx+json; version=1.6", ".cdx.json"
	switch r.PathValue("format") {
	case "cyclonedx":
	case "spdx":
		write, kind, suffix = sbom.SPDX, "application/spdx+json", ".spdx.json"
	default:
		return fault.NotFound.Errorf("a bill of materials comes as cyclonedx or as spdx, and decisions as openvex or as vex")
	}
	t, components, err := o.config.Inspect.Thing(r.Context(), id)
	if err != nil {
		return err
	}
	r.attach(t, kind, suffix)
	return write(r.w, sbom.Made{Name: t.Target, Version: cmp.Or(t.Commit, t.Branch), Tool: o.config.Version, At: t.At}, components)
}

// attach says that what follows is a file, called after a thing.
func (r *request) attach(t inspect.Thing, kind, suffix string) {
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' {
			return c
		}
		return '_'
	}, strings.Trim(t.Target+"-"+t.Branch, "-"))
	r.w.Header().Set("Content-Type", kind)
	r.w.Header().Set("Content-Disposition", `attachment; filename="`+name+suffix+`"`)
}

// decided is what people decided about the thing's vulnerabilities, as VEX for those who use it.
func (o *Console) decided(r *request, id int64, format string) error {
	t, _, err := o.config.Inspect.Thing(r.Context(), id)
	if err != nil {
		return err
	}
	present, err := o.config.Hub.Present(r.Context(), t.Target, t.Branch)
	if err != nil {
		return err
	}
	var list []finding.Finding
	for _, f := range present {
		if len(f.Vulnerabilities) == 0 || f.ProductFields[finding.FieldPackage] == "" {
			continue
		}
		if err := o.saidOf(r, &f); err != nil {
			return err
		}
		list = append(list, f)
	}
	made := vex.Made{Product: t.Target, Author: nameOf(r.principal), Tool: o.config.Version, At: o.config.Now().UTC()}
	if format == "openvex" {
		r.attach(t, "application/json", ".openvex.json")
		return vex.OpenVEX(r.w, made, list)
	}
	r.attach(t, "application/vnd.cyclonedx+json; version=1.6", ".vex.cdx.json")
	return vex.CycloneDX(r.w, made, list)
}

// saidOf says of a finding what its acceptance means to others. To accept a
// risk is not to say that there is none.
func (o *Console) saidOf(r *request, f *finding.Finding) error {
	status, why := vex.Looking, ""
	a, err := o.config.Hub.AcceptanceOf(r.Context(), hub.RefOf(*f))
	switch {
	case errors.Is(err, fault.NotFound):
		if f.Status() == finding.Suppressed {
			status = vex.NotAffected
		}
	case err != nil:
		return err
	default:
		why = a.Reason
		switch a.Kind {
		case "false-positive":
			status = vex.NotAffected
		case "risk-accepted", "wont-fix":
			status = vex.Affected
		}
	}
	if f.RecordState == finding.Archived || f.Status() == finding.Resolved {
		status = vex.Fixed
	}
	f.ProductFields = maps.Clone(f.ProductFields)
	f.ProductFields[vex.FieldStatus] = string(status)
	if why != "" {
		f.Note = &finding.Note{Text: why}
	}
	return nil
}

// dropBill forgets a bill that somebody brought, and closes what was found on it.
func (o *Console) dropBill(r *request) (string, error) {
	target, branch := r.PostFormValue("target"), r.PostFormValue("branch")
	if err := o.config.Inspect.Drop(r.Context(), target, branch); err != nil {
		return "", err
	}
	r.say("%s is forgotten, and its findings are closed.", strings.TrimSpace(target+" "+branch))
	return componentsPath, nil
}
