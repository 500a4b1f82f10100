// Package console is what people see: pages that work without scripts, and are live with them.
//
// A page is one Go file with a typed view, one template of the same name and
// one line in pages. Templates are parsed once for each language; what they say
// is English, and {{t "…"}} finds the reader's words for it.
package console

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/word/fault"
)

// Config is what the console shows, and whom it asks.
type Config struct {
	Access Access
	People People
	DB     *db.DB
	Hub    *hub.Hub
	Bus    *bus.Bus
	Log    *slog.Logger
	Now    func() time.Time

	// What has pages only where it is there.
	Runs   *pipeline.Pipelines
	Assets *inventory.Inventory // with Comply
	Comply *comply.Comply
	Routes *route.Router
	Source *source.Source
	Builds *build.Builds
	Logs   *work.Work // with Builds: what they wrote

	Account, Region string
	Version         string
	Secure          func(*http.Request) bool   // whether a request came over TLS; nil: r.TLS
	Kept            Holdings                   // what is kept, for the settings; may be nil
	Loop            Loop                       // what goes on, for the overview; may be nil
	Trail           Trail                      // where records of all that is done go; nil: nowhere
	Accounts        Accounts                   // who may do what; nil: no page for it
	Policies        func() []iac.Rule          // the rules that infrastructure is held against; nil: no page for them
	Records         Records                    // the page of the trail; nil: none
	Known           Known                      // who a user is, for records of sign-ins; may be nil
	Logins          Logins                     // second factors and identity providers; nil: passwords alone
	URL             func(path string) string   // the address of a path here, for those who send people back
	Reports         *reports.Door              // takes other tools' reports; nil: no page for them
	Inspect         *inspect.Inspector         // what everything is made of; nil: no pages for it
	Secrets         Secrets                    // the life of secrets; nil: no page for it
	SourceIP        func(*http.Request) string // where a request came from; nil: the connection's address
	Reviewer        Reviewer                   // who somebody is to pull requests; nil: their ARN and name alone
}

// Known is a user by name.
type Known func(ctx context.Context, user string) (iam.Principal, error)

// Access says who is asking and whether they may.
type Access interface {
	SignIn(ctx context.Context, user string, password seal.Secret) (token seal.Secret, err error)
	Redeem(ctx context.Context, link seal.Secret) (token seal.Secret, err error)
	Session(ctx context.Context, token seal.Secret) (iam.Principal, error)
	SignOut(ctx context.Context, token seal.Secret) error
	Allow(ctx context.Context, requests ...iam.Request) error
}

// Console is the door.
type Console struct {
	config    Config
	templates map[string]map[string]*tmpl // by language and page
	mux       *http.ServeMux
	logs      logIndexes
	delivered delivered
}

// New makes the console's pages.
func New(c Config) (*Console, error) {
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Secure == nil {
		c.Secure = func(r *http.Request) bool { return r.TLS != nil }
	}
	if c.SourceIP == nil {
		c.SourceIP = func(r *http.Request) string { return r.RemoteAddr }
	}
	o := &Console{config: c, mux: http.NewServeMux()}
	var err error
	if o.templates, err = parseTemplates(); err != nil {
		return nil, err
	}
	o.mux.Handle("GET /static/", static())
	o.mux.HandleFunc("GET /sign-in", o.signInPage)
	o.mux.HandleFunc("POST /sign-in", o.signIn)
	if c.Logins != nil {
		o.mux.HandleFunc("POST /sign-in/code", o.code)
		o.mux.HandleFunc("GET /sign-in/{login}", o.leave)
		o.mux.HandleFunc("GET /sign-in/{login}/back", o.arrive)
	}
	o.mux.HandleFunc("GET /link/{token}", o.linkPage)
	o.mux.HandleFunc("POST /link/{token}", o.redeem)
	o.mux.HandleFunc("POST /sign-out", o.signOut)
	o.mux.HandleFunc("GET /live", o.live)
	for _, p := range o.pages() {
		o.mux.HandleFunc("GET "+p.path, o.show(p))
		for path, a := range p.actions {
			o.mux.HandleFunc("POST "+path, o.act(p, a))
		}
		for path, s := range p.streams {
			o.mux.HandleFunc("GET "+path, o.stream(p, s))
		}
	}
	o.mux.HandleFunc("/", o.missing)
	return o, nil
}

