package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/rogpeppe/go-internal/testscript"
)

// localForge is a forge on this machine: git's own HTTP server over a folder of bare repositories, which wants a
// token, and an API that takes commit statuses as GitHub's and Gitea's documentation say, and lists them.
type localForge struct {
	*httptest.Server
	mu       sync.Mutex
	statuses bytes.Buffer
}

const localForgeToken = "of-the-" + "forge-1"

func newLocalForge(folder string) (*localForge, error) {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return nil, err
	}
	f := &localForge{}
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + folder, "GIT_HTTP_EXPORT_ALL=1"}, InheritEnv: []string{"PATH"}, Stderr: io.Discard}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch _, password, _ := r.BasicAuth(); {
		case r.URL.Path == "/statuses":
			_, _ = w.Write(f.statuses.Bytes()) // a client that is gone is the test's to notice
		case strings.HasPrefix(r.URL.Path, "/api/"):
			var in map[string]string
			if json.UnmarshalRead(r.Body, &in) != nil || !strings.HasSuffix(r.Header.Get("Authorization"), localForgeToken) {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			fmt.Fprintf(&f.statuses, "%s %s %s %s\n", r.URL.Path, in["context"], in["state"], in["target_url"])
			w.WriteHeader(http.StatusCreated)
		case password != localForgeToken:
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
		default:
			backend.ServeHTTP(w, r)
		}
	}))
	return f, nil
}

// startForge makes $FORGE the address of a forge over a folder, whose token $FORGE_TOKEN is.
func startForge(ts *testscript.TestScript, _ bool, args []string) {
	f, err := newLocalForge(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(f.Close)
	ts.Setenv("FORGE", f.URL)
	ts.Setenv("FORGE_TOKEN", localForgeToken)
}

// deliver posts a delivery of GitHub: deliver REPOSITORY EVENT ID FILE, signed with what lies in the file secret. What is
// answered goes to standard output; the body's words COMMIT and PULL stand for what the files of these names hold.
func deliver(ts *testscript.TestScript, neg bool, args []string) {
	body := ts.ReadFile(args[3])
	for _, name := range []string{"COMMIT", "PULL"} {
		if text, err := os.ReadFile(ts.MkAbs(name)); err == nil {
			body = strings.ReplaceAll(body, name, strings.TrimSpace(string(text)))
		}
	}
	m := hmac.New(sha256.New, []byte(strings.TrimSpace(ts.ReadFile("secret"))))
	m.Write([]byte(body))
	r, err := http.NewRequest("POST", ts.Getenv("HAECHI_ENDPOINT")+"/hooks/forge/"+args[0], strings.NewReader(body))
	ts.Check(err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-GitHub-Event", args[1])
	r.Header.Set("X-GitHub-Delivery", args[2])
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(m.Sum(nil)))
	response, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d %s", response.StatusCode, text)
	if (response.StatusCode >= 300) != neg {
		ts.Fatalf("answered %d %s", response.StatusCode, text)
	}
}
