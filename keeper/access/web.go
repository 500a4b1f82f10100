package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/jwt"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// Web is a session of a role that a token of an identity provider was exchanged for.
type Web struct {
	Temporary
	Subject, Issuer, Audience string
}

// ErrExpired is of a token that was good once.
var ErrExpired = jwt.Expired

// ErrProvider is of an identity provider whose keys cannot be had.
var ErrProvider = fault.Invalid.Errorf("the keys of the identity provider cannot be had")

const (
	again     = time.Minute // between two fetches of a provider's keys
	stale     = 24 * time.Hour
	maxAnswer = 256 << 10
	mostClaim = 50 // claims that become condition keys
)

// AssumeWithWebIdentity makes the bearer of an identity provider's token a role,
// if the token holds and the role's trust policy takes it.
func (a *Access) AssumeWithWebIdentity(ctx context.Context, token string, as Assume, keys map[string][]string) (w Web, err error) {
	d, err := a.Directory(ctx)
	if err != nil {
		return w, err
	}
	claims, provider, err := a.believe(ctx, d, token)
	if err != nil {
		return w, err
	}
	if err := a.trusted(ctx, &as, claims, provider, keys); err != nil {
		return w, err
	}
	w.Temporary, err = a.become(ctx, as, false, &Session{Provider: provider})
	w.Subject, w.Issuer, w.Audience = claims.Subject, claims.Issuer, strings.Join(claims.Audience[:1], "")
	return w, err
}

// trusted asks whether a role takes what a provider says of somebody.
func (a *Access) trusted(ctx context.Context, as *Assume, claims jwt.Claims, provider string, keys map[string][]string) error {
	if err := as.principalTags(claims); err != nil {
		return err
	}
	asked := as.Asks("AssumeRoleWithWebIdentity")
	for i := range asked {
		asked[i].Principal = iam.Principal{Type: "WebIdentityUser", Provider: provider, ID: claims.Subject}
		for key, values := range keys {
			asked[i].Context[key] = values
		}
		claimed(asked[i].Context, provider, claims)
	}
	return a.Allow(ctx, asked...)
}

// claimed puts what a token claims into a request's context, as HOST/PATH:claim.
func claimed(context map[string][]string, provider string, claims jwt.Claims) {
	_, host, _ := strings.Cut(provider, ":oidc-provider/")
	n := 0
	for name := range claims.All {
		if name == "iss" || name == "exp" || name == "nbf" || name == "iat" || name == "jti" || strings.ContainsAny(name, ":/") {
			continue
		}
		if values := claims.Strings(name); len(values) > 0 && n < mostClaim {
			context[strings.ToLower(host+":"+name)] = values
			n++
		}
	}
	// These decide, so they are never among those left out.
	context[strings.ToLower(host+":sub")], context[strings.ToLower(host+":aud")] = []string{claims.Subject}, claims.Audience
	if len(claims.Audience) > 1 && claims.Party != "" {
		context[strings.ToLower(host+":aud")] = []string{claims.Party} // as AWS has it where azp says whom it was issued to
	}
}

// principalTags takes the tags that a token's own claim names.
func (as *Assume) principalTags(claims jwt.Claims) error {
	text, ok := claims.All["https://aws.amazon.com/tags"]
	if !ok {
		return nil
	}
	var tags struct {
		Principal map[string][]string `json:"principal_tags"`
		Lasting   []string            `json:"transitive_tag_keys"`
	}
	if err := json.Unmarshal(text, &tags); err != nil {
		return fault.Unauthenticated.Errorf("the tags that the token claims cannot be read")
	}
	as.Tags = map[string]string{}
	for key, values := range tags.Principal {
		if len(values) != 1 {
			return fault.Unauthenticated.Errorf("the token claims %d values for the tag %q", len(values), key)
		}
		as.Tags[key] = values[0]
	}
	as.Lasting = tags.Lasting
	return nil
}

