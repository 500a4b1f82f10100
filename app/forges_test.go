package app_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/room/mirror"
)

// GitHub's, GitLab's and Gitea's deliveries, in their documented shapes, start runs of what was pushed there and of pull
// requests, and what comes of these stands on the forge.
func TestForges(t *testing.T) {
	const token, secret = "of-the-" + "forge-2", "a secret of thirty-two characters"
	exe, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Skip("no git here")
	}
	for kind, ref := range map[mirror.Kind]string{mirror.GitHub: "refs/pull/7/head", mirror.GitLab: "refs/merge-requests/7/head", mirror.Gitea: "refs/pull/7/head"} {
		t.Run(string(kind), func(t *testing.T) {
			root, c := t.TempDir(), gittest.New(t)
			bare := filepath.Join(root, "acme", "shop.git")
			c.Git("init", "-q", "--bare", "-b", "main", bare)
			main := c.Commit("first", map[string]string{"README.md": "a shop\n"})
			c.Git("push", "-q", bare, "HEAD:main")
			head := c.Commit("a cart", map[string]string{"cart.md": "a cart\n"})
			c.Git("push", "-q", bare, "HEAD:"+ref)
			backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(exe)), "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"}, InheritEnv: []string{"PATH"}, Stderr: io.Discard}
			var mu sync.Mutex
			var told []string
			forge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.URL.Path, "/api/") {
					backend.ServeHTTP(w, r)
					return
				}
				text, _ := io.ReadAll(r.Body) // a torn one is no status
				mu.Lock()
				told = append(told, r.URL.Path+" "+string(text))
				mu.Unlock()
				w.WriteHeader(http.StatusCreated)
			}))
			defer forge.Close()
			h := build(t, func(c *app.Config) { c.Outbound.Allow = []string{"127.0.0.0/8"} })
			key, hook := seal.Secret(token), seal.Secret(secret)
			_, _, err := h.Mirror.Put(t.Context(), mirror.Connection{Repository: "shop", Kind: kind, Clone: forge.URL + "/acme/shop.git"}, &key, &hook)
			must(t, err)
			for _, name := range map[mirror.Kind][]string{mirror.GitHub: {"github_push", "github_pull_opened"}, mirror.GitLab: {"gitlab_push", "gitlab_merge_open"}, mirror.Gitea: {"gitea_push", "gitea_pull_opened"}}[kind] {
				archive, err := txtar.ParseFile(filepath.Join("..", "door", "forge", "testdata", name+".txtar"))
				must(t, err)
				after := main
				if strings.Contains(name, "pull") || strings.Contains(name, "merge") {
					after = head
				}
				body := strings.ReplaceAll(strings.TrimSpace(string(archive.Files[1].Data)), strings.Repeat("2", 40), after)
				r := request(t, http.MethodPost, h.url+"/hooks/forge/shop", body)
				for line := range strings.Lines(string(archive.Files[0].Data)) {
					key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
					r.Header.Set(key, value)
				}
				m := hmac.New(sha256.New, []byte(secret))
				m.Write([]byte(body))
				sum := hex.EncodeToString(m.Sum(nil))
				r.Header.Set(map[mirror.Kind]string{mirror.GitHub: "X-Hub-Signature-256", mirror.GitLab: "X-Gitlab-Token", mirror.Gitea: "X-Gitea-Signature"}[kind],
					map[mirror.Kind]string{mirror.GitHub: "sha256=" + sum, mirror.GitLab: secret, mirror.Gitea: sum}[kind])
				if status, _, text := do(t, r); status != http.StatusAccepted {
					t.Fatalf("%s: %d %s", name, status, text)
				}
			}
			for branch, commit := range map[string]string{"main": main, "pr/7": head} {
				if e := h.ended(t, "shop", branch); e.Commit != commit || e.Protected != (branch == "main") {
					t.Errorf("%s: ran %s, protected %v", branch, e.Commit, e.Protected)
				}
			}
			said := func(commit string) bool {
				mu.Lock()
				defer mu.Unlock()
				for _, one := range told {
					if strings.Contains(one, "/statuses/"+commit+" ") && strings.Contains(one, `"state":"success"`) && strings.Contains(one, "/runs/") {
						return true
					}
				}
				return false
			}
			for end := time.Now().Add(30 * time.Second); !said(main) || !said(head); time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("the forge was told %q", told)
				}
			}
		})
	}
}
