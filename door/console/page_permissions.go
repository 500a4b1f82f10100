package console

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/keeper/snapshot"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/iam/account"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

const permissionsPath = "/permissions"

// Accounts are those of which it is known who may do what: this
// installation's own, whose id is "", and AWS accounts by their snapshots.
type Accounts interface {
	List(ctx context.Context) ([]snapshot.Snapshot, error)
	Account(ctx context.Context, id string) (*account.Account, error)
	// Put keeps a snapshot, and what is wrong with it as findings: how many.
	Put(ctx context.Context, who iam.Principal, name string, text []byte) (id string, findings int, err error)
	Delete(ctx context.Context, id string) error
	// Explain is what guards this installation itself, asked at leisure.
	Explain(ctx context.Context, r iam.Request) (iam.Explanation, error)
	// Escalation is a way to more rights as the finding that Put makes of it.
	Escalation(e account.Escalation) finding.Finding
}

// option is one of a list to choose from.
type option struct {
	Value, Title string
	Chosen       bool
}

// sayingLayer is what one layer of policies says.
type sayingLayer struct {
	Name       string
	Note       string // where it was not asked, why
	Level      int    // of an organisation's, from 1; 0: it has none
	Said       string // allows, denies, silent, or none
	Blocks     bool
	Statements []sayingStatement
}

type sayingStatement struct {
	Policy  string
	Number  int
	Sid     string
	Deny    bool
	Matches bool
	Decides bool
	Why     string
	Text    string
}

// permissionAnswer is a decision as it is drawn.
type permissionAnswer struct {
	Allowed           bool
	Action, Resource  string
	Principal, Reason string
	Layers            []sayingLayer
}

type permissionsView struct {
	Accounts                    []option
	Account                     string
	Names                       []string
	Principal, Action, Resource string
	Context                     string
	Policies                    []policyField
	More                        bool // some of them are filled in
	Problem                     string
	Answer                      *permissionAnswer
	Graph                       string
	Snapshots                   []snapshot.Snapshot
	Bring                       bool
}

// policyField is a policy that people can hand in beside those that are known.
type policyField struct {
	Name, Title, Text string
	kind              iam.Kind
}

func (o *Console) permissions() page {
	asks := func(r *request) []iam.Request { return r.ask("iam:SimulatePrincipalPolicy", "") }
	put := func(r *request) []iam.Request { return r.ask("haechi:PutAccountSnapshot", "") }
	return page{
		name: "permissions", path: permissionsPath, nav: "Permissions", asks: asks,
		view: func(r *request) (any, error) { return o.permissionsView(r, nil) },
		actions: map[string]action{
			permissionsPath:               {asks: asks, show: func(r *request) (any, error) { return o.permissionsView(r, nil) }},
			permissionsPath + "/snapshot": {asks: put, do: o.bringSnapshot, again: o.permissionsView},
			permissionsPath + "/forget": {asks: put, do: func(r *request) (string, error) {
				return permissionsPath, o.config.Accounts.Delete(r.Context(), r.PostFormValue("account"))
			}},
		},
	}
}

// value is a field of the form, from the address or the body.
func (r *request) value(name string) string {
	if r.Method == http.MethodPost {
		return strings.TrimSpace(r.PostForm.Get(name))
	}
	return strings.TrimSpace(r.URL.Query().Get(name))
}

func (o *Console) permissionsView(r *request, problem error) (any, error) {
	v := permissionsView{
		Account: r.value("account"), Principal: r.value("principal"), Action: r.value("action"), Resource: r.value("resource"), Context: r.value("context"),
		Bring: r.may("haechi:PutAccountSnapshot"),
		Policies: []policyField{
			{"resource-policy", r.t("Policy of the resource"), r.value("resource-policy"), iam.Resource},
			{"session", r.t("Session policy"), r.value("session"), iam.Identity},
			{"endpoint", r.t("Policy of the VPC endpoint"), r.value("endpoint"), iam.Endpoint},
			{"scp", r.t("Service control policy"), r.value("scp"), iam.ServiceControl},
			{"rcp", r.t("Resource control policy"), r.value("rcp"), iam.ResourceControl},
		},
	}
	var err error
	if v.Snapshots, err = o.config.Accounts.List(r.Context()); err != nil {
		return nil, err
	}
	v.Accounts = o.accountOptions(r, v.Snapshots, v.Account)
	for _, p := range v.Policies {
		v.More = v.More || p.Text != ""
	}
	a, err := o.config.Accounts.Account(r.Context(), v.Account)
	if err != nil {
		return nil, err
	}
	for _, p := range a.Principals {
		v.Names = append(v.Names, p.ARN)
	}
	v.Graph = graphPath(v.Account, v.Principal)
	if problem == nil && (v.Principal != "" || v.Action != "") {
		v.Answer, problem = o.may(r, a, &v)
	}
	if problem != nil {
		if fault.Of(problem) == fault.Internal {
			return nil, problem
		}
		v.Problem = diag.Detail(problem)
	}
	return v, nil
}

