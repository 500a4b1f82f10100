package console

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/word/fault"
)

const (
	sessionCookie = "haechi_session"
	saidCookie    = "haechi_said"
)

func (o *Console) sessionToken(r *http.Request) (seal.Secret, error) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return "", fault.Unauthenticated.Errorf("no session")
	}
	return seal.Secret(c.Value), nil
}

func (o *Console) setCookie(w http.ResponseWriter, r *http.Request, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: o.config.Secure(r), SameSite: http.SameSiteStrictMode})
}

type signInView struct {
	User, Next, Error string
	Logins            []string // identity providers
}

func (o *Console) signInView(_ *request, user, next, problem string) signInView {
	v := signInView{User: user, Next: next, Error: problem}
	if o.config.Logins != nil {
		v.Logins = o.config.Logins.Logins()
	}
	return v
}

func (o *Console) signInPage(w http.ResponseWriter, r *http.Request) {
	q, err := o.enter(w, r)
	if err == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	o.render(q, http.StatusOK, page{name: "signin"}, o.signInView(q, "", within(r.URL.Query().Get("next")), ""))
}

// within is a path on this site, for going on after signing in; anything else is the front page.
func within(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

func escapeQuery(text string) string { return url.QueryEscape(text) }

func (o *Console) signIn(w http.ResponseWriter, r *http.Request) {
	q, _ := o.enter(w, r)
	if err := r.ParseForm(); err != nil {
		o.fail(w, r, fault.Invalid.Errorf("the form cannot be read"))
		return
	}
	user, next := r.PostForm.Get("user"), within(r.PostForm.Get("next"))
	token, err := o.config.Access.SignIn(r.Context(), user, seal.Secret(r.PostForm.Get("password")))
	if needed := (*access.CodeNeeded)(nil); errors.As(err, &needed) && o.config.Logins != nil {
		o.askCode(q, needed.Challenge, next)
		return
	}
	err = o.signed(q, user, false, err)
	switch {
	case errors.Is(err, fault.Unauthenticated), errors.Is(err, fault.Limit):
		o.config.Log.Warn("somebody could not sign in", "user", user, "from", o.config.SourceIP(r), "error", err)
		message := q.t("The user or the password is wrong.")
		if errors.Is(err, fault.Limit) {
			message = q.t("Too many wrong passwords. Wait a while, then try again.")
		}
		o.render(q, http.StatusUnauthorized, page{name: "signin"}, o.signInView(q, user, next, message))
	case err != nil:
		o.fail(w, r, err)
	default:
		o.begin(w, r, token, next)
	}
}

// begin ends the session there was, if any, and starts the new one.
func (o *Console) begin(w http.ResponseWriter, r *http.Request, token seal.Secret, next string) {
	if old, err := o.sessionToken(r); err == nil {
		_ = o.config.Access.SignOut(r.Context(), old) // it ends by itself, too
	}
	o.setCookie(w, r, sessionCookie, token.Reveal(), 12*60*60)
	http.Redirect(w, r, next, http.StatusSeeOther)
}

type linkView struct{ Token string }

// linkPage asks before a link is used up: programs that look at links must not use them.
func (o *Console) linkPage(w http.ResponseWriter, r *http.Request) {
	q, _ := o.enter(w, r)
	if !fromLoopback(r) {
		o.fail(w, r, fault.Denied.Errorf("links that sign in work on the server's own machine alone"))
		return
	}
	o.render(q, http.StatusOK, page{name: "link"}, linkView{r.PathValue("token")})
}

func (o *Console) redeem(w http.ResponseWriter, r *http.Request) {
	if !fromLoopback(r) {
		o.fail(w, r, fault.Denied.Errorf("links that sign in work on the server's own machine alone"))
		return
	}
	token, err := o.config.Access.Redeem(r.Context(), seal.Secret(r.PathValue("token")))
	q, _ := o.enter(w, r)
	if err == nil {
		q.principal, err = o.config.Access.Session(r.Context(), token)
	}
	if err := o.signed(q, "", false, err); err != nil {
		o.fail(w, r, err)
		return
	}
	o.begin(w, r, token, "/")
}

func fromLoopback(r *http.Request) bool {
	return strings.HasPrefix(r.RemoteAddr, "127.") || strings.HasPrefix(r.RemoteAddr, "[::1]:")
}

func (o *Console) signOut(w http.ResponseWriter, r *http.Request) {
	if token, err := o.sessionToken(r); err == nil {
		q, unknown := o.enter(w, r)
		err := o.config.Access.SignOut(r.Context(), token)
		if unknown == nil {
			e := o.entry(q, err)
			e.Action = "signin:Logout"
			err = o.keep(q, e, err)
		}
		if err != nil {
			o.fail(w, r, err)
			return
		}
	}
	o.setCookie(w, r, sessionCookie, "", -1)
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// say has the next page begin with a message.
func (r *request) say(text string, args ...any) {
	r.console.setCookie(r.w, r.Request, saidCookie, base64.RawURLEncoding.EncodeToString([]byte(r.t(text, args...))), 60)
}

// said is what the page before wanted to be said, once.
func (r *request) said() string {
	c, err := r.Cookie(saidCookie)
	if err != nil {
		return ""
	}
	r.console.setCookie(r.w, r.Request, saidCookie, "", -1)
	text, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || len(text) > 1000 {
		return ""
	}
	return string(text)
}
