// Package remote calls a running server as AWS's own clients do: their variables, their credentials, their signatures.
package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/word/fault"
)

// maxAnswer is how much of an answer is read: GetFindings' largest is far below.
const maxAnswer = 256 << 20

// Client calls one server as one user.
type Client struct {
	Endpoint string // http://127.0.0.1:8080
	Region   string
	Key      string      // access key id
	Secret   seal.Secret // secret access key
	Token    string      // session token, or ""
	From     string      // where the credentials were found, for people
	HTTP     *http.Client
	Now      func() time.Time
}

// Error is what the server answered instead of what was asked for.
type Error struct {
	Status  int
	Code    string // of the service's model
	Message string
}

// Error is code and message.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

// Unwrap is the kind of fault that the status says.
func (e *Error) Unwrap() error {
	switch {
	case strings.Contains(e.Code, "NotFound"):
		return fault.NotFound
	case strings.Contains(e.Code, "AccessDenied"), strings.Contains(e.Code, "NotAuthorized"): // with 403, or with 400 in AWS's JSON protocol
		return fault.Denied
	case e.Status == http.StatusForbidden || e.Status == http.StatusUnauthorized || e.Code == "UnrecognizedClientException" || e.Code == "InvalidSignatureException" || e.Code == "ExpiredTokenException":
		return fault.Unauthenticated
	case e.Status == http.StatusNotImplemented:
		return fault.Unsupported
	case e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable:
		return fault.Unavailable
	case e.Status >= 400 && e.Status < 500:
		return fault.Conflict // it cannot be done; how it was asked is not what is wrong
	}
	return fault.Internal
}

// Private tells whether nobody on the way can read what is sent: a signature
// keeps its secret anywhere, but what stands in a call does not.
func (c *Client) Private() bool {
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// JSON calls an operation of a service that speaks AWS's JSON protocol.
// target is the operation with its prefix, as in AWSEvents.PutEvents.
func (c *Client) JSON(ctx context.Context, service, target string, in, out any) error {
	return c.call(ctx, service, "POST", "/", target, in, out)
}

// REST calls an operation of a service that speaks AWS's REST protocol.
func (c *Client) REST(ctx context.Context, service, method, path string, in, out any) error {
	return c.call(ctx, service, method, path, "", in, out)
}

func (c *Client) call(ctx context.Context, service, method, path, target string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Endpoint, "/")+path, bytes.NewReader(body))
	if err != nil {
		return fault.Invalid.Errorf("%q is not an address: %w", c.Endpoint, err)
	}
	r.Header.Set("Content-Type", "application/json")
	if target != "" {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", target)
	}
	sigv4.Signer{AccessKey: c.Key, Secret: c.Secret.Reveal(), Token: c.Token, Region: c.Region, Service: service}.Sign(r, sigv4.Hash(body), c.Now())
	response, err := c.HTTP.Do(r)
	if err != nil {
		return c.unreached(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.Endpoint, err)
	}
	if len(text) > maxAnswer {
		return fault.Limit.Errorf("the answer of %s is larger than %d bytes", c.Endpoint, maxAnswer)
	}
	if response.StatusCode/100 != 2 {
		return c.refused(response, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s does not answer as Haechi does: %w", c.Endpoint, err)
	}
	return nil
}

// unreached says what to do when there is no server.
func (c *Client) unreached(err error) error {
	var lookup *net.DNSError
	var wrong *url.Error
	var authority x509.UnknownAuthorityError
	var plain tls.RecordHeaderError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.Unavailable.Errorf("nothing answers at %s: start a server with 'haechi serve', or say where it is with HAECHI_ENDPOINT or -endpoint", c.Endpoint)
	case errors.As(err, &lookup):
		return fault.Unavailable.Errorf("there is no host %s (HAECHI_ENDPOINT and -endpoint say where the server is)", lookup.Name)
	case errors.As(err, &authority):
		return fault.Unavailable.Errorf("the certificate of %s is of an authority that is not trusted here: AWS_CA_BUNDLE names a file with the authority's certificate, or with the server's own where it signed itself", c.Endpoint)
	case errors.As(err, &plain), errors.As(err, &wrong) && errors.Is(wrong.Err, http.ErrSchemeMismatch):
		return fault.Unavailable.Errorf("%s answers, but without TLS: is its address http://…?", c.Endpoint)
	case errors.As(err, &wrong):
		return fault.Unavailable.Errorf("calling %s: %w", c.Endpoint, wrong.Err)
	}
	return err
}

// refused is the error that an answer is.
func (c *Client) refused(response *http.Response, text []byte) error {
	var said struct {
		Type     string `json:"__type"`
		Code     string
		Message  string
		Message2 string `json:"message"`
	}
	_ = json.Unmarshal(text, &said)
	e := &Error{Status: response.StatusCode, Code: response.Header.Get("X-Amzn-Errortype"), Message: said.Message}
	if e.Code == "" {
		e.Code = said.Type
	}
	if e.Code == "" {
		e.Code = said.Code
	}
	if e.Message == "" {
		e.Message = said.Message2
	}
	_, e.Code, _ = cutLast(e.Code, "#")
	e.Code, _, _ = strings.Cut(e.Code, ":")
	switch {
	case e.Code == "":
		return fmt.Errorf("%s does not answer as Haechi does: %s", c.Endpoint, response.Status)
	case fault.Of(e) == fault.Unauthenticated:
		return fmt.Errorf("%w (the access key %s came from %s; AWS_PROFILE or AWS_SHARED_CREDENTIALS_FILE name others)", e, c.Key, c.From)
	}
	return e
}

// cutLast is strings.Cut at the last sep; without one, all is behind it.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+len(sep):], true
}
