// Package gitdoor is git's smart HTTP: clone, fetch and push, and what is checked before a push is let in.
package gitdoor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Prefix is the path below which the door answers.
const Prefix = "/git/"

// Access says who is asking and what they may do.
type Access interface {
	// Signed is the caller whose access key made a signature; see Signature.Verify.
	Signed(ctx context.Context, s Signature) (Caller, error)
	// Password is the console user of that name and git password.
	Password(ctx context.Context, user, password string) (Caller, error)
	// Allow is nil, or fault.Denied when the caller may not do the action to the resource. ref is what is
	// to be pushed to, for policies that tell refs apart, or "".
	Allow(ctx context.Context, c Caller, action, resource, ref string) error
}

// Caller is who is asking.
type Caller struct {
	ARN     string
	Person  source.Person // who that is, for pull requests; without it the name is the ARN's
	Session any           // whatever Access wants to know again in Allow
}

// Secrets finds secrets in a file: Check is called for every blob, commit
// message and tag message that a push brings, from several goroutines at once.
type Secrets interface {
	Check(ctx context.Context, repository, path string, content []byte) []finding.Finding
}

// Config is what a Door needs. Source, Access, Secrets, Keep, Hooks and Maker must be given.
type Config struct {
	Source  *source.Source
	Access  Access
	Secrets Secrets
	// Keep keeps what a push leaves behind: the findings of an override. A push
	// whose findings cannot be kept is refused.
	Keep func(ctx context.Context, scan finding.Scan, findings ...finding.Finding) error
	// Pushed, if not nil, is told of every push before its refs move, and of every
	// one that was refused. Where it fails, the push is refused.
	Pushed func(ctx context.Context, p Pushed) error
	// Link, if not nil, is the address of a pull request's page, or "".
	Link  func(repository string, number int64) string
	Maker finding.Maker
	Hooks string // a folder for the hooks, written anew by New; nobody else may write there
	Log   *slog.Logger
	Now   func() time.Time

	CreateOnPush bool          // a push to a repository that is not there makes it, if the caller may
	MaxPush      int64         // bytes of one push; 2 GiB
	MaxFile      int64         // bytes of one file; 100 MiB
	MaxTime      time.Duration // of one request; 1 hour
	MaxAtOnce    int           // requests that run git; 64
	Override     time.Duration // how long an override is good for; 30 days
}

// Pushed is a push that is about to be taken, or was refused.
type Pushed struct {
	Repository string
	Updates    []source.Update
	Refused    error // why, or nil
}

// Door answers below Prefix. It is safe for concurrent use.
type Door struct {
	config Config
	turns  chan struct{}
	ahead  *semaphore.Weighted // pushes that are looked into while they come
}

// New is a door; it writes its hooks.
func New(c Config) (*Door, error) {
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	c.MaxPush = cmp.Or(c.MaxPush, 2<<30)
	c.MaxFile = min(cmp.Or(c.MaxFile, 100<<20), git.Largest)
	c.MaxTime = cmp.Or(c.MaxTime, time.Hour)
	c.MaxAtOnce = cmp.Or(c.MaxAtOnce, 64)
	c.Override = cmp.Or(c.Override, 30*24*time.Hour)
	if err := writeHooks(c.Hooks); err != nil {
		return nil, fmt.Errorf("writing the hooks of git: %w", err)
	}
	return &Door{config: c, turns: make(chan struct{}, c.MaxAtOnce), ahead: semaphore.NewWeighted(2 * int64(runtime.GOMAXPROCS(0)))}, nil
}

// The two programs of git that a client talks to.
const (
	uploadPack  = "git-upload-pack"  // gives: clone and fetch
	receivePack = "git-receive-pack" // takes: push
)

// call is one request, understood.
type call struct {
	repository string
	service    string
	advertise  bool // info/refs: tell what there is
	caller     Caller
}

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	c, err := parseCall(r)
	if err == nil {
		c.caller, err = d.authenticate(r)
	}
	if err == nil {
		err = d.allow(r.Context(), c)
	}
	if err == nil {
		err = d.answer(w, r, c)
	}
	if err != nil {
		d.refuse(w, r, err)
	}
}

// parseCall reads what is asked for from the method, path and headers alone.
func parseCall(r *http.Request) (call, error) {
	rest, ok := strings.CutPrefix(r.URL.Path, Prefix)
	name, what, _ := strings.Cut(rest, "/")
	c := call{repository: strings.TrimSuffix(name, ".git")}
	if !ok || source.CheckName(c.repository) != nil {
		return c, fault.NotFound.Errorf("there is no repository at this address")
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "none" && site != "same-origin" {
		return c, fault.Denied.Errorf("this address is for git, not for other sites' pages")
	}
	switch {
	case what == "info/refs" && r.Method == http.MethodGet:
		c.service, c.advertise = r.URL.Query().Get("service"), true
		if c.service != uploadPack && c.service != receivePack {
			return c, fault.Unsupported.Errorf("only git's smart protocol is spoken here")
		}
	case (what == uploadPack || what == receivePack) && r.Method == http.MethodPost:
		c.service = what
		// No page of another site can send this type without asking first.
		if r.Header.Get("Content-Type") != "application/x-"+what+"-request" {
			return c, fault.Invalid.Errorf("the request is not of type application/x-%s-request", what)
		}
	default:
		return c, fault.NotFound.Errorf("there is nothing at this address")
	}
	return c, nil
}

// pushAction is what a caller must be allowed to do to push: first at all, then to each ref.
const pushAction = "codecommit:GitPush"

// allow asks whether the caller may do what the call wants, and makes a
// repository that is pushed to for the first time.
func (d *Door) allow(ctx context.Context, c call) error {
	arn := d.config.Source.ARN(c.repository)
	action := "codecommit:GitPull"
	if c.service == receivePack {
		action = pushAction
	}
	if err := d.config.Access.Allow(ctx, c.caller, action, arn, ""); err != nil {
		return err
	}
	_, err := d.config.Source.Repository(ctx, c.repository)
	if !errors.Is(err, fault.NotFound) || c.service != receivePack || !d.config.CreateOnPush {
		return err
	}
	if err := d.config.Access.Allow(ctx, c.caller, "codecommit:CreateRepository", arn, ""); err != nil {
		return err
	}
	_, err = d.config.Source.Create(ctx, source.Repository{Name: c.repository})
	if errors.Is(err, fault.Exists) {
		return nil // somebody was faster
	}
	if err == nil {
		d.config.Log.Info("repository made by a push", "repository", c.repository, "who", c.caller.ARN)
	}
	return err
}

// statuses are how HTTP says what kind of wrong something is.
var statuses = map[fault.Kind]int{
	fault.Invalid: http.StatusBadRequest, fault.NotFound: http.StatusNotFound, fault.Exists: http.StatusConflict,
	fault.Conflict: http.StatusConflict, fault.Unauthenticated: http.StatusUnauthorized, fault.Denied: http.StatusForbidden,
	fault.Limit: http.StatusRequestEntityTooLarge, fault.Unavailable: http.StatusServiceUnavailable, fault.Unsupported: http.StatusForbidden,
}

// refuse answers with an error; git shows the text of those it understands.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, text := statuses[fault.Of(err)], err.Error()
	if status == 0 {
		status, text = http.StatusInternalServerError, "internal fault"
		d.config.Log.Error("git over HTTP", "path", r.URL.Path, "err", err)
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="Haechi git", charset="UTF-8"`)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}