func (o *Console) accountOptions(r *request, all []snapshot.Snapshot, chosen string) []option {
	options := []option{{"", r.t("this installation (%s)", o.config.Account), chosen == ""}}
	for _, s := range all {
		options = append(options, option{s.Account, s.Account, s.Account == chosen})
	}
	return options
}

// may asks whether somebody may do something.
func (o *Console) may(r *request, a *account.Account, v *permissionsView) (*permissionAnswer, error) {
	switch {
	case v.Principal == "":
		return nil, fault.Invalid.Errorf("%s", r.t("Say who: a user or a role, by name or ARN."))
	case !strings.Contains(v.Action, ":"):
		return nil, fault.Invalid.Errorf("%s", r.t("Say what for: an action such as s3:GetObject."))
	}
	p := a.Find(v.Principal)
	if p == nil {
		var names []string
		for _, one := range a.Principals {
			names = append(names, one.Name)
		}
		err := fault.NotFound.Errorf("%s", r.t("No user and no role of this account is called %q.", v.Principal))
		if hint := diag.DidYouMean(v.Principal, names); hint != "" {
			err = fault.NotFound.Errorf("%w %s", err, hint)
		}
		return nil, err
	}
	q := account.Question{Action: v.Action, Resource: cmp.Or(v.Resource, "*"), Context: map[string][]string{}}
	q.Some = q.Resource != "*" && strings.ContainsAny(q.Resource, "*?")
	for line := range strings.Lines(v.Context) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fault.Invalid.Errorf("%s", r.t("%q is no condition key with a value: write aws:SourceIp=10.0.0.1", line))
		}
		key = strings.ToLower(strings.TrimSpace(key))
		q.Context[key] = append(q.Context[key], strings.TrimSpace(value))
	}
	if err := limits(a, &q, v.Policies); err != nil {
		return nil, err
	}
	e := p.Explain(q)
	if v.Account == "" && !p.Role && !v.More && o.config.Known != nil { // this installation's own gate answers itself
		who, err := o.config.Known(r.Context(), p.Name)
		if err != nil {
			return nil, err
		}
		if e, err = o.config.Accounts.Explain(r.Context(), iam.Request{Principal: who, Action: q.Action, Resource: q.Resource, Some: q.Some, Context: q.Context}.Known()); err != nil {
			return nil, err
		}
	}
	return o.drawn(r, e, p.ARN, q), nil
}

// limits reads the policies that were handed in.
func limits(a *account.Account, q *account.Question, fields []policyField) error {
	for _, f := range fields {
		if f.Text == "" {
			continue
		}
		kind := f.kind
		if f.Name == "resource-policy" && strings.Contains(q.Resource, ":role/") && strings.HasPrefix(strings.ToLower(q.Action), "sts:") {
			kind = iam.Trust
		}
		p, err := iam.ParseAs(kind, f.Title, []byte(f.Text))
		if err != nil {
			return err
		}
		switch f.Name {
		case "resource-policy":
			q.Policy = p
		case "session":
			q.Limits.Session = []*iam.Policy{p}
		case "endpoint":
			q.Limits.Endpoint = []*iam.Policy{p}
		case "scp":
			q.Limits.ServiceControl = [][]*iam.Policy{{p}}
		case "rcp":
			q.Limits.ResourceControl = [][]*iam.Policy{{p}}
		}
	}
	if q.Policy == nil {
		q.Policy = a.Trust(q.Resource)
	}
	return nil
}

