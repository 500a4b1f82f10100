package console

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// problemRow is a problem, and who says so.
type problemRow struct {
	ID        int64
	Worst     findingRow
	Reasons   []string
	Witnesses []witnessRow
}

type witnessRow struct {
	Row       findingRow
	Claim, By string
	Here      bool // it is the finding whose page this is
}

func (r *request) problemRow(p *hub.Problem, here hub.Ref) problemRow {
	row := problemRow{ID: p.ID, Worst: rowOf(r.lang, p.Worst(), false), Reasons: p.Reasons()}
	for i := range p.Witnesses {
		w := &p.Witnesses[i]
		row.Witnesses = append(row.Witnesses, witnessRow{rowOf(r.lang, &w.Finding, false), strings.TrimSuffix(w.Claim, "?"), who(w.By), hub.RefOf(w.Finding) == here})
	}
	return row
}

// problemsOf are the problems that a finding is a witness of, and what it was untied from.
func (o *Console) problemsOf(r *request, ref hub.Ref) (rows []problemRow, untied []hub.Untied, err error) {
	list, err := o.config.Hub.ProblemsOf(r.Context(), ref)
	if err != nil {
		return nil, nil, err
	}
	for i := range list {
		rows = append(rows, r.problemRow(&list[i], ref))
	}
	untied, err = o.config.Hub.UntiedOf(r.Context(), ref)
	return rows, untied, err
}

// shows are the two ways to look at what a filter means.
func shows(q url.Values) []chip {
	to := func(show string) string {
		next := url.Values{}
		for _, name := range []string{"q", "sort"} {
			if q.Has(name) {
				next.Set(name, q.Get(name))
			}
		}
		if show != "" {
			next.Set("show", show)
		}
		return "/findings?" + next.Encode()
	}
	grouped := q.Get("show") == "problems"
	return []chip{{"findings", to(""), !grouped}, {"problems that several tools name", to("problems"), grouped}}
}

const problemsPage = 25

// grouped shows the problems of which a witness answers to the filters.
func (o *Console) grouped(r *request, filters hub.Filters, v *findingsView) error {
	q := r.URL.Query()
	before := int64(0)
	if text := q.Get("before"); text != "" {
		var err error
		if before, err = strconv.ParseInt(text, 10, 64); err != nil || before <= 0 {
			return fault.Invalid.Errorf("%q is no problem's number", text)
		}
	}
	list, next, err := o.config.Hub.Problems(r.Context(), filters, problemsPage, before)
	if err != nil {
		return err
	}
	for i := range list {
		v.Problems = append(v.Problems, r.problemRow(&list[i], hub.Ref{}))
	}
	if next > 0 {
		q.Set("before", strconv.FormatInt(next, 10))
		v.More = "/findings?" + q.Encode()
	}
	return nil
}

func (o *Console) asksTie(r *request) []iam.Request {
	return r.ask("securityhub:BatchUpdateFindings", "")
}

// tie says that a finding and another are one problem.
func (o *Console) tie(r *request) (string, error) {
	ref, err := decodeRef(r.PostFormValue("ref"))
	if err != nil {
		return "", err
	}
	other, err := o.named(r, strings.TrimSpace(r.PostFormValue("other")))
	if err != nil {
		return "", err
	}
	if err := o.config.Hub.Tie(r.Context(), ref, other, r.principal.ARN, strings.TrimSpace(r.PostFormValue("reason"))); err != nil {
		return "", err
	}
	r.say("The findings are tied.")
	return "/findings/" + encodeRef(ref), nil
}

// named is a finding by its Id or the address of its page.
func (o *Console) named(r *request, text string) (hub.Ref, error) {
	if _, address, ok := strings.Cut(text, "/findings/"); ok {
		address, _, _ = strings.Cut(address, "?")
		address, _, _ = strings.Cut(address, "#")
		if ref, err := decodeRef(address); err == nil {
			return ref, nil
		}
	}
	found, err := o.config.Hub.Find(r.Context(), hub.Query{Filters: hub.Filters{"Id": hub.Is(text)}, Limit: 2})
	if err != nil {
		return hub.Ref{}, err
	}
	if len(found.Findings) != 1 {
		return hub.Ref{}, fault.NotFound.Errorf("%s", r.t("There is no one finding %q.", text))
	}
	return hub.RefOf(found.Findings[0]), nil
}

// untie says that a finding is not the problem that it is tied to.
func (o *Console) untie(r *request) (string, error) {
	ref, err := decodeRef(r.PostFormValue("ref"))
	if err != nil {
		return "", err
	}
	problem, err := strconv.ParseInt(r.PostFormValue("problem"), 10, 64)
	if err != nil {
		return "", fault.Invalid.Errorf("%q is no problem's number", r.PostFormValue("problem"))
	}
	if err := o.config.Hub.Untie(r.Context(), ref, problem, r.principal.ARN, strings.TrimSpace(r.PostFormValue("reason"))); err != nil {
		return "", err
	}
	r.say("The finding is untied, and stays so.")
	return "/findings/" + encodeRef(ref), nil
}
