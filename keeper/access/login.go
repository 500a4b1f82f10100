package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/jwt"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// A Login is an identity provider by which people sign in to the console. Whom
// it vouches for becomes a role, which must trust the provider: the first of
// Roles whose claim says so.
type Login struct {
	Name     string // in addresses
	Issuer   string // https://…
	Client   string // id, an audience of the provider
	Secret   seal.Secret
	Scopes   []string // besides openid
	Sessions string   // the claim that names sessions; "" is email, else sub
	Roles    []Mapping
}

// A Mapping gives a role to whom a claim says something of.
type Mapping struct{ Claim, Value, Role string }

// Leave is where a browser is sent to sign in, and what it keeps until it is back: sealed, for ten minutes.
type Leave struct{ URL, Kept string }

const away = 10 * time.Minute

type leaving struct {
	Login, State, Nonce, Verifier string
	Until                         time.Time
}

func leavingRow(name string) seal.Row {
	return seal.Row{Table: "access_logins", ID: name, Column: "kept"}
}

// Logins are the names of the identity providers that people may sign in by.
func (a *Access) Logins() (names []string) {
	for _, l := range a.config.Logins {
		names = append(names, l.Name)
	}
	return names
}

func (a *Access) login(name string) (*Login, error) {
	for i := range a.config.Logins {
		if a.config.Logins[i].Name == name {
			return &a.config.Logins[i], nil
		}
	}
	return nil, fault.NotFound.Errorf("nobody signs in by %.40q", name)
}

// Go begins a sign-in at an identity provider: the authorization code flow, with PKCE.
func (a *Access) Go(ctx context.Context, name, back string) (Leave, error) {
	l, err := a.login(name)
	if err != nil {
		return Leave{}, err
	}
	said, err := a.discover(ctx, l.Issuer)
	if err != nil {
		return Leave{}, fault.Unavailable.Errorf("%s does not answer: %w", l.Issuer, err)
	}
	u, err := url.Parse(said.Authorization)
	if err != nil || u.Scheme != "https" {
		return Leave{}, fault.Unavailable.Errorf("%s names no address to sign in at", l.Issuer)
	}
	k := leaving{l.Name, newToken(), newToken(), newToken(), a.config.Now().Add(away)}
	text, err := json.Marshal(k)
	if err != nil {
		return Leave{}, err
	}
	kept, err := a.config.Sealer.Seal(leavingRow(l.Name), seal.Secret(text))
	if err != nil {
		return Leave{}, err
	}
	sum := sha256.Sum256([]byte(k.Verifier))
	q := u.Query()
	for name, value := range map[string]string{
		"response_type": "code", "client_id": l.Client, "redirect_uri": back, "scope": strings.Join(append([]string{"openid"}, l.Scopes...), " "),
		"state": k.State, "nonce": k.Nonce, "code_challenge": base64.RawURLEncoding.EncodeToString(sum[:]), "code_challenge_method": "S256",
	} {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return Leave{u.String(), kept}, nil
}

// Back ends it: the code that the browser brought is changed for a token, which
// is held against what was kept, and its claims become a role's console session.
func (a *Access) Back(ctx context.Context, name, back, kept, state, code string, keys map[string][]string) (seal.Secret, iam.Principal, error) {
	l, err := a.login(name)
	if err != nil {
		return "", iam.Principal{}, err
	}
	gone := fault.Unauthenticated.Errorf("it took too long, or began in another browser: sign in again")
	text, err := a.config.Sealer.Open(leavingRow(l.Name), kept)
	if err != nil {
		return "", iam.Principal{}, gone
	}
	var k leaving
	if err := json.Unmarshal([]byte(text.Reveal()), &k); err != nil || a.config.Now().After(k.Until) ||
		subtle.ConstantTimeCompare([]byte(k.State), []byte(state)) == 0 || code == "" || len(code) > 4096 {
		return "", iam.Principal{}, gone
	}
	token, err := a.exchange(ctx, l, back, code, k.Verifier)
	if err != nil {
		return "", iam.Principal{}, err
	}
	d, err := a.Directory(ctx)
	if err != nil {
		return "", iam.Principal{}, err
	}
	claims, provider, err := a.believe(ctx, d, token)
	switch {
	case err != nil:
		return "", iam.Principal{}, err
	case strings.TrimSuffix(claims.Issuer, "/") != strings.TrimSuffix(l.Issuer, "/"), !slices.Contains(claims.Audience, l.Client), len(claims.Audience) > 1 && claims.Party != l.Client,
		subtle.ConstantTimeCompare([]byte(claims.Nonce), []byte(k.Nonce)) == 0:
		return "", iam.Principal{}, fault.Unauthenticated.Errorf("the token is of another sign-in")
	}
	return a.admit(ctx, l, claims, provider, keys)
}

// exchange changes a code for an ID token.
func (a *Access) exchange(ctx context.Context, l *Login, back, code, verifier string) (string, error) {
	said, err := a.discover(ctx, l.Issuer)
	if err != nil {
		return "", fault.Unavailable.Errorf("%s does not answer: %w", l.Issuer, err)
	}
	u, err := url.Parse(said.Token)
	if err != nil || u.Scheme != "https" {
		return "", fault.Unavailable.Errorf("%s names no address for tokens", l.Issuer)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {back}, "client_id": {l.Client}, "code_verifier": {verifier}}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, said.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if l.Secret != "" {
		r.SetBasicAuth(url.QueryEscape(l.Client), url.QueryEscape(l.Secret.Reveal()))
	}
	text, err := a.answer(r)
	if err != nil {
		return "", fault.Unauthenticated.Errorf("%s did not take the code: %w", l.Issuer, err)
	}
	var answer struct {
		Token string `json:"id_token"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Token == "" {
		return "", fault.Unauthenticated.Errorf("%s answered without an ID token", l.Issuer)
	}
	return answer.Token, nil
}

var notInNames = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^\w+=,.@-]`) })

