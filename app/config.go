// Package app builds every room once from one Config, wires them, and runs them.
package app

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/jwt"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/lang/strict"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/fault"
)

// Config is what an installation is told. Its YAML is haechi.yaml.
type Config struct {
	Data     string // the folder of all state
	Listen   string // address and port; port 0 takes a free one
	Database string // sqlite: (in the data folder), sqlite:FILE or postgres://…; env:NAME and file:PATH stand for what is there
	Blobs    string // where artifacts, caches and sources are kept: "" is the data folder, or s3://BUCKET/PREFIX?…, see base/blob
	Account  string // 12 digits
	Region   string
	Log      string // debug, info, warn, error

	Insecure bool           `yaml:"insecure-listen"` // off loopback without TLS
	TLS      TLS            // of the listener
	Proxies  []netip.Prefix `yaml:"trusted-proxies"` // whose X-Forwarded-* counts
	Hosts    []string       // names by which browsers may call, besides the address listened on
	URL      string         // how people reach the console, for links in messages; empty: the address listened on

	SignIn []SignIn          `yaml:"sign-in"`       // identity providers that people sign in to the console by
	Keys   map[string]string `yaml:"provider-keys"` // files of identity providers' keys (JWKS), by address: these are not fetched

	Outbound  Outbound
	Commands  map[string]Command
	Sandbox   Sandbox
	Builds    Builds
	Buckets   Buckets
	Gate      string // the server's own gate policy, a file; empty: none but the repositories'
	Advisory  string // the index of vulnerabilities; empty: advisory.index in the data folder
	Retention Retention
}

// TLS are the files of the listener's certificate and key.
type TLS struct{ Cert, Key string }

// SignIn is an OpenID Connect provider that people sign in to the console by.
// It must be known to IAM, with the client as an audience, and the roles must trust it.
type SignIn struct {
	Name    string // in addresses: /sign-in/NAME
	Issuer  string // https://…
	Client  string
	Secret  string   // env:NAME or file:PATH
	Scopes  []string // besides openid
	Session string   // the claim that names sessions; empty: email, else sub
	Roles   []SignInRole
}

// SignInRole gives a role, by name or ARN, to whom a claim says something of.
type SignInRole struct{ Claim, Value, Role string }

var loginName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// logins are the sign-ins as access has them, with what env: and file: stand for.
func (c *Config) logins(env func(string) string) (all []access.Login, err error) {
	for _, s := range c.SignIn {
		l := access.Login{Name: s.Name, Issuer: strings.TrimSuffix(s.Issuer, "/"), Client: s.Client, Scopes: s.Scopes, Sessions: s.Session}
		if l.Secret, err = reveal(s.Secret, env); err != nil {
			return nil, fmt.Errorf("sign-in %s: %w", s.Name, err)
		}
		for _, r := range s.Roles {
			l.Roles = append(l.Roles, access.Mapping{Claim: r.Claim, Value: r.Value, Role: r.Role})
		}
		all = append(all, l)
	}
	return all, nil
}

// Logins are the names of the identity providers, for people.
func (c *Config) Logins() (names []string) {
	for _, s := range c.SignIn {
		names = append(names, s.Name)
	}
	return names
}

// providerKeys are the keys of providers that are not asked for theirs, by host and path.
func (c *Config) providerKeys() (map[string]string, error) {
	all := map[string]string{}
	for issuer, file := range c.Keys {
		text, err := os.ReadFile(file)
		if err == nil {
			_, err = jwt.ParseKeys(text)
		}
		if err != nil {
			return nil, fault.Invalid.Errorf("provider-keys of %s: %w", issuer, err)
		}
		all[strings.TrimSuffix(strings.TrimPrefix(issuer, "https://"), "/")] = string(text)
	}
	return all, nil
}

func (c *Config) checkSignIn() error {
	for _, s := range c.SignIn {
		u, err := url.Parse(s.Issuer)
		switch {
		case !loginName.MatchString(s.Name) || s.Name == "code":
			return fault.Invalid.Errorf("sign-in wants a name of small letters, digits and dashes, not %q", s.Name)
		case err != nil || u.Scheme != "https" || u.Host == "":
			return fault.Invalid.Errorf("sign-in %s: the issuer is https://HOST, not %q", s.Name, s.Issuer)
		case s.Client == "":
			return fault.Invalid.Errorf("sign-in %s wants a client, the id that the provider has for this server", s.Name)
		case len(s.Roles) == 0:
			return fault.Invalid.Errorf("sign-in %s gives nobody a role: roles lists claim, value and role", s.Name)
		case s.Secret != "" && !strings.HasPrefix(s.Secret, "env:") && !strings.HasPrefix(s.Secret, "file:"):
			return fault.Invalid.Errorf("sign-in %s: secret is env:NAME or file:PATH", s.Name)
		}
		for _, r := range s.Roles {
			if r.Claim == "" || r.Value == "" || r.Role == "" {
				return fault.Invalid.Errorf("sign-in %s: each of roles has claim, value and role", s.Name)
			}
		}
	}
	return nil
}

// Outbound bounds where targets may point.
type Outbound struct {
	Allow []string // private networks or host:port that may be called all the same
}

// Command is a program that rules may name as a target.
type Command struct {
	Argv    []string
	Dir     string
	Env     []string
	UID     uint32
	GID     uint32
	Timeout time.Duration
}

