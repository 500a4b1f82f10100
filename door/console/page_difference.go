package console

import (
	"slices"
	"strconv"

	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/tool/sbom"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/fault"
)

type changeRow struct {
	sbom.Change
	Search string
}

// changes are those of one kind.
type changes struct {
	Kind, Title string
	Rows        []changeRow
}

type bugOfRow struct {
	bugRow
	Name, Version, Search string
}

type compared struct {
	ID       int64
	Name     string
	From, To bool
}

type differenceView struct {
	Choices    []compared
	From, To   *madeRow
	Changes    []changes
	New, Ended []bugOfRow
	Same       bool
}

func (o *Console) difference() page {
	return page{
		name: "difference", path: componentsPath + "/diff", under: "components",
		asks: func(r *request) []iam.Request { return r.ask("inspector2:ListCoverage", "") },
		view: o.differenceView,
	}
}

func (o *Console) differenceView(r *request) (any, error) {
	query := r.URL.Query()
	from, to, err := pairOf(query.Get("from"), query.Get("to"))
	if err != nil {
		return nil, err
	}
	things, err := o.config.Inspect.Things(r.Context(), "")
	if err != nil {
		return nil, err
	}
	v := differenceView{}
	for _, t := range r.madeRows(things) {
		name := t.Target
		if t.Branch != "" {
			name += " · " + t.Branch
		}
		v.Choices = append(v.Choices, compared{t.ID, name, t.ID == from, t.ID == to})
	}
	if from == 0 || to == 0 {
		return v, nil
	}
	a, before, err := o.config.Inspect.Thing(r.Context(), from)
	if err != nil {
		return nil, err
	}
	b, after, err := o.config.Inspect.Thing(r.Context(), to)
	if err != nil {
		return nil, err
	}
	rows := r.madeRows([]inspect.Thing{a, b})
	v.From, v.To = &rows[0], &rows[1]
	v.Changes = changesOf(r, before, after)
	v.New, v.Ended, err = o.bugsBetween(before, after)
	v.Same = len(v.Changes) == 0 && len(v.New)+len(v.Ended) == 0
	return v, err
}

func pairOf(from, to string) (a, b int64, err error) {
	for _, one := range []struct {
		text string
		to   *int64
	}{{from, &a}, {to, &b}} {
		if one.text == "" {
			continue
		}
		if *one.to, err = strconv.ParseInt(one.text, 10, 64); err != nil {
			return 0, 0, fault.Invalid.Errorf("%.40q is the number of nothing that was looked into", one.text)
		}
	}
	return a, b, nil
}

func changesOf(r *request, before, after []component.Component) (list []changes) {
	for _, c := range sbom.Diff(before, after) {
		row := changeRow{c, searchPath(c.Name, "")}
		if n := len(list); n > 0 && list[n-1].Kind == c.Kind {
			list[n-1].Rows = append(list[n-1].Rows, row)
			continue
		}
		list = append(list, changes{c.Kind, r.changed(c.Kind), []changeRow{row}})
	}
	return list
}

// changed is what people call a kind of changes.
func (r *request) changed(kind string) string {
	switch kind {
	case "added":
		return r.t("added")
	case "removed":
		return r.t("removed")
	case "upgraded":
		return r.t("upgraded")
	case "downgraded":
		return r.t("downgraded")
	case "relicensed":
		return r.t("under another licence")
	}
	return r.t("in other versions")
}

// bugsBetween are the bugs that come and those that go.
func (o *Console) bugsBetween(before, after []component.Component) (fresh, ended []bugOfRow, err error) {
	a, err := o.config.Inspect.BugsOf(before)
	if err != nil {
		return nil, nil, err
	}
	b, err := o.config.Inspect.BugsOf(after)
	if err != nil {
		return nil, nil, err
	}
	return without(b, a), without(a, b), nil
}

// without are the bugs of a list that another has not.
func without(list, others []inspect.Known) (rows []bugOfRow) {
	has := map[string]bool{}
	for _, k := range others {
		has[k.Component.PURL+" "+k.ID] = true
	}
	for _, k := range list {
		if !has[k.Component.PURL+" "+k.ID] {
			rows = append(rows, bugOfRow{bugRowOf(k.Match), k.Component.Name, k.Component.Version, searchPath(k.Component.Name, k.Component.Version)})
		}
	}
	slices.SortStableFunc(rows, func(a, b bugOfRow) int { return b.Severity.Rank() - a.Severity.Rank() })
	return rows
}