// admit begins the console session of the role that the claims map to, if the role's trust policy takes them.
func (a *Access) admit(ctx context.Context, l *Login, claims jwt.Claims, provider string, keys map[string][]string) (seal.Secret, iam.Principal, error) {
	as := Assume{Name: strings.Join(claims.Strings(l.Sessions), "")}
	if l.Sessions == "" {
		as.Name = strings.Join(claims.Strings("email"), "")
	}
	if as.Name == "" {
		as.Name = claims.Subject
	}
	as.Name = notInNames().ReplaceAllString(as.Name, "-")
	if as.Name = as.Name[:min(len(as.Name), 64)]; len(as.Name) < 2 {
		as.Name += "--"
	}
	for _, m := range l.Roles {
		if slices.Contains(claims.Strings(m.Claim), m.Value) {
			as.Role = m.Role
			break
		}
	}
	if as.Role == "" {
		return "", iam.Principal{}, fault.Denied.Errorf("%s says nothing of you that maps to a role here", l.Issuer)
	}
	if !strings.HasPrefix(as.Role, "arn:") {
		d, err := a.Directory(ctx)
		if err != nil {
			return "", iam.Principal{}, err
		}
		as.Role = d.OwnerARN(RoleNamed(as.Role))
	}
	if err := a.trusted(ctx, &as, claims, provider, keys); err != nil {
		return "", iam.Principal{}, err
	}
	s := &Session{Provider: provider}
	t, err := a.become(ctx, as, false, s)
	if err != nil {
		return "", iam.Principal{}, err
	}
	s.Expires = a.config.Now().Add(absolute) // a console session has limits of its own
	token := newToken()
	err = a.config.DB.Write(ctx, func(tx *db.Tx) error { return a.hold(tx, token, "", s) })
	if err != nil {
		return "", iam.Principal{}, fmt.Errorf("signing in: %w", err)
	}
	return seal.Secret(token), t.Principal, nil
}
