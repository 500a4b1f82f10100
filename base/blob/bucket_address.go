package blob

import (
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/word/fault"
)

// address is where a bucket is, and how it is called.
type address struct {
	bucket      string
	prefix      string // "", or it ends in a slash
	region      string
	endpoint    *url.URL // with the bucket in its host where that is the style
	path        string   // what stands before a key: "/", or "/bucket/"
	credentials string   // env:NAME, file:PATH, or "" for AWS_* variables
}

// String is the bucket and the prefix.
func (a address) String() string { return "s3://" + a.bucket + "/" + a.prefix }

var (
	bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	prefixForm = regexp.MustCompile(`^[A-Za-z0-9._/-]{0,200}$`)
	regionForm = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
)

// IsBucket tells whether an address is that of a bucket.
func IsBucket(text string) bool { return strings.HasPrefix(text, "s3:") }

// parseAddress reads s3://bucket/prefix?region=…&endpoint=…&style=…&credentials=….
func parseAddress(text string) (a address, err error) {
	bad := func(format string, args ...any) (address, error) {
		return address{}, fault.Invalid.Errorf("blobs: "+format+" (s3://BUCKET/PREFIX?region=REGION&endpoint=https://HOST&credentials=file:PATH)", args...)
	}
	u, err := url.Parse(text)
	if err != nil {
		return bad("the address of the bucket is no URL") // an error of net/url tells all of it
	}
	query, err := url.ParseQuery(u.RawQuery)
	switch {
	case err != nil || u.Scheme != "s3" || u.Fragment != "":
		return bad("the address of a bucket begins with s3://")
	case u.User != nil:
		return bad("keys do not stand in an address: credentials=file:PATH or credentials=env:NAME says where they are")
	case !bucketForm.MatchString(u.Host) || strings.Contains(u.Host, ".."):
		return bad("%.80q is no name of a bucket", u.Host)
	}
	for name, values := range query {
		if !known(name) || len(values) != 1 {
			return bad("%.40q stands once among region, endpoint, style and credentials", name)
		}
	}
	a = address{bucket: u.Host, region: "us-east-1", credentials: query.Get("credentials")}
	if a.prefix = strings.Trim(u.Path, "/"); a.prefix != "" {
		a.prefix += "/"
	}
	if !prefixForm.MatchString(a.prefix) || strings.Contains("/"+a.prefix, "/../") || strings.Contains("/"+a.prefix, "/./") || strings.Contains(a.prefix, "//") {
		return bad("the prefix has letters, digits, dots, dashes and slashes, not %.80q", a.prefix)
	}
	if r := query.Get("region"); r != "" {
		a.region = r
	}
	if !regionForm.MatchString(a.region) {
		return bad("%.40q is no region", a.region)
	}
	if c := a.credentials; c != "" && !strings.HasPrefix(c, "env:") && !strings.HasPrefix(c, "file:") {
		return bad("credentials is env:NAME or file:PATH")
	}
	return a, a.reach(query.Get("endpoint"), query.Get("style"))
}

func known(name string) bool {
	switch name {
	case "region", "endpoint", "style", "credentials":
		return true
	}
	return false
}

// reach sets how the bucket is called: its name before the host's at AWS, as
// AWS wants it, and in the path elsewhere, as every other server understands it.
func (a *address) reach(endpoint, style string) error {
	if style == "" {
		style = "path"
		if endpoint == "" && !strings.Contains(a.bucket, ".") { // no certificate covers a name with a dot
			style = "host"
		}
	}
	if endpoint == "" {
		endpoint = "https://s3." + a.region + ".amazonaws.com"
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return fault.Invalid.Errorf("blobs: an endpoint is https://HOST or https://HOST:PORT, and nothing behind it")
	}
	u.Path = ""
	switch a.path = "/"; style {
	case "path":
		a.path = "/" + a.bucket + "/"
	case "host":
		u.Host = a.bucket + "." + u.Host
	default:
		return fault.Invalid.Errorf("blobs: style is path or host, not %.40q", style)
	}
	a.endpoint = u
	return nil
}

// keys are what calls are signed with, as they stand now: whoever keeps the file
// may change them while we run.
func (b *Bucket) keys() (sigv4.Signer, error) {
	s := sigv4.Signer{Region: b.at.region, Service: "s3"}
	text, from := "", b.at.credentials
	if name, ok := strings.CutPrefix(from, "env:"); ok {
		text = b.getenv(name)
	} else if file, ok := strings.CutPrefix(from, "file:"); ok {
		content, err := os.ReadFile(file)
		if err != nil {
			return s, fault.Invalid.Errorf("blobs: reading the credentials: %w", err)
		}
		text = string(content)
	} else {
		from = "the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
		s.AccessKey, s.Secret, s.Token = b.getenv("AWS_ACCESS_KEY_ID"), b.getenv("AWS_SECRET_ACCESS_KEY"), b.getenv("AWS_SESSION_TOKEN")
	}
	if text = strings.TrimSpace(text); strings.HasPrefix(text, "[") || strings.Contains(text, "\n") {
		key, secret, token := remote.Keys([]byte(text), "default")
		s.AccessKey, s.Secret, s.Token = key, secret.Reveal(), token
	} else if text != "" {
		s.AccessKey, s.Secret, _ = strings.Cut(text, ":")
		s.Secret, s.Token, _ = strings.Cut(s.Secret, ":")
	}
	if s.AccessKey == "" || s.Secret == "" {
		return s, fault.Invalid.Errorf("blobs: %s: there are no keys in %s: write KEY:SECRET, or a file as the aws command has it", b.at, from)
	}
	return s, nil
}
