package app

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/forge"
	"github.com/haechi-dev/haechi/door/gitdoor"
	"github.com/haechi-dev/haechi/door/hooks"
	"github.com/haechi-dev/haechi/door/intake"
	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/door/runner"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/door/wire/s3"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// heard keeps what the door wire tells of a call.
func (a *App) heard(ctx context.Context, h wire.Heard) error {
	if h.Call.Principal.ARN != "" && h.Call.Principal.Session == nil { // a key that stays
		a.Access.Used(h.Key, h.Call.Service, h.Call.Region)
	}
	e := audit.Entry{
		Time: h.Call.Time, Principal: h.Call.Principal, Key: h.Key, Action: h.Action, Region: h.Call.Region,
		SourceIP: h.Call.SourceIP, UserAgent: h.Call.UserAgent, RequestID: h.Call.RequestID,
		Parameters: h.Input, Code: h.Code, Reason: h.Reason, Refused: h.Refused, Read: audit.ReadOnly(h.Action),
	}
	for _, r := range h.Asked {
		e.Resources = append(e.Resources, r.Resource)
	}
	if !e.Read {
		e.Answer = h.Output()
	}
	return a.Audit.Keep(ctx, e)
}

// note is what a door found out about a request on its way: the doors for git,
// log lines and reports ask who it is and whether they may, and answer at last.
type note struct {
	who         iam.Principal
	key         string
	from, agent string // the client's address and name
	tls         bool
	base        string // of the ARNs of what a door takes in
	target      string // of a report
	asks        []iam.Request
}

// known is a request with what is known of the call: the keys that conditions ask for, and what it is about.
func (n *note) known(r iam.Request) iam.Request {
	if n.from == "" {
		return r
	}
	context := map[string][]string{"aws:sourceip": {n.from}, "aws:securetransport": {strconv.FormatBool(n.tls)}}
	if n.agent != "" {
		context["aws:useragent"] = []string{n.agent}
	}
	for key, values := range r.Context {
		if key = strings.ToLower(key); context[key] == nil {
			context[key] = values
		}
	}
	r.Context = context
	if what := map[string]string{intake.Action: "records", intake.ItemsAction: "items", reports.Action: "report/" + n.target}[r.Action]; what != "" && r.Resource == "*" {
		r.Resource = n.base + what
	}
	return r
}

type noteKey struct{}

func noteOf(ctx context.Context) *note {
	n, _ := ctx.Value(noteKey{}).(*note)
	if n == nil {
		return &note{}
	}
	return n
}

// watchedAccess is access, which notes who asked for what.
type watchedAccess struct{ *access.Access }

// Secret is the secret of an access key.
func (w watchedAccess) Secret(ctx context.Context, id, token string) (seal.Secret, iam.Principal, error) {
	secret, who, err := w.Access.Secret(ctx, id, token)
	noteOf(ctx).key = id
	return secret, who, err
}

// Allow asks whether all of that is allowed.
func (w watchedAccess) Allow(ctx context.Context, requests ...iam.Request) error {
	n := noteOf(ctx)
	asked := make([]iam.Request, len(requests))
	for i, r := range requests {
		asked[i], n.who = n.known(r), r.Principal
	}
	n.asks = append(n.asks, asked...)
	return w.Access.Allow(ctx, asked...)
}

// watch keeps a record of every request that next answers, before its answer begins.
func (a *App) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := &note{from: a.sourceIP(r), agent: r.UserAgent(), tls: a.overTLS(r), base: "arn:aws:haechi:" + a.Config.Region + ":" + a.Config.Account + ":", target: r.URL.Query().Get("target")}
		r = r.WithContext(context.WithValue(r.Context(), noteKey{}, n))
		next.ServeHTTP(&watcher{ResponseWriter: w, app: a, request: r, note: n}, r)
	})
}

// watcher is an answer on its way out.
type watcher struct {
	http.ResponseWriter
	app     *App
	request *http.Request
	note    *note
	began   bool
	dropped bool // the record could not be kept: nothing of the answer goes out
}

