// Package wiretest tests services of package wire with what their models say and with AWS's real clients.
package wiretest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// Who calls a [Server], and with which key. Both are invented.
const (
	Account   = "111122223333"
	Region    = "us-east-1"
	AccessKey = "HAECHITEST" + "KEY0000002"
	Secret    = "not-a-real-secret" + "-either"
)

// Caller is the user that has AccessKey.
func Caller() iam.Principal {
	return iam.Principal{ARN: "arn:aws:iam::" + Account + ":user/tester", Account: Account, ID: "AIDAHAECHITESTER", Type: "User", Name: "tester"}
}

// Valid says where the body of an answer is not what the model promises.
func Valid(t testing.TB, m *wire.Model, operation string, body []byte) {
	t.Helper()
	if err := m.CheckAnswer(operation, body); err != nil {
		t.Errorf("%s of %s: %v\nthe answer: %.2000s", operation, m.Signing, err, body)
	}
}

// Ops holds the file (ops.txt beside the service) against the model and what
// the service answers: one operation a line, marked "answered" or "-". With
// update it is written anew.
func Ops(t testing.TB, s wire.Service, file string, update bool) {
	t.Helper()
	names := make([]string, 0, len(s.Model.Operations))
	for name := range s.Model.Operations {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "# Operations of %s %s: answered, or - where we say 501. Written by go test -update.\n", s.Model.Signing, s.Model.Version)
	for _, name := range names {
		mark := "-"
		if _, ok := s.Operations[name]; ok {
			mark = "answered"
		}
		fmt.Fprintf(&b, "%-50s %s\n", name, mark)
	}
	if update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("%s is old: run go test -update", file)
	}
}

// A Server answers services on loopback, to one caller who may do everything
// but what Deny says.
type Server struct {
	URL      string
	services map[string]*wire.Model

	key, secret, token string
}

// As is the server, called with other credentials.
func (s *Server) As(key, secret, token string) *Server {
	other := *s
	other.key, other.secret, other.token = key, secret, token
	return &other
}

// Options of a server. The zero value is good.
type Options struct {
	Now    func() time.Time
	Deny   func(iam.Request) bool
	Limits wire.Limits
	Heard  func(context.Context, wire.Heard) error
	// Keys and Gate, where they are there, know who calls and what they may, in place of the one caller.
	Keys wire.Keys
	Gate wire.Gate
}

// Serve starts a server for the length of the test.
func Serve(t testing.TB, o Options, services ...wire.Service) *Server {
	t.Helper()
	if o.Keys == nil {
		o.Keys = keys{}
	}
	if o.Gate == nil {
		o.Gate = gate(o.Deny)
	}
	h, err := wire.New(wire.Config{Keys: o.Keys, Gate: o.Gate, Services: services, Now: o.Now, Limits: o.Limits, Heard: o.Heard})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	s := &Server{URL: server.URL, services: map[string]*wire.Model{}, key: AccessKey, secret: Secret}
	for _, one := range services {
		s.services[one.Model.Signing] = one.Model
	}
	return s
}

type keys struct{}

func (keys) Secret(_ context.Context, id, token string) (seal.Secret, iam.Principal, error) {
	switch {
	case id == AccessKey && token == "":
		return Secret, Caller(), nil
	case id == AccessKey && token == "over":
		return "", iam.Principal{}, fault.Unauthenticated.Errorf("the session is over")
	}
	return "", iam.Principal{}, fault.NotFound.Errorf("no such key")
}

type gate func(iam.Request) bool

func (g gate) Allow(_ context.Context, requests ...iam.Request) error {
	for _, r := range requests {
		if g != nil && g(r) {
			return fault.Denied.Errorf("User: %s is not authorized to perform: %s on resource: %s", r.Principal.ARN, r.Action, r.Resource)
		}
	}
	return nil
}

