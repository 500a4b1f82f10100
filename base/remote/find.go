package remote

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/word/fault"
)

// maxFile is how much of a file of credentials is read.
const maxFile = 1 << 20

// Find is the client of whoever has env: the endpoint that HAECHI_ENDPOINT, else
// AWS_ENDPOINT_URL names, else local; the credentials as AWS's SDKs find them
// (variables, then the shared files), and last those in the file first, which a
// server on this machine writes at its first start.
func Find(env func(string) string, local, first string) (*Client, error) {
	c := &Client{
		Endpoint: cmp.Or(env("HAECHI_ENDPOINT"), env("AWS_ENDPOINT_URL"), local), Now: time.Now,
		HTTP: &http.Client{Timeout: 2 * time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	if u, err := url.Parse(c.Endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fault.Invalid.Errorf("%q is not the address of a server (http://127.0.0.1:8080)", c.Endpoint)
	}
	if file := env("AWS_CA_BUNDLE"); file != "" {
		transport, err := trusting(file)
		if err != nil {
			return nil, err
		}
		c.HTTP.Transport = transport
	}
	config, err := sharedProfile(env, "AWS_CONFIG_FILE", "config")
	if err != nil {
		return nil, err
	}
	c.Region = cmp.Or(env("AWS_REGION"), env("AWS_DEFAULT_REGION"), config.values["region"], env("HAECHI_REGION"), "us-east-1")
	if env("AWS_ACCESS_KEY_ID") != "" && env("AWS_SECRET_ACCESS_KEY") != "" {
		c.Key, c.Secret, c.Token, c.From = env("AWS_ACCESS_KEY_ID"), seal.Secret(env("AWS_SECRET_ACCESS_KEY")), env("AWS_SESSION_TOKEN"), "AWS_ACCESS_KEY_ID"
		return c, nil
	}
	shared, err := sharedProfile(env, "AWS_SHARED_CREDENTIALS_FILE", "credentials")
	if err != nil {
		return nil, err
	}
	for _, p := range []profile{shared, config} {
		if c.take(p) {
			return c, nil
		}
	}
	if name := env("AWS_PROFILE"); name != "" {
		return nil, fault.Invalid.Errorf("there are no credentials of the profile %q (AWS_PROFILE) in %s", name, cmp.Or(shared.file, "~/.aws/credentials"))
	}
	p, err := readProfile(first, "default")
	if err == nil && c.take(p) {
		return c, nil
	}
	return nil, fault.Invalid.Errorf("there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; a server's first ones stand in %s until they were used", first)
}

// trusting is a transport for servers whose certificates the authorities in a file have signed.
func trusting(file string) (*http.Transport, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Invalid.Errorf("reading the authorities that AWS_CA_BUNDLE names: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fault.Invalid.Errorf("%s, which AWS_CA_BUNDLE names, holds no certificate", file)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return t, nil
}

// profile is one section of a shared file.
type profile struct {
	file   string
	name   string
	values map[string]string
}

func (c *Client) take(p profile) bool {
	if p.values["aws_access_key_id"] == "" || p.values["aws_secret_access_key"] == "" {
		return false
	}
	c.Key, c.Secret, c.Token = p.values["aws_access_key_id"], seal.Secret(p.values["aws_secret_access_key"]), p.values["aws_session_token"]
	c.From = p.file + ", profile " + p.name
	return true
}

// sharedProfile is the profile that AWS_PROFILE names in the file that variable
// names, else in base below ~/.aws. A file that nobody named may be missing.
func sharedProfile(env func(string) string, variable, base string) (profile, error) {
	file := env(variable)
	if file == "" {
		if env("HOME") == "" {
			return profile{}, nil
		}
		file = filepath.Join(env("HOME"), ".aws", base)
	}
	p, err := readProfile(file, cmp.Or(env("AWS_PROFILE"), "default"))
	if errors.Is(err, fs.ErrNotExist) && env(variable) == "" {
		return profile{}, nil
	}
	if err != nil {
		return profile{}, fault.Invalid.Errorf("reading the credentials that %s names: %w", variable, err)
	}
	return p, nil
}

func readProfile(file, name string) (profile, error) {
	f, err := os.Open(file)
	if err != nil {
		return profile{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return profile{}, err
	}
	return profile{file, name, section(text, name)}, nil
}

// section is the keys and values of one profile, which the file config calls
// [profile NAME] and the file credentials [NAME].
func section(text []byte, name string) map[string]string {
	values, inside := map[string]string{}, false
	s := bufio.NewScanner(bytes.NewReader(text))
	s.Buffer(nil, maxFile)
	for s.Scan() {
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		if heading, ok := strings.CutPrefix(line, "["); ok {
			heading, _, _ = strings.Cut(heading, "]")
			words := strings.Fields(heading)
			inside = len(words) == 1 && words[0] == name || len(words) == 2 && words[0] == "profile" && words[1] == name
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok && inside && !strings.HasPrefix(s.Text(), " ") {
			values[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	return values
}

// Keys are the keys of a profile in the text of a file as the aws command has it; "" where there are none.
func Keys(text []byte, profile string) (key string, secret seal.Secret, token string) {
	v := section(text, profile)
	return v["aws_access_key_id"], seal.Secret(v["aws_secret_access_key"]), v["aws_session_token"]
}
