package route

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/fault"
)

// api calls an API destination with its connection's credentials.
type api struct {
	to   Destination
	with Connection
	env  *Env
	gap  gap

	mu      sync.Mutex
	token   string // of OAuth
	expires time.Time
}

// apiTimeout is how long a destination may take, as in EventBridge.
const apiTimeout = 5 * time.Second

func newAPI(d Destination, c Connection, env *Env) *api {
	a := &api{to: d, with: c, env: env}
	if d.Rate > 0 {
		a.gap.least = time.Second / time.Duration(d.Rate)
	}
	return a
}

// Deliver calls the destination with one event.
func (a *api) Deliver(ctx context.Context, d Delivery) error {
	if err := a.gap.wait(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	err := a.once(ctx, d)
	var refusal *Refusal
	if a.with.Auth.OAuth != nil && errors.As(err, &refusal) && refusal.Status == http.StatusUnauthorized {
		// The token may have been revoked before its time.
		a.mu.Lock()
		a.token = ""
		a.mu.Unlock()
		err = a.once(ctx, d)
	}
	return err
}

func (a *api) once(ctx context.Context, d Delivery) error {
	req, err := a.request(ctx, d)
	if err != nil {
		return err
	}
	if err := a.authorize(ctx, req); err != nil {
		return err
	}
	_, err = call(a.env.HTTP, req)
	return err
}

func (a *api) request(ctx context.Context, d Delivery) (*http.Request, error) {
	item := d.Items[0]
	body, err := envelope(item.Event)
	if err != nil {
		return nil, err
	}
	own := item.To.HTTP
	if own == nil {
		own = &HTTPParameters{}
	}
	extra := a.with.Auth.HTTP
	if extra == nil {
		extra = &ConnectionExtra{}
	}
	u, err := url.Parse(fillPath(a.to.Endpoint, own.Path, body))
	if err != nil {
		return nil, fault.Invalid.Errorf("the address is not valid once its path is filled in")
	}
	query := u.Query()
	for k, v := range own.Query {
		query.Set(k, fromEvent(v, body))
	}
	for _, p := range extra.Query {
		query.Set(p.Key, p.Value)
	}
	u.RawQuery = query.Encode()
	payload := item.Input
	if a.to.Method == "GET" || a.to.Method == "HEAD" || a.to.Method == "OPTIONS" {
		payload = nil
	} else if payload, err = withMembers(payload, extra.Body); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, a.to.Method, u.String(), bytes.NewReader(payload))
	if err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	if payload != nil {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	for k, v := range own.Header {
		setHeader(req, k, fromEvent(v, body))
	}
	for _, p := range extra.Header {
		setHeader(req, p.Key, p.Value)
	}
	req.Header.Set("webhook-id", d.ID) // so that a repeat can be told
	return req, nil
}

// setHeader leaves out what would break the request or what is the connection's own.
func setHeader(req *http.Request, name, value string) {
	if validHeader(name) && !strings.EqualFold(name, "Host") && !strings.EqualFold(name, "Content-Length") && !strings.EqualFold(name, "Transfer-Encoding") {
		req.Header.Set(name, oneLine(value))
	}
}

// fillPath puts values, one after the other, where the endpoint has a *.
func fillPath(endpoint string, values []string, event jsontext.Value) string {
	for _, v := range values {
		endpoint = strings.Replace(endpoint, "*", strings.ReplaceAll(url.PathEscape(fromEvent(v, event)), "*", "%2A"), 1)
	}
	return endpoint
}

// fromEvent is a value, or the part of the event that it is the path of.
func fromEvent(value string, event jsontext.Value) string {
	if !strings.HasPrefix(value, "$.") && !strings.HasPrefix(value, "$[") {
		return value
	}
	p, err := parsePath(value)
	if err != nil {
		return value
	}
	return plain(p.find(event))
}

// withMembers adds parameters to a body, if it is an object.
func withMembers(body jsontext.Value, extra []Parameter) (jsontext.Value, error) {
	if len(extra) == 0 || body.Kind() != '{' {
		return body, nil
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	for _, p := range extra {
		members[p.Key] = quoted(p.Value)
	}
	return json.Marshal(members, json.Deterministic(true))
}

func (a *api) authorize(ctx context.Context, req *http.Request) error {
	auth := a.with.Auth
	switch {
	case auth.Basic != nil:
		req.SetBasicAuth(auth.Basic.Username, auth.Basic.Password)
	case auth.APIKey != nil:
		setHeader(req, auth.APIKey.Name, auth.APIKey.Value)
	case auth.OAuth != nil:
		token, err := a.bearer(ctx, *auth.OAuth)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return nil
}

// bearer is a token of the authorization endpoint, kept until shortly before it expires.
func (a *api) bearer(ctx context.Context, o OAuth) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock() // one asks, the others wait for it
	if a.token != "" && a.env.Now().Before(a.expires) {
		return a.token, nil
	}
	req, err := tokenRequest(ctx, o)
	if err != nil {
		return "", err
	}
	text, err := call(a.env.HTTP, req)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token   string  `json:"access_token"`
		Expires float64 `json:"expires_in"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Token == "" {
		return "", fault.Unavailable.Errorf("the authorization endpoint gave no token")
	}
	a.token = answer.Token
	a.expires = a.env.Now().Add(max(time.Duration(min(answer.Expires, 86400))*time.Second-30*time.Second, 0))
	return a.token, nil
}

func tokenRequest(ctx context.Context, o OAuth) (*http.Request, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {o.Client.ID}, "client_secret": {o.Client.Secret}}
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	extra := o.HTTP
	if extra == nil {
		extra = &ConnectionExtra{}
	}
	query := u.Query()
	for _, p := range extra.Query {
		query.Set(p.Key, p.Value)
	}
	for _, p := range extra.Body {
		form.Set(p.Key, p.Value)
	}
	body := form.Encode()
	if o.Method == "GET" {
		for k, v := range form {
			query[k] = v
		}
		body = ""
	}
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, o.Method, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, p := range extra.Header {
		setHeader(req, p.Key, p.Value)
	}
	return req, nil
}
