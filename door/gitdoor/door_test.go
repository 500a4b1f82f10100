package gitdoor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/base/program"
	"github.com/haechi-dev/haechi/door/gitdoor"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("HAECHI_TEST_DOOR"); dir != "" {
		serveUntilKilled(dir)
	}
	dbtest.Main(m)
}

// people are a fake access: names are passwords, and what each may do is said here.
type people map[string]string

func (p people) Password(_ context.Context, user, password string) (gitdoor.Caller, error) {
	if _, ok := p[user]; !ok || password != user {
		return gitdoor.Caller{}, fault.Unauthenticated.Errorf("user or password is wrong")
	}
	return gitdoor.Caller{ARN: "arn:aws:iam::111122223333:user/" + user, Session: user}, nil
}

func (p people) Signed(_ context.Context, s gitdoor.Signature) (gitdoor.Caller, error) {
	if s.AccessKey != keyID || !s.Verify(keySecret, []string{"us-east-1", "eu-west-1"}) {
		return gitdoor.Caller{}, fault.Unauthenticated.Errorf("the signature is wrong")
	}
	return gitdoor.Caller{ARN: "arn:aws:iam::111122223333:user/key", Session: "ada"}, nil
}

func (p people) Allow(_ context.Context, c gitdoor.Caller, action, _, ref string) error {
	if c.Session == "bob" && ref == "refs/heads/release" {
		return fault.Denied.Errorf("bob may not push to %s", ref)
	}
	if !regexp.MustCompile(p[c.Session.(string)]).MatchString(action) {
		return fault.Denied.Errorf("%v may not %s", c.Session, action)
	}
	return nil
}

// tokens finds what looks like tok_ and eight digits.
type tokens struct{}

var token = regexp.MustCompile(`tok_[0-9]{8}`)

func (tokens) Check(_ context.Context, _, path string, content []byte) (all []finding.Finding) {
	for i, line := range strings.Split(string(content), "\n") {
		for _, m := range token.FindAllString(line, -1) {
			fields := finding.At(diag.Place{File: path, Line: i + 1})
			fields[finding.FieldExcerpt] = m[:6] + "******"
			fields[finding.FieldFingerprint] = finding.Fingerprint("test/token", path, m)
			all = append(all, finding.Finding{
				GeneratorID: "test/token", Title: "A token of the test service", Severity: &finding.Severity{Label: finding.Critical}, ProductFields: fields,
				Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: "Revoke it at test.example."}},
			})
		}
	}
	return all
}

// secretText is a token, assembled so that nobody takes this file for a leak.
func secretText(n int) string { return "tok" + "_" + fmt.Sprintf("%08d", n) }

// house is a door with a server, and a clone of what lies behind.
type house struct {
	t      testing.TB
	source *source.Source
	db     *db.DB
	url    string // of the server, with ada's name
	clone  *gittest.Clone
	repos  string

	mu   sync.Mutex
	kept []finding.Finding
}

func build(t testing.TB, dir string, change func(*gitdoor.Config)) (*house, *gitdoor.Door) {
	d, err := db.Open(context.Background(), "sqlite:"+filepath.Join(dir, "state.db"), source.Schema(), bus.Schema())
	if err != nil {
		panic(err)
	}
	h := &house{t: t, db: d, repos: filepath.Join(dir, "repos")}
	h.source = source.New(source.Config{DB: d, Bus: bus.New(d), Dir: h.repos, Account: "111122223333", Region: "eu-west-1"})
	if err := h.source.Repair(context.Background()); err != nil {
		panic(err)
	}
	c := gitdoor.Config{
		Source: h.source, Secrets: tokens{}, Maker: finding.Maker{Account: "111122223333", Region: "eu-west-1"}, Hooks: filepath.Join(dir, "hooks"), CreateOnPush: true, Log: slog.New(slog.DiscardHandler),
		Access: people{"ada": ".", "bob": "Git(Pull|Push)|Create", "eve": "GitPull", "mal": "nothing"},
		Keep: func(_ context.Context, _ finding.Scan, f ...finding.Finding) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.kept = append(h.kept, f...)
			return nil
		},
	}
	if change != nil {
		change(&c)
	}
	door, err := gitdoor.New(c)
	if err != nil {
		panic(err)
	}
	return h, door
}

