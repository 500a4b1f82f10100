package access

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/jwt"
	"github.com/haechi-dev/haechi/word/fault"
)

// CreateProvider makes an OpenID Connect provider known. Its keys are fetched
// from it when they are needed, unless keys, a JWKS, are given.
func (a *Access) CreateProvider(ctx context.Context, address string, clients, thumbprints []string, tags map[string]string, keys string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || len(address) > 255 {
		return fault.Invalid.Errorf("the address of a provider is https://HOST/PATH, not %q", address)
	}
	if !strings.ContainsAny(u.Host, ".:") {
		// Its claims become condition keys HOST:CLAIM, and must not be taken for AWS's own.
		return fault.Invalid.Errorf("the host of a provider has a domain or a port, not %q alone", u.Host)
	}
	if err := checkClients(clients, thumbprints); err != nil {
		return err
	}
	p := Provider{URL: strings.TrimSuffix(strings.TrimPrefix(address, "https://"), "/"), Clients: clients, Thumbprints: thumbprints, Created: a.now(), Keys: keys, Offline: keys != ""}
	if keys != "" {
		if _, err := jwt.ParseKeys([]byte(keys)); err != nil {
			return err
		}
		p.Fetched = p.Created
	}
	if p.Tags, err = tagged(nil, tags, nil); err != nil {
		return err
	}
	return a.change(ctx, func(tx *db.Tx) error {
		err := create(tx, aProvider, p.URL, p)
		if fault.Of(err) == fault.Exists {
			return fault.Exists.Errorf("Provider with url %s already exists.", address)
		}
		return err
	})
}

var thumbprint = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-fA-F]{40}$`) })

func checkClients(clients, thumbprints []string) error {
	if len(clients) > 100 {
		return quota("ClientIdsPerOpenIdConnectProvider", 100)
	}
	for _, c := range clients {
		if c == "" || len(c) > 255 {
			return fault.Invalid.Errorf("a client id has 1 to 255 characters")
		}
	}
	if len(thumbprints) > 5 {
		return quota("ThumbprintsPerOpenIdConnectProvider", 5)
	}
	for _, t := range thumbprints {
		if !thumbprint().MatchString(t) {
			return fault.Invalid.Errorf("a thumbprint has 40 hexadecimal digits")
		}
	}
	return nil
}

// EditProvider changes a provider's clients, thumbprints or tags, by its ARN.
func (a *Access) EditProvider(ctx context.Context, arn string, f func(*Provider) error) error {
	return a.change(ctx, func(tx *db.Tx) error {
		return edit(tx, aProvider, a.providerKey(arn), func(p *Provider) error {
			if err := f(p); err != nil {
				return err
			}
			if p.Keys != "" {
				if _, err := jwt.ParseKeys([]byte(p.Keys)); err != nil {
					return err
				}
			}
			return checkClients(p.Clients, p.Thumbprints)
		})
	})
}

// providerKey is what a provider is kept under; an ARN of something else is nothing's.
func (a *Access) providerKey(arn string) string {
	url, ok := strings.CutPrefix(arn, a.ownARN("oidc-provider/"))
	if !ok {
		return arn
	}
	return url
}

// TagProvider sets and drops tags of a provider.
func (a *Access) TagProvider(ctx context.Context, arn string, set map[string]string, drop []string) error {
	return a.EditProvider(ctx, arn, func(p *Provider) (err error) {
		p.Tags, err = tagged(p.Tags, set, drop)
		return err
	})
}

// DeleteProvider forgets a provider. One that is not there is not there.
func (a *Access) DeleteProvider(ctx context.Context, arn string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		if _, err := find[Provider](tx, aProvider, a.providerKey(arn)); err != nil {
			return err
		}
		return remove(tx, aProvider, a.providerKey(arn))
	})
}