// drawn is an explanation in the order in which AWS asks the layers, those that have no policy with it.
func (o *Console) drawn(r *request, e iam.Explanation, who string, q account.Question) *permissionAnswer {
	answer := &permissionAnswer{Allowed: e.Outcome == iam.Allowed, Principal: who, Action: q.Action, Resource: q.Resource}
	names := []struct {
		layer iam.Layer
		name  string
	}{
		{iam.ByServiceControl, r.t("Service control policy")}, {iam.ByResourceControl, r.t("Resource control policy")}, {iam.ByEndpoint, r.t("Policy of the VPC endpoint")},
		{iam.ByResource, r.t("Policy of the resource")}, {iam.ByBoundary, r.t("Permissions boundary")}, {iam.BySession, r.t("Session policy")}, {iam.ByIdentity, r.t("Policies of the identity")},
	}
	for _, n := range names {
		asked := false
		for _, l := range e.Layers {
			if l.Layer != n.layer {
				continue
			}
			asked = true
			answer.Layers = append(answer.Layers, sayingOf(r, n.name, l, e))
		}
		if !asked {
			answer.Layers = append(answer.Layers, sayingLayer{Name: n.name, Said: "none", Note: r.t("there is none, so it limits nothing")})
		}
		if e.Layer == n.layer {
			answer.Reason = r.t("No statement here allows it: %s", n.name)
			if e.Policy != "" {
				answer.Reason = r.t("Statement %d of %s decides", e.Statement+1, e.Policy)
			}
		}
	}
	if e.Note != "" {
		answer.Reason = e.Note
	}
	return answer
}

func sayingOf(r *request, name string, l iam.LayerSays, e iam.Explanation) sayingLayer {
	s := sayingLayer{Name: name, Said: "silent", Blocks: slices.Contains(e.Blocked, l.Layer)}
	if l.Layer == iam.ByServiceControl || l.Layer == iam.ByResourceControl {
		s.Level = l.Level + 1
	}
	switch {
	case !l.Applies:
		s.Said, s.Note = "none", r.t("it limits nobody of this kind")
	case l.Outcome == iam.Allowed:
		s.Said = "allows"
	case l.Outcome == iam.ExplicitlyDenied:
		s.Said = "denies"
	}
	for _, one := range l.Statements {
		s.Statements = append(s.Statements, sayingStatement{
			Policy: one.Policy, Number: one.Statement + 1, Sid: one.Sid, Deny: one.Deny, Matches: one.Matches, Why: one.Why, Text: one.Text,
			Decides: l.Layer == e.Layer && one.Policy == e.Policy && one.Statement == e.Statement && one.Matches,
		})
	}
	// What decides comes first, then what matches.
	slices.SortStableFunc(s.Statements, func(x, y sayingStatement) int {
		rank := func(s sayingStatement) int {
			switch {
			case s.Decides:
				return 0
			case s.Matches:
				return 1
			}
			return 2
		}
		return rank(x) - rank(y)
	})
	return s
}

// bringSnapshot takes a snapshot in, and what is wrong with it as findings.
func (o *Console) bringSnapshot(r *request) (string, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return "", fault.Invalid.Errorf("%s", r.t("No file is chosen."))
	}
	for {
		p, err := parts.NextPart()
		if err == io.EOF {
			return "", fault.Invalid.Errorf("%s", r.t("No file is chosen."))
		}
		if err != nil {
			return "", fault.Invalid.Errorf("the file did not come to its end: %w", err)
		}
		if p.FormName() != "snapshot" || p.FileName() == "" {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(p, snapshot.MaxSize+1))
		if err != nil {
			return "", fault.Invalid.Errorf("the file did not come to its end: %w", err)
		}
		id, found, err := o.config.Accounts.Put(r.Context(), r.principal, p.FileName(), text)
		if err != nil {
			return "", err
		}
		r.say("The snapshot of %s is kept. Findings: %d", id, found)
		return graphPath(id, ""), nil
	}
}

func graphPath(id, focus string) string {
	q := url.Values{}
	if id != "" {
		q.Set("account", id)
	}
	if focus != "" {
		q.Set("focus", focus)
	}
	if len(q) == 0 {
		return permissionsPath + "/graph"
	}
	return permissionsPath + "/graph?" + q.Encode()
}

// graphOf is the address of the picture that a finding about an account's principals belongs to, or "".
func (o *Console) graphOf(f *finding.Finding) string {
	if o.config.Accounts == nil || !strings.HasPrefix(f.GeneratorID, "haechi/iam/") || len(f.Resources) == 0 {
		return ""
	}
	parts := strings.SplitN(f.Resources[0].ID, ":", 6)
	if len(parts) != 6 || parts[2] != "iam" {
		return ""
	}
	return graphPath(parts[4], f.Resources[0].ID)
}

// words of a step, for those who hover and those who cannot see.
func stepWords(r *request, e account.Edge, name func(string) string) string {
	what := r.t("may assume")
	if len(e.Paths) > 0 {
		what = strings.Join(e.Hows, "; ") + " (" + strings.Join(e.Paths, ", ") + ")"
		if e.Assumes {
			what = r.t("may assume") + "; " + what
		}
	}
	sure := ""
	if e.May != account.Yes {
		sure = " – " + r.t("perhaps")
	}
	return fmt.Sprintf("%s → %s: %s%s", name(e.From), name(e.To), what, sure)
}