func open(t testing.TB, change func(*gitdoor.Config)) *house {
	t.Helper()
	h, door := build(t, t.TempDir(), change)
	t.Cleanup(func() { h.db.Close() })
	server := httptest.NewServer(door)
	t.Cleanup(server.Close)
	h.url = strings.Replace(server.URL, "//", "//ada:ada@", 1)
	h.clone = gittest.New(t)
	h.clone.Git("remote", "add", "origin", h.at("shop"))
	return h
}

func (h *house) at(repository string) string { return h.url + "/git/" + repository }

func (h *house) as(user string) string {
	return strings.Replace(h.at("shop"), "ada:ada@", user+":"+user+"@", 1)
}

// ref is where the server has a branch, "" if it has not.
func (h *house) ref(branch string) string {
	h.t.Helper()
	id, err := h.source.Ref(h.t.Context(), "shop", "refs/heads/"+branch)
	if err != nil && !errors.Is(err, fault.NotFound) {
		h.t.Fatal(err)
	}
	repo, err := h.source.Git("shop")
	if err != nil {
		return id
	}
	actual, _ := repo.Resolve(h.t.Context(), "refs/heads/"+branch)
	if actual != id {
		h.t.Errorf("git has %s at %q, the log has %q", branch, actual, id)
	}
	return id
}

// refused pushes what must not be taken, and gives what git showed.
func (h *house) refused(args ...string) string {
	h.t.Helper()
	out, err := h.clone.Try(append([]string{"push"}, args...)...)
	if err == nil {
		h.t.Fatalf("push %v was taken:\n%s", args, out)
	}
	return out
}

func wants(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in:\n%s", p, text)
		}
	}
}

// What was pushed can be cloned, whole and shallow, fetched, and asked for in protocol 0 and 2.
func TestPushAndClone(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("one", map[string]string{"a.txt": "one\n", "big.bin": strings.Repeat("0123456789abcdef\n", 200_000)})
	h.clone.Commit("two", map[string]string{"a.txt": "two\n"})
	h.clone.Git("tag", "-m", "first", "v1")
	h.clone.Git("push", "-q", "origin", "main", "v1")
	head := h.clone.Git("rev-parse", "HEAD")
	if got := h.ref("main"); got != head {
		t.Fatalf("main is at %s, want %s", got, head)
	}
	for _, version := range []string{"0", "1", "2"} {
		dir := filepath.Join(t.TempDir(), "c")
		h.clone.Git("-c", "protocol.version="+version, "clone", "-q", h.at("shop.git"), dir)
		if got := gittest.Of(t, dir).Git("rev-parse", "HEAD", "v1^{}"); got != head+"\n"+head {
			t.Errorf("protocol %s: clone is at %s, want %s twice", version, got, head)
		}
	}
	shallow := filepath.Join(t.TempDir(), "s")
	h.clone.Git("clone", "-q", "--depth", "1", h.at("shop"), shallow)
	s := gittest.Of(t, shallow)
	if got := s.Git("rev-list", "--count", "HEAD"); got != "1" {
		t.Errorf("a shallow clone has %s commits", got)
	}
	s.Git("fetch", "-q", "--unshallow")
	if got := s.Git("rev-list", "--count", "HEAD"); got != "2" {
		t.Errorf("unshallowed it has %s commits", got)
	}
	partial := filepath.Join(t.TempDir(), "p")
	h.clone.Git("clone", "-q", "--filter=blob:none", "--no-checkout", h.at("shop"), partial)

	third := h.clone.Commit("three", map[string]string{"a.txt": "three\n"})
	h.clone.Git("push", "-q", "origin", "main")
	s.Git("pull", "-q")
	if got := s.Git("rev-parse", "HEAD"); got != third {
		t.Errorf("pulled %s, want %s", got, third)
	}
	out, err := s.Try("push", "origin", "HEAD:from-a-shallow-clone")
	if err != nil {
		t.Errorf("pushing from it: %v\n%s", err, out)
	}
	moves, err := h.source.Moves(t.Context(), "shop", "", 0, 10)
	if err != nil || len(moves) != 4 || moves[0].Who != "arn:aws:iam::111122223333:user/ada" {
		t.Errorf("moves %+v, %v", moves, err)
	}
}

