package sigv4

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Claim is what a signed request says of itself. Nothing of it is proven
// until Verify has said so.
type Claim struct {
	AccessKey     string
	Date          string // of the scope: YYYYMMDD
	Region        string
	Service       string
	Time          time.Time     // when it was signed
	Presigned     bool          // the signature is in the query
	Expires       time.Duration // how long a presigned URL lives
	SignedHeaders []string      // lower case, sorted
	Token         string        // the session token, or ""

	signature [32]byte
	headers   string // SignedHeaders as sent
}

// Signed tells whether r bears a signature, or tries to: whether it is for a
// door that verifies them.
func Signed(r *http.Request) bool {
	for _, a := range r.Header["Authorization"] {
		if strings.HasPrefix(a, "AWS4-") {
			return true
		}
	}
	return strings.Contains(r.URL.RawQuery, "X-Amz-Signature=") || strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm=")
}

// Parse reads the signature of r, from its Authorization header or its query.
// A scope date that is not the date of signing, a host or an x-amz- header
// that is not signed, and two signatures at once are refused here.
func Parse(r *http.Request) (*Claim, error) {
	authorizations := r.Header["Authorization"]
	inQuery := strings.Contains(r.URL.RawQuery, "X-Amz-")
	var query url.Values
	if inQuery {
		var err error
		if query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return nil, Malformed.because("the query cannot be read")
		}
		inQuery = query.Has("X-Amz-Signature") || query.Has("X-Amz-Algorithm") || query.Has("X-Amz-Credential")
	}
	var c *Claim
	var err error
	switch {
	case len(authorizations) > 1:
		return nil, Malformed.because("two Authorization headers")
	case len(authorizations) == 1 && inQuery:
		return nil, Malformed.because("a signature in the header and one in the query")
	case len(authorizations) == 1:
		c, err = parseHeader(r, authorizations[0])
	case inQuery:
		c, err = parseQuery(query)
	default:
		return nil, &Refusal{Reason: Missing}
	}
	if err != nil {
		return nil, err
	}
	return c, c.covers(r)
}

func parseHeader(r *http.Request, authorization string) (*Claim, error) {
	scheme, rest, _ := strings.Cut(authorization, " ")
	if scheme != algorithm {
		if strings.HasPrefix(scheme, "AWS4-") {
			return nil, Unsupported.because("%q is not verified here, only %s", clip(scheme), algorithm)
		}
		return nil, &Refusal{Reason: Missing}
	}
	var credential, headers, signature string
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		var into *string
		switch name {
		case "Credential":
			into = &credential
		case "SignedHeaders":
			into = &headers
		case "Signature":
			into = &signature
		default:
			return nil, Malformed.because("unknown part %q of the Authorization header", clip(name))
		}
		if *into != "" {
			return nil, Malformed.because("%s is there twice", name)
		}
		*into = value
	}
	date, err := only(r.Header["X-Amz-Date"], "X-Amz-Date")
	if err != nil {
		return nil, err
	}
	c := &Claim{}
	if tokens := r.Header["X-Amz-Security-Token"]; len(tokens) > 0 {
		if c.Token, err = only(tokens, "X-Amz-Security-Token"); err != nil {
			return nil, err
		}
	}
	return c, c.fill(credential, headers, signature, date)
}

func parseQuery(query url.Values) (*Claim, error) {
	get := func(name string, err *error) string {
		value, e := only(query[name], name)
		if *err == nil {
			*err = e
		}
		return value
	}
	var err error
	scheme := get("X-Amz-Algorithm", &err)
	if err == nil && scheme != algorithm {
		return nil, Unsupported.because("%q is not verified here, only %s", clip(scheme), algorithm)
	}
	credential, headers := get("X-Amz-Credential", &err), get("X-Amz-SignedHeaders", &err)
	signature, date := get("X-Amz-Signature", &err), get("X-Amz-Date", &err)
	c := &Claim{Presigned: true, Expires: DefaultExpires}
	if query.Has("X-Amz-Expires") {
		seconds, e := strconv.ParseUint(get("X-Amz-Expires", &err), 10, 32)
		if e != nil || seconds == 0 || time.Duration(seconds)*time.Second > MaxExpires {
			return nil, Malformed.because("X-Amz-Expires must be between 1 and %d seconds", int(MaxExpires.Seconds()))
		}
		c.Expires = time.Duration(seconds) * time.Second
	}
	if query.Has("X-Amz-Security-Token") {
		c.Token = get("X-Amz-Security-Token", &err)
	}
	if err != nil {
		return nil, err
	}
	return c, c.fill(credential, headers, signature, date)
}

// fill reads the four texts that both forms have.
func (c *Claim) fill(credential, headers, signature, date string) error {
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || scope[0] == "" || scope[2] == "" || scope[3] == "" {
		return Malformed.because("the credential must be KEY/DATE/REGION/SERVICE/%s", terminal)
	}
	if scope[4] != terminal {
		return Malformed.because("the scope must end in %s", terminal)
	}
	c.AccessKey, c.Date, c.Region, c.Service = scope[0], scope[1], scope[2], scope[3]
	at, err := time.Parse(basic, date)
	if err != nil || len(date) != len(basic) {
		return Malformed.because("X-Amz-Date must be written like %s", basic)
	}
	c.Time = at
	if c.Date != date[:8] {
		return Malformed.because("the date of the scope is not that of X-Amz-Date")
	}
	if n, err := hex.Decode(c.signature[:], []byte(clipTo(signature, 64))); err != nil || n != 32 || len(signature) != 64 || strings.ToLower(signature) != signature {
		return Malformed.because("the signature must be 64 digits of lower-case hexadecimal")
	}
	c.headers = headers
	c.SignedHeaders = strings.Split(headers, ";")
	for i, name := range c.SignedHeaders {
		if name == "" || name != strings.ToLower(name) || i > 0 && name <= c.SignedHeaders[i-1] {
			return Malformed.because("the signed headers must be in lower case, sorted, each once")
		}
	}
	return nil
}

// covers tells whether what must be signed is: the host, and every x-amz-
// header that r bears. A security token may have been added after signing; it
// must belong to the access key, which whoever knows the key checks.
func (c *Claim) covers(r *http.Request) error {
	if !c.signs("host") {
		return Unsigned.because("host")
	}
	for name := range r.Header {
		if len(name) < 6 || !strings.EqualFold(name[:6], "x-amz-") {
			continue
		}
		if lower := strings.ToLower(name); !c.signs(lower) && lower != "x-amz-security-token" {
			return Unsigned.because("%s", clip(lower))
		}
	}
	return nil
}

func (c *Claim) signs(name string) bool {
	for _, s := range c.SignedHeaders {
		if s == name {
			return true
		}
	}
	return false
}

func only(values []string, name string) (string, error) {
	switch len(values) {
	case 0:
		return "", Malformed.because("%s is missing", name)
	case 1:
		return values[0], nil
	}
	return "", Malformed.because("%s is there twice", name)
}

// clip keeps what is said back to a stranger short.
func clip(s string) string { return clipTo(s, 40) }

func clipTo(s string, n int) string { return s[:min(len(s), n)] }
