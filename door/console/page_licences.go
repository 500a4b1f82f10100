package console

import (
	"net/url"

	"github.com/haechi-dev/haechi/base/licence"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/inspect"
)

type licenceRow struct {
	inspect.Licence
	Path string
	Kind string // what it asks for
}

type licencesView struct {
	Rows                []licenceRow
	Packages, Unknown   int
	UnknownAt, Findings string
}

func (o *Console) licences() page {
	return page{
		name: "licences", path: "/licences", under: "components",
		asks: func(r *request) []iam.Request { return r.ask("inspector2:ListCoverage", "") },
		view: o.licencesView,
	}
}

func (o *Console) licencesView(r *request) (any, error) {
	list, err := o.config.Inspect.Licences(r.Context())
	if err != nil {
		return nil, err
	}
	v := licencesView{UnknownAt: componentsPath + "?unknown=1", Findings: filterPath(openFilter + ` rule:"deps/licence"`)}
	for _, l := range list {
		v.Packages += l.Packages
		if l.Name == "" {
			v.Unknown = l.Packages
			continue
		}
		kind := licence.Other
		if e, err := licence.Parse(l.Name); err == nil {
			kind = e.Kind()
		}
		v.Rows = append(v.Rows, licenceRow{l, componentsPath + "?licence=" + url.QueryEscape(l.Name), r.askedBy(kind)})
	}
	return v, nil
}

// askedBy is what a kind of licences asks of those who pass software on.
func (r *request) askedBy(kind licence.Kind) string {
	switch kind {
	case licence.Permissive:
		return r.t("keep the notice")
	case licence.Weak:
		return r.t("pass on changes to it alike")
	case licence.Strong:
		return r.t("pass on the whole work alike")
	case licence.Network:
		return r.t("offer the source also to those who use it over a network")
	case licence.Restricted:
		return r.t("not every use is allowed")
	}
	return r.t("not known: read it")
}