// Unwrap is for http.ResponseController.
func (w *watcher) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader keeps the record, and then begins the answer.
func (w *watcher) WriteHeader(status int) {
	if w.began || status < 200 {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.began = true
	if n := w.note; status < 300 && n.key != "" && n.who.Session == nil {
		w.app.Access.Used(n.key, strings.SplitN(doorAction(w.request), ":", 2)[0], w.app.Config.Region)
	}
	if w.request.Method == http.MethodPost && strings.HasSuffix(w.request.URL.Path, "/git-receive-pack") && status < 300 {
		w.ResponseWriter.WriteHeader(status) // pushed keeps what refs move, before they do
		return
	}
	if err := w.app.Audit.Keep(w.request.Context(), w.entry(status)); err != nil {
		w.app.log.Error("a record of a call was not kept", "path", w.request.URL.Path, "error", err)
		if status < 400 {
			w.dropped = true
			http.Error(w.ResponseWriter, "the audit trail cannot be written: try again", http.StatusServiceUnavailable)
			return
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write is the answer's body.
func (w *watcher) Write(b []byte) (int, error) {
	if !w.began {
		w.WriteHeader(http.StatusOK)
	}
	if w.dropped {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

func (w *watcher) entry(status int) audit.Entry {
	r, n := w.request, w.note
	e := audit.Entry{
		Time: w.app.now(), Principal: n.who, Key: n.key, Action: doorAction(r), SourceIP: n.from, UserAgent: n.agent,
		RequestID: r.Header.Get("X-Amz-Firehose-Request-Id"), Parameters: doorParameters(r),
		Refused: status == http.StatusUnauthorized || status == http.StatusForbidden,
	}
	for _, asked := range n.asks {
		e.Action, e.Resources = asked.Action, append(e.Resources, asked.Resource)
	}
	e.Read = audit.ReadOnly(e.Action) || r.Method == http.MethodGet && !e.Refused
	// Files of buckets, log lines, what a cluster asks before each thing it makes, and what runners say are many.
	e.Data = strings.HasPrefix(r.URL.Path, intake.Prefix) || strings.HasPrefix(r.URL.Path, hooks.Prefix) || strings.HasPrefix(r.URL.Path, runner.Prefix) || s3.Mine(r) && strings.HasSuffix(e.Action, "Object")
	if status >= 400 {
		e.Code = cmp.Or(w.Header().Get("X-Amzn-Errortype"), doorCodes[status], http.StatusText(status))
	}
	return e
}

// pushed keeps a record of a push before its refs move, or of why they do not.
func (a *App) pushed(ctx context.Context, p gitdoor.Pushed) error {
	n := noteOf(ctx)
	said := struct {
		Repository string `json:"repositoryName"`
		References []any  `json:"references"`
	}{Repository: p.Repository, References: []any{}}
	for _, u := range p.Updates {
		said.References = append(said.References, map[string]string{"ref": u.Ref, "beforeCommit": u.Old, "afterCommit": u.New})
	}
	text, err := json.Marshal(said, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return err
	}
	e := audit.Entry{
		Time: a.now(), Principal: n.who, Key: n.key, Action: "codecommit:GitPush", Resources: []string{a.Source.ARN(p.Repository)},
		SourceIP: n.from, UserAgent: n.agent, Parameters: text,
	}
	if p.Refused != nil {
		e.Refused, e.Code, e.Reason = true, "PushRefused", p.Refused.Error()
		if errors.Is(p.Refused, fault.Denied) {
			e.Code = "AccessDenied"
		}
	}
	return a.Audit.Keep(ctx, e)
}

var doorCodes = map[int]string{http.StatusUnauthorized: "InvalidClientTokenId", http.StatusForbidden: "AccessDenied"}

// doorAction is what a request wants, for those that nobody was asked about.
func doorAction(r *http.Request) string {
	switch {
	case s3.Mine(r):
		return s3.Action(r)
	case strings.HasPrefix(r.URL.Path, gitdoor.Prefix):
		if strings.Contains(r.URL.RequestURI(), "git-receive-pack") {
			return "codecommit:GitPush"
		}
		return "codecommit:GitPull"
	case strings.HasPrefix(r.URL.Path, forge.Prefix), strings.HasPrefix(r.URL.Path, forge.PipelinePrefix):
		return forge.Action
	case strings.HasPrefix(r.URL.Path, hooks.Prefix):
		return hooks.Action
	case r.URL.Path == intake.Prefix+"items":
		return intake.ItemsAction
	case strings.HasPrefix(r.URL.Path, intake.Prefix):
		return intake.Action
	}
	return reports.Action
}

// doorParameters are what a request's address says.
func doorParameters(r *http.Request) jsontext.Value {
	said := struct {
		Method string              `json:"method"`
		Path   string              `json:"path"`
		Query  map[string][]string `json:"query,omitzero"`
	}{r.Method, r.URL.Path, nil}
	if kind, ok := strings.CutPrefix(r.URL.Path, hooks.Prefix); ok && !strings.HasPrefix(r.URL.Path, forge.Prefix) { // what follows the kind is a token
		kind, token, _ := strings.Cut(kind, "/")
		said.Path = hooks.Prefix + kind
		if token != "" {
			said.Path += "/" + audit.Hidden
		}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	for _, name := range []string{"X-Amz-Signature", "X-Amz-Security-Token"} { // a link's, which somebody might use
		if query.Has(name) {
			query.Set(name, audit.Hidden)
		}
	}
	if err == nil && len(query) > 0 {
		said.Query = query
	}
	text, err := json.Marshal(said, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil
	}
	return text
}