// Paths are all that the console answers to, for those who test that nobody gets in: METHOD /path/{pattern}.
func (o *Console) Paths() (paths []string) {
	for _, p := range o.pages() {
		paths = append(paths, "GET "+p.path)
		for path := range p.actions {
			paths = append(paths, "POST "+path)
		}
		for path := range p.streams {
			paths = append(paths, "GET "+path)
		}
	}
	return append(paths, "GET /live")
}

// ServeHTTP answers; requests that another site makes a browser send are refused.
func (o *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	w.Header().Set("Cache-Control", "no-store")
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		q, _ := o.enter(w, r)
		o.fail(w, r, o.heard(q, nil, fault.Denied.Errorf("another site sent this request")))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, mostBody(r))
	o.mux.ServeHTTP(w, r)
}

// page is one page.
type page struct {
	name    string // of its template, and of its place in the navigation
	path    string // as http.ServeMux has it
	nav     string // English title in the navigation, or "" for a page within another
	under   string // the page whose place in the navigation lights up
	asks    func(r *request) []iam.Request
	view    func(r *request) (any, error)
	actions map[string]action // POST path → what it does
	streams map[string]stream // GET path → what is no page: text, events
}

// action is what a form does. It returns where to go next, or, with show, the
// page's view with what is told this once.
type action struct {
	asks  func(r *request) []iam.Request
	do    func(r *request) (next string, err error)
	show  func(r *request) (view any, err error)
	again func(r *request, problem error) (view any, err error) // the form as it was filled in, with what is wrong; may be nil
}

// mistake tells whether an error is one that whoever filled in a form can mend there.
func mistake(err error) bool {
	kind := fault.Of(err)
	return kind == fault.Invalid || kind == fault.Exists || kind == fault.Conflict
}

// stream writes an answer that is no page; whoever may see the page may see it.
type stream func(r *request) error

// pages lists every page; adding one is a line here.
func (o *Console) pages() []page {
	all := []page{o.overview(), o.findings(), o.finding()}
	if o.config.Reports != nil {
		all = append(all, o.reports())
	}
	if o.config.Secrets != nil {
		all = append(all, o.secrets(), o.secretRules(), o.secretLife())
	}
	if o.config.Inspect != nil {
		all = append(all, o.components(), o.component(), o.made(), o.advisory(), o.difference(), o.licences())
	}
	if o.config.Source != nil {
		all = append(all, o.repositories(), o.repository(), o.files(), o.blame(), o.commits(), o.commit(), o.compare(), o.pulls(), o.newPull(), o.pull())
	}
	if o.config.Runs != nil {
		all = append(all, o.pipelines(), o.pipeline(), o.whatIf(), o.runs(), o.run())
	}
	if o.config.Builds != nil {
		all = append(all, o.builds(), o.build(), o.batch(), o.reportGroups(), o.reportGroup(), o.testReport())
	}
	if o.config.Runs != nil {
		all = append(all, o.approvals())
	}
	if o.config.Assets != nil && o.config.Comply != nil {
		all = append(all, o.resources(), o.resource())
	}
	if o.config.Policies != nil {
		all = append(all, o.policies(), o.try(), o.policy())
	}
	if o.config.Routes != nil {
		all = append(all, o.routes(), o.route(), o.receiver(), o.deliveries(), o.letter())
	}
	all = append(all, o.users(), o.password())
	if o.config.Accounts != nil {
		all = append(all, o.permissions(), o.graph())
	}
	if o.config.Records != nil {
		all = append(all, o.trail())
	}
	return append(all, o.settings())
}

// request is one look at a page, by somebody we know.
type request struct {
	*http.Request
	w         http.ResponseWriter
	principal iam.Principal
	lang      string
	console   *Console
	head      int64 // the river's, before anything was looked at; -1 is not known
}

// ask is the question whether whoever looks may do action on resource ("" is *).
func (r *request) ask(action, resource string) []iam.Request {
	q := iam.Request{Principal: r.principal, Action: action, Resource: cmp.Or(resource, "*"), Context: r.context()}.Known()
	return []iam.Request{q}
}

// may tells whether whoever looks may do something, so that pages need not show what would be refused.
func (r *request) may(action string) bool {
	return r.mayOn(action, "")
}

// mayOn is may for one thing alone.
func (r *request) mayOn(action, resource string) bool {
	return r.console.config.Access.Allow(r.Context(), r.ask(action, resource)...) == nil
}

// t is English in the reader's language.
func (r *request) t(text string, args ...any) string { return translate(r.lang, text, args...) }

