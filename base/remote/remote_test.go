package remote_test

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/word/fault"
)

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Variables win over files, a named profile over the default one, and a server's first credentials come last.
func TestFind(t *testing.T) {
	shared := write(t, "# mine\n[default]\naws_access_key_id = SHARED\naws_secret_access_key=s1\n\n[other]\nAWS_ACCESS_KEY_ID=OTHER\naws_secret_access_key = s2\naws_session_token = t2\ns3 =\n  aws_access_key_id = nested\n")
	config := write(t, "[profile other]\nregion = ap-northeast-2\n[profile lone]\naws_access_key_id=LONE\naws_secret_access_key=s3\n")
	first := write(t, "[default]\naws_access_key_id = FIRST\naws_secret_access_key = s4\nconsole_password = p\n")
	for _, c := range []struct {
		name                            string
		env                             map[string]string
		endpoint, key, token, region, e string
	}{
		{"nothing", nil, "http://local", "FIRST", "", "us-east-1", ""},
		{"variables", map[string]string{"AWS_ACCESS_KEY_ID": "VAR", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t", "AWS_SHARED_CREDENTIALS_FILE": shared, "AWS_REGION": "eu-west-1"}, "http://local", "VAR", "t", "eu-west-1", ""},
		{"shared", map[string]string{"AWS_SHARED_CREDENTIALS_FILE": shared, "AWS_ENDPOINT_URL": "http://aws"}, "http://aws", "SHARED", "", "us-east-1", ""},
		{"profile", map[string]string{"AWS_SHARED_CREDENTIALS_FILE": shared, "AWS_CONFIG_FILE": config, "AWS_PROFILE": "other", "HAECHI_ENDPOINT": "http://h", "AWS_ENDPOINT_URL": "http://aws"}, "http://h", "OTHER", "t2", "ap-northeast-2", ""},
		{"profile of config", map[string]string{"AWS_SHARED_CREDENTIALS_FILE": shared, "AWS_CONFIG_FILE": config, "AWS_PROFILE": "lone"}, "http://local", "LONE", "", "us-east-1", ""},
		{"no such profile", map[string]string{"AWS_SHARED_CREDENTIALS_FILE": shared, "AWS_PROFILE": "nobody"}, "", "", "", "", `no credentials of the profile "nobody"`},
		{"no such file", map[string]string{"AWS_SHARED_CREDENTIALS_FILE": shared + "x"}, "", "", "", "", "no such file"},
		{"no address", map[string]string{"HAECHI_ENDPOINT": "localhost:8080"}, "", "", "", "", "not the address of a server"},
	} {
		got, err := remote.Find(environment(c.env), "http://local", first)
		if c.e != "" {
			if err == nil || !strings.Contains(err.Error(), c.e) || fault.Of(err) != fault.Invalid {
				t.Errorf("%s: %v, want %s", c.name, err, c.e)
			}
			continue
		}
		if err != nil || got.Endpoint != c.endpoint || got.Key != c.key || got.Token != c.token || got.Region != c.region {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	if _, err := remote.Find(environment(nil), "http://local", first+"x"); err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("without any: %v", err)
	}
}

// A call is signed; what the server says against it comes back with its code and its kind.
func TestCall(t *testing.T) {
	answer, status := `{"Account":"1"}`, 200
	var kind string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claim, err := sigv4.Parse(r)
		if err == nil {
			_, err = new(sigv4.Verifier).Read(r, claim, "secret", time.Now(), 1<<20)
		}
		if err != nil || claim.Service != "events" || r.Header.Get("X-Amz-Target") != "AWSEvents.X" {
			t.Errorf("%v %v", claim, err)
		}
		if kind != "" {
			w.Header().Set("X-Amzn-Errortype", kind)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(s.Close)
	c := &remote.Client{Endpoint: s.URL + "/", Region: "us-east-1", Key: "AK", Secret: "secret", From: "a file", HTTP: s.Client(), Now: time.Now}
	var out struct{ Account string }
	call := func() error {
		return c.JSON(context.Background(), "events", "AWSEvents.X", map[string]string{"a": "b"}, &out)
	}
	if err := call(); err != nil || out.Account != "1" {
		t.Errorf("%v %v", out, err)
	}
	for _, bad := range []struct {
		status             int
		kind, answer, want string
		fault              fault.Kind
	}{
		{400, "", `{"__type":"com.amazonaws.events#ResourceNotFoundException","message":"no rule"}`, "ResourceNotFoundException: no rule", fault.NotFound},
		{403, "AccessDeniedException:http://x", `{"Message":"you may not"}`, "AccessDeniedException: you may not", fault.Denied},
		{403, "UnrecognizedClientException", `{"message":"who"}`, "AK came from a file", fault.Unauthenticated},
		{501, "", `{"__type":"UnknownOperationException"}`, "UnknownOperationException", fault.Unsupported},
		{200, "", `<html>`, "does not answer as Haechi does", fault.Internal},
		{404, "", `<html>`, "does not answer as Haechi does", fault.Internal},
	} {
		status, kind, answer = bad.status, bad.kind, bad.answer
		if err := call(); err == nil || !strings.Contains(err.Error(), bad.want) || fault.Of(err) != bad.fault {
			t.Errorf("%d %s: %v, want %s", bad.status, bad.answer, err, bad.want)
		}
	}
	s.Close()
	if err := call(); fault.Of(err) != fault.Unavailable || !strings.Contains(err.Error(), "haechi serve") {
		t.Errorf("without a server: %v", err)
	}
}

// A private authority's server is called if AWS_CA_BUNDLE names the authority, and not otherwise.
func TestAuthorities(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	bundle := write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	env := map[string]string{"HAECHI_ENDPOINT": s.URL, "AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "s"}
	for _, c := range []struct{ bundle, want string }{{"", "AWS_CA_BUNDLE names a file"}, {bundle, ""}, {write(t, "none"), "holds no certificate"}} {
		env["AWS_CA_BUNDLE"] = c.bundle
		client, err := remote.Find(environment(env), "", "")
		if err == nil {
			err = client.JSON(t.Context(), "events", "AWSEvents.X", struct{}{}, &struct{}{})
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("with %q: %v, want %q", c.bundle, err, c.want)
		}
	}
}

func TestPrivate(t *testing.T) {
	for endpoint, want := range map[string]bool{"http://127.0.0.1:8080": true, "http://[::1]:8080": true, "http://localhost": true, "https://haechi.example.com": true, "http://haechi.example.com": false, "http://10.0.0.1:8080": false, "http://127.0.0.1.example.com": false} {
		if got := (&remote.Client{Endpoint: endpoint}).Private(); got != want {
			t.Errorf("%s: %v", endpoint, got)
		}
	}
}

func FuzzSharedFile(f *testing.F) {
	f.Add("[default]\naws_access_key_id = A\naws_secret_access_key = b\n")
	f.Add("[profile default\n=\n]")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "credentials")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := remote.Find(environment(map[string]string{"AWS_SHARED_CREDENTIALS_FILE": file}), "http://local", "")
		if err == nil && (c.Key == "" || c.Secret == "") {
			t.Errorf("half a credential in %q", text)
		}
	})
}
