package sigv4

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Signer signs requests for one service in one region.
type Signer struct {
	AccessKey       string
	Secret          string `json:"-"`
	Token           string `json:"-"` // "" for keys that stay
	Region, Service string
}

// String tells nothing that is secret.
func (s Signer) String() string {
	return fmt.Sprintf("%s for %s in %s", s.AccessKey, s.Service, s.Region)
}

// GoString is String: %#v must not tell more.
func (s Signer) GoString() string { return s.String() }

// LogValue is String: a log must not tell more.
func (s Signer) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Sign signs r, whose body has the hash payload (see Hash; s3 may say
// UnsignedPayload). It sets X-Amz-Date, Authorization and what else the
// service needs; nothing that is signed may change afterwards.
func (s Signer) Sign(r *http.Request, payload string, now time.Time) {
	r.Header.Del("Authorization")
	r.Header.Set("X-Amz-Date", now.UTC().Format(basic))
	if s.Token != "" {
		r.Header.Set("X-Amz-Security-Token", s.Token)
	}
	if s.Service == "s3" {
		r.Header.Set(contentHash, payload)
	}
	s.encodePath(r)
	c := s.claim(now)
	c.SignedHeaders = []string{"host"}
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") || name == "content-type" || name == "content-md5" {
			c.SignedHeaders = append(c.SignedHeaders, name)
		}
	}
	slices.Sort(c.SignedHeaders)
	c.headers = strings.Join(c.SignedHeaders, ";")
	r.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		algorithm, s.AccessKey, c.scope(), c.headers, s.signature(r, c, payload)))
}

// Presign puts a signature into the query of r that is good for as long as
// expires says. The body is empty, or not signed where the service is s3.
func (s Signer) Presign(r *http.Request, expires time.Duration, now time.Time) {
	s.encodePath(r)
	c := s.claim(now)
	c.SignedHeaders, c.headers = []string{"host"}, "host"
	query := r.URL.Query()
	query.Set("X-Amz-Algorithm", algorithm)
	query.Set("X-Amz-Credential", s.AccessKey+"/"+c.scope())
	query.Set("X-Amz-Date", now.UTC().Format(basic))
	query.Set("X-Amz-Expires", strconv.Itoa(int(expires.Seconds())))
	query.Set("X-Amz-SignedHeaders", c.headers)
	if s.Token != "" {
		query.Set("X-Amz-Security-Token", s.Token)
	}
	r.URL.RawQuery = query.Encode()
	payload := Hash(nil)
	if s.Service == "s3" {
		payload = UnsignedPayload
	}
	r.URL.RawQuery += "&X-Amz-Signature=" + url.QueryEscape(s.signature(r, c, payload))
}

// encodePath has a path sent to s3 with every byte encoded that is not plain.
// net/url leaves some that it need not encode, and s3 signs what it would encode itself.
func (s Signer) encodePath(r *http.Request) {
	if s.Service == "s3" {
		r.URL.RawPath = string(appendPath(nil, r.URL.Path, style{encode: true}))
	}
}

func (s Signer) claim(now time.Time) *Claim {
	now = now.UTC().Truncate(time.Second)
	return &Claim{AccessKey: s.AccessKey, Date: now.Format("20060102"), Region: s.Region, Service: s.Service, Time: now}
}

func (c *Claim) scope() string {
	return c.Date + "/" + c.Region + "/" + c.Service + "/" + terminal
}

func (s Signer) signature(r *http.Request, c *Claim, payload string) string {
	canonical := appendCanonical(nil, r, styleOf(s.Service), c.SignedHeaders, c.headers, payload, false)
	sum := sign(signingKey(s.Secret, c.Date, c.Region, c.Service), c, canonical)
	return hex.EncodeToString(sum[:])
}