// A request that is packed with gzip is unpacked: git does so when it has much to say.
func TestGzip(t *testing.T) {
	h := open(t, nil)
	for i := range 40 {
		h.clone.Commit(fmt.Sprint(i), map[string]string{"a": fmt.Sprint(i)})
		h.clone.Git("tag", fmt.Sprint("t", i))
	}
	h.clone.Git("push", "-q", "--tags", "origin", "main")
	other := gittest.New(t)
	for i := range 50 {
		other.Git("commit", "-q", "--allow-empty", "-m", fmt.Sprint("other ", i))
	}
	out, err := other.Try("-c", "protocol.version=2", "fetch", "-v", h.at("shop"), "main")
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// What a refusal says to do works for the very first commit, too, which has none before it to start from.
func TestSecretInTheFirstCommit(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("one", map[string]string{"prod.env": "TOKEN=" + secretText(7) + "\n"})
	h.clone.Commit("two", map[string]string{"a": "1"})
	wants(t, h.refused("origin", "main"), "git rebase -i --root   (mark")
}

// A secret in a commit that a later one of the same push mends is found, named, and kept out.
func TestSecretInTheMiddle(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("one", map[string]string{"a": "1"})
	h.clone.Git("push", "-q", "origin", "main")
	before := h.ref("main")
	guilty := h.clone.Commit("add config", map[string]string{"config/prod.env": "A=1\nTOKEN=" + secretText(7) + "\n"})
	h.clone.Commit("remove it", map[string]string{"config/prod.env": ""})

	out := h.refused("origin", "main")
	wants(t, out, "remote: Haechi refuses this push: it brings 1 secret.", "CRITICAL  A token of the test service (test/token)",
		"config/prod.env:2", guilty, "tok_00******", "Revoke it at test.example.", "git rebase -i "+guilty[:10]+"~", "git push -o haechi.allow=", "pre-receive hook declined")
	if strings.Contains(out, secretText(7)) {
		t.Errorf("the secret itself is shown:\n%s", out)
	}
	if got := h.ref("main"); got != before {
		t.Errorf("main moved to %s", got)
	}
	repo, _ := h.source.Git("shop")
	if _, err := repo.Commit(t.Context(), guilty); !errors.Is(err, fault.NotFound) {
		t.Errorf("the refused commit is in the store: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(repo.Dir(), "objects", "*incoming*")); len(left) > 0 {
		t.Errorf("the quarantine is left behind: %v", left)
	}
}

// Secrets are found where there is no file too: in messages, behind tags, and in names that are odd.
func TestSecretsInOddPlaces(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("one", map[string]string{"a": "1"})
	h.clone.Git("push", "-q", "origin", "main")
	h.clone.Commit("say "+secretText(1), map[string]string{"b": "1"})
	wants(t, h.refused("origin", "main"), "the message of commit")
	h.clone.Git("reset", "-q", "--hard", "HEAD~")

	h.clone.Git("tag", "-a", "-m", "say "+secretText(2), "loud")
	wants(t, h.refused("origin", "loud"), "the message of tag")

	if err := os.WriteFile(filepath.Join(h.clone.Dir, "x"), []byte(secretText(3)), 0o600); err != nil {
		t.Fatal(err)
	}
	h.clone.Git("tag", "behind", h.clone.Git("hash-object", "-w", "x"))
	wants(t, h.refused("origin", "behind"), "an object without a name")

	h.clone.Commit("odd", map[string]string{"a\n\x1b[31mremote: accepted": secretText(4)})
	if out := h.refused("origin", "main"); strings.Contains(out, "\x1b[31m") {
		t.Errorf("a name steers the terminal: %q", out)
	}
}

// Who may override push protection does so with a reason, and leaves a finding with owner and expiry.
func TestOverride(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("one", map[string]string{"a.env": secretText(5) + "\n"})
	out := h.refused("origin", "main")
	id := regexp.MustCompile(`haechi\.allow=([0-9a-f]+)`).FindStringSubmatch(out)
	if id == nil {
		t.Fatalf("no finding is named:\n%s", out)
	}
	allow := "haechi.allow=" + id[1]
	wants(t, h.refused("-o", allow, "origin", "main"), "needs a reason")
	wants(t, h.refused("-o", allow, "-o", "reason=test data", h.as("bob"), "main"), "bob may not haechi:OverridePushProtection")
	wants(t, h.refused("-o", "haechi.allow=0123456789ab", "-o", "reason=x", "origin", "main"), "it brings 1 secret")
	wants(t, h.refused("-o", "haechi.allow="+id[1][:4], "-o", "reason=x", "origin", "main"), "it brings 1 secret")
	if len(h.kept) != 0 {
		t.Fatalf("findings of refused pushes: %v", h.kept)
	}
	out = h.clone.Git("push", "-o", allow, "-o", "reason=test data", "origin", "main")
	wants(t, out, "remote: Haechi lets 1 finding(s) in", "test data")
	if len(h.kept) != 1 {
		t.Fatalf("%d findings are kept", len(h.kept))
	}
	f := h.kept[0]
	expires, err := time.Parse(time.RFC3339, f.ProductFields[gitdoor.FieldExpires])
	if err != nil || time.Until(expires) < 29*24*time.Hour || f.ProductFields[gitdoor.FieldOwner] != "arn:aws:iam::111122223333:user/ada" ||
		f.ProductFields[gitdoor.FieldReason] != "test data" || f.Place().File != "a.env" || f.ID == "" {
		t.Errorf("finding %s", f.JSON())
	}
	if h.ref("main") == "" {
		t.Error("main is not there")
	}
}

// Several secrets are overridden at once, by the very words that the refusal says.
func TestOverrideOfMany(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("one", map[string]string{"a.env": secretText(1) + "\n", "b.env": secretText(2) + "\n"})
	out := h.refused("origin", "main")
	wants(t, out, "it brings 2 secrets", "a.env:1", "b.env:1")
	allow := regexp.MustCompile(`haechi\.allow=[0-9a-f,]+`).FindString(out)
	h.clone.Git("push", "-q", "-o", allow, "-o", "reason=test data", "origin", "main")
	if len(h.kept) != 2 {
		t.Errorf("%d findings are kept", len(h.kept))
	}
}

// Names and reasons that are no text make findings that are.
func TestOverrideOfOddBytes(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("one", map[string]string{"a\xff.env": secretText(1) + "\n"})
	allow := regexp.MustCompile(`haechi\.allow=[0-9a-f,]+`).FindString(h.refused("origin", "main"))
	h.clone.Git("push", "-q", "-o", allow, "-o", "reason=\xfe"+strings.Repeat("한", 500), "origin", "main")
	if len(h.kept) != 1 {
		t.Fatalf("%d findings are kept", len(h.kept))
	}
	if _, err := finding.Parse(h.kept[0].JSON()); err != nil {
		t.Error(err)
	}
}

// An override that cannot be kept lets nothing in.
func TestOverrideMustBeKept(t *testing.T) {
	h := open(t, func(c *gitdoor.Config) {
		c.Keep = func(context.Context, finding.Scan, ...finding.Finding) error { return errors.New("disk full") }
	})
	h.clone.Commit("one", map[string]string{"a.env": secretText(5) + "\n"})
	id := regexp.MustCompile(`haechi\.allow=[0-9a-f]+`).FindString(h.refused("origin", "main"))
	wants(t, h.refused("-o", id, "-o", "reason=x", "origin", "main"), "cannot check this push now")
	if got := h.ref("main"); got != "" {
		t.Errorf("main is at %s", got)
	}
}

// The default branch's history only grows.
func TestProtectedBranch(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("one", map[string]string{"a": "1"})
	h.clone.Git("push", "-q", "origin", "main", "main:side")
	before := h.ref("main")
	h.clone.Git("commit", "-q", "--amend", "-m", "other")
	wants(t, h.refused("--force", "origin", "main"), "branch main is protected: its history only grows")
	wants(t, h.refused("origin", ":main"), "branch main is protected: it cannot be deleted")
	wants(t, h.refused("origin", "HEAD:refs/haechi/x"), "is not to be pushed to")
	if got := h.ref("main"); got != before {
		t.Errorf("main moved to %s", got)
	}
	h.clone.Git("push", "-q", "--force", "origin", "main:side")
	h.clone.Git("push", "-q", "origin", ":side")
	if got := h.ref("side"); got != "" {
		t.Errorf("side is at %s", got)
	}
}

// Pushes at once: to other branches all are taken, of those to one branch exactly one.
func TestConcurrentPushes(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("one", map[string]string{"a": "1"})
	h.clone.Git("push", "-q", "origin", "main")
	const n = 6
	clones := make([]*gittest.Clone, n)
	for i := range clones {
		dir := filepath.Join(t.TempDir(), "c")
		h.clone.Git("clone", "-q", h.at("shop"), dir)
		clones[i] = gittest.Of(t, dir)
		clones[i].Commit(fmt.Sprint("change ", i), map[string]string{fmt.Sprint("f", i): "x"})
	}
	var wait sync.WaitGroup
	taken := make([]bool, n)
	for i, c := range clones {
		wait.Go(func() {
			if out, err := c.Try("push", "origin", fmt.Sprintf("HEAD:refs/heads/b%d", i)); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			_, err := c.Try("push", "origin", "HEAD:main")
			taken[i] = err == nil
		})
	}
	wait.Wait()
	count := 0
	for i := range n {
		h.ref(fmt.Sprint("b", i))
		if taken[i] {
			count++
			if got := clones[i].Git("rev-parse", "HEAD"); got != h.ref("main") {
				t.Errorf("main is at %s, want %s", h.ref("main"), got)
			}
		}
	}
	if count != 1 {
		t.Errorf("%d pushes to main were taken, want 1", count)
	}
}

// Nobody passes without saying who, and who may not is told so.
func TestWhoMayPass(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("one", map[string]string{"a": "1"})
	wants(t, h.refused(h.as("eve"), "main"), "eve may not codecommit:GitPush")
	if _, err := h.source.Repository(t.Context(), "shop"); !errors.Is(err, fault.NotFound) {
		t.Errorf("a refused push made the repository: %v", err)
	}
	h.clone.Git("push", "-q", "origin", "main")
	for user, want := range map[string]string{"mal": "mal may not codecommit:GitPull", "nobody": "Authentication failed"} {
		out, err := h.clone.Try("ls-remote", h.as(user))
		if err == nil {
			t.Errorf("%s may look", user)
		}
		wants(t, out, want)
	}
	// Policies can tell refs apart: what one of them forbids refuses the whole push.
	wants(t, h.refused(h.as("bob"), "main:side", "main:release"), "bob may not push to refs/heads/release")
	if got := h.ref("side"); got != "" {
		t.Errorf("side is at %s", got)
	}
	h.clone.Git("push", "-q", h.as("bob"), "main:side")
	if out, err := h.clone.Try("ls-remote", h.as("eve")); err != nil {
		t.Errorf("eve may look: %v\n%s", err, out)
	}
}

// A repository that is not there is made by a push only where that is so configured.
func TestCreateOnPush(t *testing.T) {
	h := open(t, func(c *gitdoor.Config) { c.CreateOnPush = false })
	h.clone.Commit("one", map[string]string{"a": "1"})
	wants(t, h.refused("origin", "main"), "there is no repository")
}

// Addresses that are no repository's, and requests that are not git's, lead nowhere.
func TestOddAddresses(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("one", map[string]string{"a": "1"})
	h.clone.Git("push", "-q", "origin", "main")
	for _, c := range []struct {
		method, path string
		header       map[string]string
		status       int
	}{
		{"GET", "/git/../state.db", nil, 404},
		{"GET", "/git/%2e%2e/info/refs?service=git-upload-pack", nil, 404},
		{"GET", "/git/..%2f..%2fetc/info/refs?service=git-upload-pack", nil, 404},
		{"GET", "/git/shop%00/info/refs?service=git-upload-pack", nil, 404},
		{"GET", "/git/shop/../shop/info/refs?service=git-upload-pack", nil, 404},
		{"GET", "/git/shop/objects/info/packs", nil, 404},
		{"GET", "/git/shop/HEAD", nil, 404},
		{"GET", "/git/shop/config", nil, 404},
		{"GET", "/git/shop/info/refs", nil, 403},
		{"GET", "/git/shop/info/refs?service=git-upload-archive", nil, 403},
		{"GET", "/git/nothing/info/refs?service=git-upload-pack", nil, 404},
		{"GET", "/git/shop/git-upload-pack", nil, 404},
		{"POST", "/git/shop/git-upload-pack", nil, 400},
		{"POST", "/git/shop/git-receive-pack", map[string]string{"Content-Type": "text/plain"}, 400},
		{"POST", "/git/shop/git-receive-pack", map[string]string{"Content-Type": "application/x-git-receive-pack-request", "Content-Encoding": "br"}, 400},
		{"POST", "/git/shop/git-receive-pack", map[string]string{"Content-Type": "application/x-git-receive-pack-request", "Content-Encoding": "gzip"}, 400},
		{"GET", "/git/shop/info/refs?service=git-receive-pack", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"GET", "/git/shop/info/refs?service=git-upload-pack", map[string]string{"Git-Protocol": "version=2\x7f;rm"}, 400},
		{"GET", "/git/shop/info/refs?service=git-upload-pack", map[string]string{"Git-Protocol": "version=2$(touch x)"}, 200},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://ada:ada@"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%s %s HTTP/1.0\r\nHost: x\r\nAuthorization: Basic YWRhOmFkYQ==\r\n", c.method, c.path)
		for k, v := range c.header {
			fmt.Fprintf(conn, "%s: %s\r\n", k, v)
		}
		fmt.Fprintf(conn, "\r\n")
		answer := make([]byte, 200)
		n, _ := conn.Read(answer)
		conn.Close()
		if got := string(answer[:n]); len(got) < 12 || got[9:12] != strconv.Itoa(c.status) {
			t.Errorf("%s %s %v: %.60q, want %d", c.method, c.path, c.header, got, c.status)
		}
	}
}

// Refs with hostile names refuse the whole push, and hide nothing that comes with them.
func TestHostileRefs(t *testing.T) {
	h := open(t, nil)
	one := h.clone.Commit("one", map[string]string{"a": "1"})
	h.clone.Git("push", "-q", "origin", "main")
	two := h.clone.Commit("two", map[string]string{"a": "2"})
	h.clone.Git("push", "-q", "origin", "main")
	zero := strings.Repeat("0", 40)
	for name, commands := range map[string][]string{
		"line within":       {zero + " " + one + " refs/heads/x\nend", two + " " + one + " refs/heads/main"},
		"command within":    {zero + " " + one + " refs/heads/x\n" + zero + " " + one + " refs/heads/y"},
		"path":              {zero + " " + one + " refs/heads/../../config"},
		"no text":           {zero + " " + one + " refs/heads/\xff"},
		"absolute":          {zero + " " + one + " /etc/passwd"},
		"option":            {zero + " " + one + " --exec=x"},
		"shell":             {zero + " " + one + " refs/heads/$(touch x)\n"},
		"HEAD":              {two + " " + one + " HEAD"},
		"twice":             {two + " " + one + " refs/heads/x", two + " " + one + " refs/heads/x"},
		"unknown object":    {zero + " " + strings.Repeat("7", 40) + " refs/heads/x"},
		"short object name": {zero + " 1234 refs/heads/x"},
	} {
		t.Run(name, func(t *testing.T) {
			var body strings.Builder
			for i, c := range commands {
				if i == 0 {
					c += "\x00report-status"
				}
				fmt.Fprintf(&body, "%04x%s", len(c)+4, c)
			}
			body.WriteString("0000")
			r, _ := http.NewRequest("POST", h.at("shop")+"/git-receive-pack", strings.NewReader(body.String()+emptyPack))
			r.Header.Set("Content-Type", "application/x-git-receive-pack-request")
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if got := h.ref("main"); got != two {
				t.Errorf("main is at %s", got)
			}
			for _, ref := range []string{"x", "y", "x\nend"} {
				if id, err := h.source.Ref(t.Context(), "shop", "refs/heads/"+ref); err == nil {
					t.Errorf("%s is at %s", ref, id)
				}
			}
		})
	}
	repo, _ := h.source.Git("shop")
	if refs, err := repo.Refs(t.Context(), ""); err != nil || len(refs) != 1 {
		t.Errorf("refs %v, %v", refs, err)
	}
}

// emptyPack is a pack without objects.
const emptyPack = "PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e"

// What is too large is refused in words, and is not kept.
func TestLimits(t *testing.T) {
	h := open(t, func(c *gitdoor.Config) { c.MaxPush, c.MaxFile = 1<<20, 100_000 })
	h.clone.Commit("one", map[string]string{"large.txt": strings.Repeat("large", 30_000)})
	wants(t, h.refused("origin", "main"), "large.txt has 150000 bytes, a file may have 100000")
	noise := make([]byte, 0, 3<<20)
	for i := uint32(1); len(noise) < 3<<20; i = i*1664525 + 1013904223 {
		noise = append(noise, byte(i>>24), byte(i>>16))
	}
	h.clone.Commit("two", map[string]string{"noise": string(noise)})
	wants(t, h.refused("origin", "main"), "exceeds maximum allowed size")
	if got := h.ref("main"); got != "" {
		t.Errorf("main is at %s", got)
	}
}

// Objects that git's own check finds wrong are refused: here a folder named .git.
func TestFsck(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("one", map[string]string{"a": "1"})
	h.clone.Git("push", "-q", "origin", "main")
	blob := h.clone.Git("rev-parse", "HEAD:a")
	tree := h.clone.Git("-c", `alias.t=!printf '100644 blob `+blob+`\tx\n' | git mktree`, "t")
	evil := h.clone.Git("-c", `alias.t=!printf '040000 tree `+tree+`\t.git\n' | git mktree`, "t")
	commit := h.clone.Git("commit-tree", "-m", "evil", "-p", "HEAD", evil)
	wants(t, h.refused("origin", commit+":refs/heads/evil"), "hasDotgit")
}

// What a tree is full of is nothing of the repository's own, and the few objects that stand for
// ten thousand million files cost the one who asks for them: the push is looked at and is over.
func TestHostileTrees(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("names", map[string]string{
		"HEAD": "ref: refs/heads/evil\n", "config": "[core]\n\tfsmonitor = touch /tmp/x\n", "hooks/pre-receive": "#!/bin/sh\nexit 0\n",
		"objects/info/alternates": "/etc\n", "refs/heads/main": strings.Repeat("0", 40) + "\n", "-rf": "x\n", "a b\n": "x\n",
	})
	h.clone.Git("push", "-q", "origin", "main")
	repo, err := h.source.Git("shop")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"objects/info/alternates", "hooks"} {
		if _, err := os.Lstat(filepath.Join(repo.Dir(), name)); err == nil {
			t.Errorf("the repository has %s", name)
		}
	}
	for _, path := range []string{"/objects/info/alternates", "/HEAD", "/config", "/hooks/pre-receive", "/objects/info/http-alternates"} {
		response, err := http.Get(h.at("shop") + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
	// A bomb: ten folders in each of ten folders, ten levels deep, of eleven objects.
	mode, id := "100644 blob", h.clone.Git("rev-parse", "HEAD:config")
	for range 10 {
		var tree strings.Builder
		for i := range 10 {
			fmt.Fprintf(&tree, "%s %s\td%d\n", mode, id, i)
		}
		cmd := exec.Command("git", "mktree")
		cmd.Dir, cmd.Stdin = h.clone.Dir, strings.NewReader(tree.String())
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		mode, id = "040000 tree", strings.TrimSpace(string(out))
	}
	commit := h.clone.Git("commit-tree", "-m", "bomb", id)
	began := time.Now()
	out, err := h.clone.Try("push", "origin", commit+":refs/heads/bomb")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v: %v %s", took, err, out)
	}
}

// No hook but ours runs, whatever lies in the repository or its configuration.
func TestNoOtherHooks(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("one", map[string]string{"a": "1"})
	h.clone.Git("push", "-q", "origin", "main")
	repo, _ := h.source.Git("shop")
	mark := filepath.Join(t.TempDir(), "ran")
	for _, hook := range []string{"pre-receive", "update", "post-receive", "post-update", "reference-transaction", "proc-receive"} {
		path := filepath.Join(repo.Dir(), "hooks", hook)
		_ = os.MkdirAll(filepath.Dir(path), 0o755)
		if err := program.Write(path, []byte("#!/bin/sh\ntouch "+mark+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.clone.Commit("two", map[string]string{"a": "2"})
	h.clone.Git("push", "-q", "origin", "main")
	h.clone.Git("fetch", "-q", "origin")
	if _, err := os.Stat(mark); err == nil {
		t.Error("a hook of the repository ran")
	}
}
