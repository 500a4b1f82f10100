package console

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/qr"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// Logins are the identity providers that people sign in by, and second factors.
type Logins interface {
	// Confirm begins the session that a right password alone does not.
	Confirm(ctx context.Context, challenge seal.Secret, code string) (token seal.Secret, err error)
	// Logins are the providers' names.
	Logins() []string
	// Go says where to send a browser, and what it has to keep meanwhile.
	Go(ctx context.Context, name, back string) (access.Leave, error)
	// Back begins the session of whoever the provider vouches for.
	Back(ctx context.Context, name, back, kept, state, code string, keys map[string][]string) (seal.Secret, iam.Principal, error)
}

const (
	challengeCookie = "haechi_challenge"
	leaveCookie     = "haechi_leave"
)

type codeView struct{ Next, Error string }

// askCode shows the page that wants a code of the second factor.
func (o *Console) askCode(q *request, challenge seal.Secret, next string) {
	o.setCookie(q.w, q.Request, challengeCookie, challenge.Reveal(), 5*60)
	o.render(q, http.StatusOK, page{name: "code"}, codeView{Next: next})
}

// code takes the code of the second factor.
func (o *Console) code(w http.ResponseWriter, r *http.Request) {
	q, _ := o.enter(w, r)
	kept, err := r.Cookie(challengeCookie)
	if err != nil {
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		return
	}
	if err := r.ParseForm(); err != nil {
		o.fail(w, r, fault.Invalid.Errorf("the form cannot be read"))
		return
	}
	next := within(r.PostForm.Get("next"))
	token, err := o.config.Logins.Confirm(r.Context(), seal.Secret(kept.Value), r.PostForm.Get("code"))
	if err == nil {
		q.principal, err = o.config.Access.Session(r.Context(), token)
	}
	err = o.signed(q, "", true, err)
	switch {
	case errors.Is(err, access.ErrCode):
		o.render(q, http.StatusUnauthorized, page{name: "code"}, codeView{next, q.t("The code is wrong, or was used before.")})
	case errors.Is(err, fault.Limit):
		o.render(q, http.StatusUnauthorized, page{name: "code"}, codeView{next, q.t("Too many wrong codes. Wait a while, then try again.")})
	case errors.Is(err, fault.Unauthenticated):
		o.setCookie(w, r, challengeCookie, "", -1)
		o.render(q, http.StatusUnauthorized, page{name: "signin"}, o.signInView(q, "", next, q.t("It took too long. Sign in again.")))
	case err != nil:
		o.fail(w, r, err)
	default:
		o.setCookie(w, r, challengeCookie, "", -1)
		o.begin(w, r, token, next)
	}
}

// back is where an identity provider sends people back to.
func (o *Console) back(name string) string { return o.config.URL("/sign-in/" + name + "/back") }