// Call signs and sends one request, and answers what came back. path may hold
// a query; target is X-Amz-Target, or "" for what has none.
func (s *Server) Call(t testing.TB, service, method, path, target, body string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	m := s.services[service]
	switch {
	case target != "":
		r.Header.Set("X-Amz-Target", target)
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	case m != nil && m.Protocol == wire.Query:
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	default:
		r.Header.Set("Content-Type", "application/json")
	}
	sigv4.Signer{AccessKey: s.key, Secret: s.secret, Token: s.token, Region: Region, Service: service}.Sign(r, sigv4.Hash([]byte(body)), time.Now())
	return s.Do(t, r)
}

// Do sends a request as it is.
func (s *Server) Do(t testing.TB, r *http.Request) (*http.Response, []byte) {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, text
}

// A Client is one of AWS's own: an aws command. Old marks version 2.9 of
// January 2023, which does not know what came later.
type Client struct {
	Path string
	Old  bool
}

// Clients are the aws commands of this machine. Where there is none the test is skipped.
func Clients(t testing.TB) []Client {
	t.Helper()
	var found []Client
	for _, path := range append(pathsOf("aws"), "/usr/bin/aws") {
		out, err := exec.Command(path, "--version").CombinedOutput()
		if err != nil || slices.ContainsFunc(found, func(c Client) bool { return c.Path == path }) {
			continue
		}
		found = append(found, Client{Path: path, Old: bytes.HasPrefix(out, []byte("aws-cli/2.9"))})
	}
	if len(found) == 0 {
		t.Skip("no aws command here: not tried with a real client")
	}
	return found
}

func pathsOf(name string) []string {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil
	}
	return []string{path}
}

// Run runs an aws command against the server: its output, and its errors.
func (c Client) Run(t testing.TB, s *Server, arguments ...string) (stdout, stderr string, err error) {
	t.Helper()
	command := exec.Command(c.Path, append([]string{"--endpoint-url", s.URL, "--no-cli-pager"}, arguments...)...)
	if !c.Old {
		command = exec.Command(c.Path, append([]string{"--endpoint-url", s.URL}, arguments...)...)
	}
	return run(t, s, command)
}

// Python runs a script that has `client(service)`, a boto3 client of the
// server. Where there is no boto3 the test is skipped.
func (s *Server) Python(t testing.TB, script string) (stdout, stderr string, err error) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil || exec.Command(python, "-c", "import boto3").Run() != nil {
		t.Skip("no boto3 here: not tried with a real client")
	}
	head := fmt.Sprintf("import boto3, botocore, json\nfrom botocore.config import Config\n"+
		"def client(service): return boto3.client(service, endpoint_url=%q, config=Config(retries={'max_attempts': 0}))\n", s.URL)
	return run(t, s, exec.Command(python, "-c", head+script))
}

func run(t testing.TB, s *Server, command *exec.Cmd) (stdout, stderr string, err error) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, []byte("[default]\ncli_follow_urlparam = false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8",
		"AWS_CONFIG_FILE=" + config, "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(dir, "none"), "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID=" + s.key, "AWS_SECRET_ACCESS_KEY=" + s.secret, "AWS_DEFAULT_REGION=" + Region, "AWS_MAX_ATTEMPTS=1",
		"AWS_RETRY_MODE=standard", "AWS_PAGER="}
	for _, keep := range []string{"PYENV_ROOT", "PYENV_VERSION", "PYTHONPATH", "VIRTUAL_ENV"} {
		if v := os.Getenv(keep); v != "" {
			command.Env = append(command.Env, keep+"="+v)
		}
	}
	if s.token != "" {
		command.Env = append(command.Env, "AWS_SESSION_TOKEN="+s.token)
	}
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	err = command.Run()
	return out.String(), problems.String(), err
}

// Of starts a server of a handler that is no service of package wire, for the length of the test.
func Of(t testing.TB, h http.Handler) *Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return &Server{URL: server.URL, key: AccessKey, secret: Secret}
}

// An Access knows the one caller, who may do everything but what Deny says.
type Access struct{ Deny func(iam.Request) bool }

// Secret is the caller's secret.
func (Access) Secret(ctx context.Context, id, token string) (seal.Secret, iam.Principal, error) {
	return keys{}.Secret(ctx, id, token)
}

// Allow denies what Deny says.
func (a Access) Allow(ctx context.Context, requests ...iam.Request) error {
	return gate(a.Deny).Allow(ctx, requests...)
}
