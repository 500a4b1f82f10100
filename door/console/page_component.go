package console

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// useRow is where a package is used.
type useRow struct {
	inspect.Use
	Path, Called string
	Runs         []running
}

// running is a resource of the inventory that names an image.
type running struct{ Name, Path string }

// usesShown is how many of a package's uses a page lists.
const usesShown = 200

func (o *Console) useRows(r *request, uses []inspect.Use) (rows []useRow, err error) {
	var things []inspect.Thing
	for _, u := range uses[:min(len(uses), usesShown)] {
		things = append(things, u.Thing)
	}
	runs, err := o.runsIn(r.Context(), things...)
	for i, t := range things {
		rows = append(rows, useRow{uses[i], madePath(t.ID), r.called(t.Kind), runs[t.ID]})
	}
	return rows, err
}

// runsShown is how many resources are told that run one image.
const runsShown = 5

// runsIn are the resources whose configuration names what was looked into, by the numbers of the things.
func (o *Console) runsIn(ctx context.Context, things ...inspect.Thing) (map[int64][]running, error) {
	list := map[int64][]running{}
	if o.config.Assets == nil || o.config.Comply == nil {
		return list, nil
	}
	var names []string
	for _, t := range things {
		names = append(names, imageNames(t)...)
	}
	found, err := o.config.Assets.Running(ctx, names, runsShown)
	for _, t := range things {
		for _, name := range imageNames(t) {
			for _, item := range found[name] {
				one := running{item.Type + " " + cmp.Or(item.Name, item.ID), resourcePath(inventory.KeyOf(item))}
				if !slices.Contains(list[t.ID], one) {
					list[t.ID] = append(list[t.ID], one)
				}
			}
		}
	}
	return list, err
}

// imageNames are the texts by which a configuration names an image.
func imageNames(t inspect.Thing) (names []string) {
	if t.Kind != inspect.Source && strings.ContainsAny(t.Target, "/:") {
		name := t.Target
		if t.Branch != "" && !strings.Contains(name[strings.LastIndex(name, "/")+1:], ":") {
			name += ":" + t.Branch
		}
		names = append(names, name)
	}
	if strings.HasPrefix(t.Digest, "sha256:") && len(t.Digest) == len("sha256:")+64 && t.Kind == inspect.Image {
		names = append(names, t.Digest)
	}
	return names
}

type componentView struct {
	Package    packageRow
	Bugs       []bugRow
	Uses       []useRow
	All        int
	Versions   []packageRow
	Findings   []findingRow
	FindingsAt string
}

func (o *Console) component() page {
	return page{
		name: "component", path: componentsPath + "/package/{id}", under: "components",
		asks: func(r *request) []iam.Request { return r.ask("inspector2:ListCoverage", "") },
		view: o.componentView,
	}
}

// numbered is the number at the end of an address.
func numbered(r *request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return 0, fault.NotFound.Errorf("there is nothing of this number")
	}
	return id, nil
}

func (o *Console) componentView(r *request) (any, error) {
	id, err := numbered(r)
	if err != nil {
		return nil, err
	}
	p, uses, err := o.config.Inspect.Uses(r.Context(), id)
	if err != nil {
		return nil, err
	}
	v := componentView{All: len(uses)}
	rows, err := o.packageRows(r, []inspect.Package{p})
	if err != nil {
		return nil, err
	}
	v.Package = rows[0]
	bugs, err := o.config.Inspect.Bugs(r.Context(), id)
	if err != nil {
		return nil, err
	}
	for _, m := range bugs[id] {
		v.Bugs = append(v.Bugs, bugRowOf(m))
	}
	if v.Uses, err = o.useRows(r, uses); err != nil {
		return nil, err
	}
	versions, err := o.config.Inspect.Versions(r.Context(), p.Ecosystem, p.Name)
	if err != nil {
		return nil, err
	}
	if v.Versions, err = o.packageRows(r, versions); err != nil {
		return nil, err
	}
	v.Findings, v.FindingsAt, err = o.findingsOfPackage(r, p)
	return v, err
}

// findingsOfPackage are the open findings on a package, and where all of them are.
func (o *Console) findingsOfPackage(r *request, p inspect.Package) (rows []findingRow, all string, err error) {
	purl, _, _ := strings.Cut(p.Locator, "?")
	if at := strings.LastIndex(purl, "@"); at > strings.LastIndex(purl, "/") {
		purl = purl[:at]
	}
	filters := hub.Filters{"ProductFields": {{Key: finding.FieldPackage, Value: purl, Comparison: "EQUALS"}}, "RecordState": hub.Is("ACTIVE")}
	got, err := o.config.Hub.Find(r.Context(), hub.Query{Filters: filters, Limit: 20})
	for i := range got.Findings {
		rows = append(rows, rowOf(r.lang, &got.Findings[i], false))
	}
	return rows, filterPath(`package:"` + purl + `"`), err
}