// Buckets bounds what people and tools upload to the buckets of artifacts.
type Buckets struct {
	Object int64 // bytes of one upload
	Bytes  int64 // of all that was uploaded
}

// Sandbox says how build steps are walled in.
type Sandbox struct {
	Allow string // the weakest level that is accepted: landlock, which is all walls and the default, namespaces, bare
}

// Retention says how long things are kept.
type Retention struct {
	Events, Deliveries, Logs, Records time.Duration
	RecordBytes                       int64         `yaml:"record-bytes"`
	Audit                             time.Duration // records of the audit trail
	AuditBytes                        int64         `yaml:"audit-bytes"` // of each node: reads go first
	Reports                           time.Duration // of tests and coverage
}

// Default is what holds where nothing else is said.
func Default(env func(string) string) Config {
	return Config{
		Data: dataFolder(env), Listen: "127.0.0.1:8080", Database: "sqlite:", Account: "000000000000", Region: "us-east-1", Log: "info",
		Buckets:   Buckets{Object: 5 << 30, Bytes: 100 << 30},
		Retention: Retention{Events: 7 * 24 * time.Hour, Deliveries: 30 * 24 * time.Hour, Logs: 90 * 24 * time.Hour, Records: 30 * 24 * time.Hour, RecordBytes: 10 << 30, Audit: 400 * 24 * time.Hour, AuditBytes: 2 << 30, Reports: 30 * 24 * time.Hour},
	}
}

func dataFolder(env func(string) string) string {
	switch {
	case env("XDG_DATA_HOME") != "":
		return filepath.Join(env("XDG_DATA_HOME"), "haechi")
	case os.Getuid() == 0:
		return "/var/lib/haechi"
	case env("HOME") != "":
		return filepath.Join(env("HOME"), ".local", "share", "haechi")
	}
	return "haechi-data"
}

// ReadConfig reads haechi.yaml into c.
func (c *Config) ReadConfig(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return fault.Invalid.Errorf("reading the configuration: %w", err)
	}
	return strict.Unmarshal(name, text, c)
}

// Environment sets what HAECHI_* variables say.
func (c *Config) Environment(env func(string) string) {
	for name, field := range map[string]*string{"HAECHI_DATA": &c.Data, "HAECHI_LISTEN": &c.Listen, "HAECHI_DATABASE": &c.Database, "HAECHI_BLOBS": &c.Blobs, "HAECHI_ACCOUNT": &c.Account, "HAECHI_REGION": &c.Region, "HAECHI_LOG": &c.Log} {
		if v := env(name); v != "" {
			*field = v
		}
	}
}

var (
	twelveDigits = regexp.MustCompile(`^[0-9]{12}$`)
	regionName   = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$|^[a-z][a-z0-9-]{0,30}$`)
)

// Check says what is wrong with c before anything is touched.
func (c *Config) Check() error {
	if !twelveDigits.MatchString(c.Account) {
		return fault.Invalid.Errorf("an account has 12 digits, not %q (-account)", c.Account)
	}
	if !regionName.MatchString(c.Region) {
		return fault.Invalid.Errorf("%q is not a region (-region)", c.Region)
	}
	if _, err := c.level(); err != nil {
		return err
	}
	if _, err := c.walls(); err != nil {
		return err
	}
	if err := c.Builds.check(); err != nil {
		return err
	}
	if err := c.checkSignIn(); err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fault.Invalid.Errorf("%q is not an address to listen on: %w (-listen 127.0.0.1:8080)", c.Listen, err)
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return fault.Invalid.Errorf("tls wants both cert and key")
	}
	if !loopback(host) && c.TLS.Cert == "" && !c.Insecure && len(c.Proxies) == 0 {
		return fault.Invalid.Errorf("%s can be reached from elsewhere, and passwords would pass in clear: give tls.cert and tls.key, or trusted-proxies in front, or -insecure-listen if the network is trusted", c.Listen)
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func (c *Config) level() (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.Log)); err != nil {
		return 0, fault.Invalid.Errorf("%q is not a log level (debug, info, warn, error)", c.Log)
	}
	return l, nil
}

// walls is the least that build steps must be walled in.
func (c *Config) walls() (sandbox.Level, error) {
	if c.Sandbox.Allow == "" {
		return sandbox.Landlock, nil
	}
	return sandbox.ParseLevel(c.Sandbox.Allow)
}

// database is the URL of the database, with what env: and file: stand for.
func (c *Config) database(env func(string) string) (string, error) {
	url, err := reveal(c.Database, env)
	if err != nil {
		return "", fmt.Errorf("database: %w", err)
	}
	if url.Reveal() == "sqlite:" {
		return "sqlite:" + filepath.Join(c.Data, "state.db"), nil
	}
	return url.Reveal(), nil
}

// reveal is what a configured secret stands for: env:NAME, file:PATH, or itself.
func reveal(text string, env func(string) string) (seal.Secret, error) {
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		if env(name) == "" {
			return "", fault.Invalid.Errorf("the variable %s is not set", name)
		}
		return seal.Secret(env(name)), nil
	}
	if name, ok := strings.CutPrefix(text, "file:"); ok {
		content, err := os.ReadFile(name)
		if err != nil {
			return "", fault.Invalid.Errorf("reading a secret: %w", err)
		}
		return seal.Secret(strings.TrimSpace(string(content))), nil
	}
	return seal.Secret(text), nil
}