func (o *Console) show(p page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := o.enter(w, r)
		if err != nil {
			o.turnAway(w, r, o.heard(q, p.asks(q), err))
			return
		}
		asked := p.asks(q)
		if err := o.config.Access.Allow(r.Context(), asked...); err != nil {
			err = o.heard(q, asked, err)
			if errors.Is(err, access.ErrMustChange) {
				http.Redirect(w, r, "/password", http.StatusSeeOther)
				return
			}
			o.fail(w, r, err)
			return
		}
		if q.head, err = o.head(r.Context()); err != nil {
			o.fail(w, r, err)
			return
		}
		view, err := p.view(q)
		o.answer(q, http.StatusOK, p, view, o.heard(q, asked, err))
	}
}

func (o *Console) stream(p page, s stream) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := o.enter(w, r)
		if err != nil {
			o.fail(w, r, o.heard(q, p.asks(q), fault.Unauthenticated.Errorf("sign in first")))
			return
		}
		asked := p.asks(q)
		if err := o.heard(q, asked, o.config.Access.Allow(r.Context(), asked...)); err != nil {
			o.fail(w, r, err)
			return
		}
		if err := s(q); err != nil {
			o.fail(w, r, err)
		}
	}
}

func (o *Console) act(p page, a action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := o.enter(w, r)
		if err != nil {
			o.turnAway(w, r, o.heard(q, a.asks(q), err))
			return
		}
		if err := r.ParseForm(); err != nil {
			o.fail(w, r, fault.Invalid.Errorf("the form cannot be read"))
			return
		}
		asked := a.asks(q)
		if err := o.config.Access.Allow(r.Context(), asked...); err != nil {
			o.fail(w, r, o.heard(q, asked, err))
			return
		}
		if a.show != nil {
			view, err := a.show(q)
			o.answer(q, http.StatusOK, p, view, o.heard(q, asked, err))
			return
		}
		next, err := a.do(q)
		err = o.heard(q, asked, err)
		switch {
		case err == nil:
			http.Redirect(w, r, next, http.StatusSeeOther)
		case a.again != nil && mistake(err):
			view, failed := a.again(q, err)
			o.answer(q, statuses[fault.Of(err)], p, view, failed)
		default:
			o.fail(w, r, err)
		}
	}
}

// answer shows a page's view, or why there is none.
func (o *Console) answer(q *request, status int, p page, view any, err error) {
	if err != nil {
		o.fail(q.w, q.Request, err)
		return
	}
	o.render(q, status, p, view)
}

// enter finds out who is asking.
func (o *Console) enter(w http.ResponseWriter, r *http.Request) (*request, error) {
	q := &request{Request: r, w: w, lang: language(r), console: o, head: -1}
	token, err := o.sessionToken(r)
	if err != nil {
		return q, err
	}
	q.principal, err = o.config.Access.Session(r.Context(), token)
	return q, err
}

// turnAway shows the way to the sign-in page, and back from there.
func (o *Console) turnAway(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.Is(err, fault.Unauthenticated) {
		o.fail(w, r, err)
		return
	}
	if r.Method != http.MethodGet || r.URL.Path == "/live" {
		o.fail(w, r, fault.Unauthenticated.Errorf("sign in first"))
		return
	}
	to := "/sign-in"
	if r.URL.Path != "/" {
		to += "?next=" + escapeQuery(r.URL.RequestURI())
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (o *Console) missing(w http.ResponseWriter, r *http.Request) {
	o.fail(w, r, fault.NotFound.Errorf("there is no page at this address"))
}

// statuses are the kinds as HTTP has them.
var statuses = map[fault.Kind]int{
	fault.Invalid: 400, fault.NotFound: 404, fault.Exists: 409, fault.Conflict: 409, fault.Unauthenticated: 401,
	fault.Denied: 403, fault.Limit: 429, fault.Unavailable: 503, fault.Unsupported: 501,
}

type failure struct {
	Status  int
	Message string
}

// fail shows an error. One without a kind is ours: its words go to the log alone.
func (o *Console) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, known := statuses[fault.Of(err)]
	message := err.Error()
	if !known {
		if r.Context().Err() != nil {
			return
		}
		o.config.Log.Error("a page failed", "page", r.URL.Path, "error", err)
		status, message = http.StatusInternalServerError, ""
	}
	q, _ := o.enter(w, r) // somebody we do not know sees the error without the frame's navigation
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Error(w, cmp.Or(message, "internal error"), status)
		return
	}
	o.render(q, status, page{name: "failure"}, failure{status, message})
}