// leave sends a browser to an identity provider.
func (o *Console) leave(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("login")
	to, err := o.config.Logins.Go(r.Context(), name, o.back(name))
	if err != nil {
		o.fail(w, r, err)
		return
	}
	// Lax: the way back begins at another site, and has to find it.
	http.SetCookie(w, &http.Cookie{Name: leaveCookie, Value: to.Kept, Path: "/sign-in/" + name, MaxAge: 10 * 60, HttpOnly: true, Secure: o.config.Secure(r), SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, to.URL, http.StatusSeeOther)
}

// arrive takes whom an identity provider sends back.
func (o *Console) arrive(w http.ResponseWriter, r *http.Request) {
	q, _ := o.enter(w, r)
	name := r.PathValue("login")
	kept, err := r.Cookie(leaveCookie)
	if err != nil {
		o.fail(w, r, fault.Unauthenticated.Errorf("it took too long, or began in another browser: sign in again"))
		return
	}
	http.SetCookie(w, &http.Cookie{Name: leaveCookie, Path: "/sign-in/" + name, MaxAge: -1, HttpOnly: true, Secure: o.config.Secure(r), SameSite: http.SameSiteLaxMode})
	ask := r.URL.Query()
	token, who, err := o.config.Logins.Back(r.Context(), name, o.back(name), kept.Value, ask.Get("state"), ask.Get("code"), q.context())
	q.principal = who
	if err := o.signed(q, "", false, err); err != nil {
		o.config.Log.Warn("somebody could not sign in", "by", name, "from", o.config.SourceIP(r), "error", err)
		o.fail(w, r, err)
		return
	}
	if old, err := o.sessionToken(r); err == nil {
		_ = o.config.Access.SignOut(r.Context(), old) // it ends by itself, too
	}
	o.setCookie(w, r, sessionCookie, token.Reveal(), 12*60*60)
	// A redirect would still be the other site's, and the strict cookie stay away: the page goes on by itself.
	o.render(q, http.StatusOK, page{name: "arrived"}, struct{ Next string }{"/"})
}

// context is what is known of a request: the keys that conditions ask for.
func (r *request) context() map[string][]string {
	now := r.console.config.Now()
	return map[string][]string{
		"aws:sourceip": {r.console.config.SourceIP(r.Request)}, "aws:useragent": {r.UserAgent()},
		"aws:securetransport": {map[bool]string{true: "true", false: "false"}[r.console.config.Secure(r.Request)]},
		"aws:currenttime":     {now.UTC().Format(time.RFC3339)},
	}
}

// password is the page on which somebody sets another password for themselves.
func (o *Console) password() page {
	own := func(r *request) []iam.Request {
		return r.ask("iam:ChangePassword", o.config.People.UserARN(r.principal.Name))
	}
	return page{
		name: "password", path: "/password", under: "users", asks: own,
		view: func(*request) (any, error) { return nil, nil },
		actions: map[string]action{"/password": {asks: own, do: func(r *request) (string, error) {
			if r.PostFormValue("password") != r.PostFormValue("again") {
				return "", fault.Invalid.Errorf("%s", r.t("The two passwords differ."))
			}
			if err := o.config.People.SetPassword(r.Context(), r.principal.Name, seal.Secret(r.PostFormValue("password"))); err != nil {
				return "", err
			}
			r.say("The password was set. Sign in with it.")
			return "/sign-in", nil
		}}},
	}
}

// enrolment is what an authenticator app is shown once.
type enrolment struct {
	User, Serial, Key string
	Code              template.HTML // the QR code
}

// enrol makes a device for a user, in place of one that was begun and never enabled.
func (o *Console) enrol(r *request, user string) (*enrolment, error) {
	people := o.config.People
	d, err := people.Directory(r.Context())
	if err != nil {
		return nil, err
	}
	u, err := d.User(user)
	switch {
	case err != nil:
		return nil, err
	case u.Device != "":
		return nil, fault.Conflict.Errorf("%s", r.t("There is a second factor already."))
	}
	serial := "arn:aws:iam::" + d.Account + ":mfa/" + user
	if old, err := d.Device(serial); err == nil && old.User == "" {
		if err := people.DeleteDevice(r.Context(), serial); err != nil {
			return nil, err
		}
	}
	seed, err := people.CreateDevice(r.Context(), user, "/", nil)
	if err != nil {
		return nil, err
	}
	code, err := qr.Encode(seed.URL.Reveal())
	if err != nil {
		return nil, err
	}
	return &enrolment{user, seed.Serial, spaced(seed.Base32.Reveal()), template.HTML(code.SVG(r.t("QR code for an authenticator app")))}, nil // it escapes what it writes
}

// spaced is a key in groups of four, for typing.
func spaced(key string) string {
	var b strings.Builder
	for i, c := range key {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// nameOf is who somebody is, in a word: a user's name, or a session's.
func nameOf(who iam.Principal) string {
	if who.Name != "" {
		return who.Name
	}
	return who.ARN[strings.LastIndexByte(who.ARN, '/')+1:]
}