// believe is what a token claims, and the ARN of the provider that vouches for it.
func (a *Access) believe(ctx context.Context, d *Directory, token string) (claims jwt.Claims, arn string, err error) {
	issuer, kid, err := jwt.Peek(token)
	if err != nil {
		return claims, "", err
	}
	if a.config.Issuer != nil && issuer != "" && issuer == a.config.Issuer() {
		keys, err := a.ownKeys(ctx)
		if err != nil {
			return claims, "", err
		}
		claims, err = jwt.Verify(token, keys, jwt.Want{Issuer: issuer, Audience: []string{OwnAudience}}, a.config.Now())
		return claims, a.ownARN("oidc-provider/" + hostOf(issuer)), err
	}
	p, err := d.Provider(a.ownARN("oidc-provider/" + strings.TrimSuffix(strings.TrimPrefix(issuer, "https://"), "/")))
	if err != nil || !strings.HasPrefix(issuer, "https://") {
		return claims, "", fault.Unauthenticated.Errorf("No OpenIDConnect provider found in your account for %.200s", issuer)
	}
	keys, err := a.keysOfProvider(ctx, p, kid)
	if err != nil {
		return claims, "", err
	}
	claims, err = jwt.Verify(token, keys, jwt.Want{Issuer: issuer, Audience: p.Clients}, a.config.Now())
	return claims, d.ProviderARN(p), err
}

func hostOf(address string) string {
	_, host, _ := strings.Cut(address, "://")
	return strings.TrimSuffix(host, "/")
}

// keysOfProvider are a provider's keys as they are kept, or fetched where there are
// none, they are old, or the key that is wanted is not among them: not
// more often than once a minute, whatever strangers send. Old ones stay good
// where the provider does not answer.
func (a *Access) keysOfProvider(ctx context.Context, p *Provider, kid string) (jwt.Keys, error) {
	if given := a.config.Keys[p.URL]; given != "" {
		return jwt.ParseKeys([]byte(given))
	}
	var keys jwt.Keys
	var err error
	if p.Keys != "" {
		if keys, err = jwt.ParseKeys([]byte(p.Keys)); err != nil {
			return keys, err
		}
	}
	now := a.config.Now()
	known := p.Keys != "" && (kid == "" || keys.Has(kid))
	if p.Offline || known && now.Sub(p.Fetched) < stale || a.config.HTTP == nil {
		if p.Keys == "" {
			return keys, ErrProvider
		}
		return keys, nil
	}
	a.mu.Lock()
	soon := now.Sub(a.fetches[p.URL]) < again && now.Sub(a.fetches[p.URL]) >= 0
	if !soon {
		a.fetches[p.URL] = now
	}
	a.mu.Unlock()
	if soon {
		if p.Keys == "" {
			return keys, ErrProvider
		}
		return keys, nil
	}
	text, fetched, err := a.fetchKeys(ctx, "https://"+p.URL)
	if err != nil {
		a.config.Log.Warn("the keys of an identity provider cannot be fetched", "provider", p.URL, "error", err)
		if p.Keys == "" {
			return keys, ErrProvider
		}
		return keys, nil
	}
	err = a.EditProvider(ctx, a.ownARN("oidc-provider/"+p.URL), func(p *Provider) error {
		p.Keys, p.Fetched = string(text), now
		return nil
	})
	return fetched, err
}

// discovery is what a provider says of itself.
type discovery struct {
	Issuer        string `json:"issuer"`
	Keys          string `json:"jwks_uri"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
}

// fetchKeys asks a provider for its keys, at the address that it names itself.
func (a *Access) fetchKeys(ctx context.Context, issuer string) ([]byte, jwt.Keys, error) {
	said, err := a.discover(ctx, issuer)
	if err != nil {
		return nil, jwt.Keys{}, err
	}
	text, err := a.get(ctx, said.Keys)
	if err != nil {
		return nil, jwt.Keys{}, err
	}
	keys, err := jwt.ParseKeys(text)
	return text, keys, err
}

func (a *Access) discover(ctx context.Context, issuer string) (said discovery, err error) {
	text, err := a.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return said, err
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return said, fmt.Errorf("what %s says of itself cannot be read: %w", issuer, err)
	}
	if strings.TrimSuffix(said.Issuer, "/") != strings.TrimSuffix(issuer, "/") {
		return said, fmt.Errorf("%s says that it is %.200q", issuer, said.Issuer)
	}
	return said, nil
}

func (a *Access) get(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%.200q is not an https address", address)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return a.answer(r)
}

func (a *Access) answer(r *http.Request) ([]byte, error) {
	response, err := a.config.HTTP.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode != http.StatusOK:
		return text, fmt.Errorf("%s answered %s", r.URL.Host, response.Status)
	case len(text) > maxAnswer:
		return nil, errors.New(r.URL.Host + " answered more than is read")
	}
	return text, nil
}

// OwnAudience is whom tokens of this installation are for that sts takes.
const OwnAudience = "sts.amazonaws.com"

// signer is a key that this installation signs tokens with.
type signer struct {
	ID      string
	Key     string // sealed: the private key's PKCS #8, in base64
	Created time.Time
}
