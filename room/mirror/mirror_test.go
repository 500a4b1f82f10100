package mirror_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/room/mirror"
	"github.com/haechi-dev/haechi/word/fault"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const token = "tok" + "en-0123456789"

// forge is a forge with one repository, acme/shop: git's own HTTP server, and an API that takes commit statuses as
// GitHub's, GitLab's and Gitea's documentation say.
type forge struct {
	*httptest.Server
	clone *gittest.Clone
	bare  string

	mu       sync.Mutex
	statuses []string
	refuse   func(w http.ResponseWriter) bool
	asked    int
}

func newForge(t *testing.T) *forge {
	t.Helper()
	exe, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	f := &forge{clone: gittest.New(t), bare: filepath.Join(root, "acme", "shop.git")}
	f.clone.Git("init", "-q", "--bare", "-b", "main", f.bare)
	f.clone.Git("remote", "add", "origin", f.bare)
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(exe)), "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"}, InheritEnv: []string{"PATH"}, Stderr: io.Discard}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/") {
			f.mu.Lock()
			f.asked++
			f.mu.Unlock()
			if _, password, _ := r.BasicAuth(); password != token {
				w.Header().Set("WWW-Authenticate", "Basic")
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			backend.ServeHTTP(w, r)
			return
		}
		f.api(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *forge) api(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil && f.refuse(w) {
		return
	}
	auth := r.Header.Get("Authorization") + r.Header.Get("PRIVATE-TOKEN")
	var in map[string]string
	if err := json.UnmarshalRead(r.Body, &in); err != nil || !strings.Contains(auth, token) || r.Method != "POST" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f.statuses = append(f.statuses, fmt.Sprintf("%s %s %s%s %s %s", r.URL.EscapedPath(), in["state"], in["context"], in["name"], in["target_url"], strings.Fields(auth)[0][:5]))
	w.WriteHeader(http.StatusCreated)
	fmt.Fprint(w, `{"id":1}`)
}

func (f *forge) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.statuses)
}

// push commits and pushes to a ref of the forge.
func (f *forge) push(ref, file, text string) string {
	id := f.clone.Commit("change "+file, map[string]string{file: text})
	f.clone.Git("push", "-q", "-f", "origin", "HEAD:"+ref)
	return id
}

// house is a mirror, on a real database, of repositories of a forge.
type house struct {
	*testing.T
	*mirror.Mirror
	source *source.Source
	bus    *bus.Bus
	db     *db.DB
	log    *bytes.Buffer
}

func build(t *testing.T, allow ...string) *house {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), bus.Schema(), work.Schema(), source.Schema(), mirror.Schema())
	if err != nil {
		t.Fatal(err)
	}
	return buildOn(t, d, allow...)
}

func buildOn(t *testing.T, d *db.DB, allow ...string) *house {
	t.Helper()
	h := &house{T: t, db: d, bus: bus.New(d), log: &bytes.Buffer{}}
	logger := slog.New(slog.NewTextHandler(&locked{w: h.log}, nil))
	sealer, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	dialer, err := outbound.New(outbound.Config{Allow: allow})
	if err != nil {
		t.Fatal(err)
	}
	h.source = source.New(source.Config{DB: d, Bus: h.bus, Dir: filepath.Join(t.TempDir(), "repos"), Account: "111122223333", Region: "us-east-1", Log: logger})
	h.Mirror = mirror.New(mirror.Config{
		DB: d, Bus: h.bus, Work: work.New(work.Config{DB: d, Log: logger, Poll: 20 * time.Millisecond}), Source: h.source, Sealer: sealer,
		Dial: dialer.DialContext, HTTP: dialer.Client(time.Minute), Check: dialer.Check, Link: func(path string) string { return "https://haechi.example" + path },
		Account: "111122223333", Region: "us-east-1", Log: logger,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- h.Mirror.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		d.Close()
	})
	return h
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func (h *house) put(c mirror.Connection, key string) seal.Secret {
	h.Helper()
	t := seal.Secret(key)
	_, secret, err := h.Put(h.Context(), c, &t, nil)
	if err != nil {
		h.Fatal(err)
	}
	return secret
}

// connect follows a forge.
func connect(t *testing.T, kind mirror.Kind, change func(*mirror.Connection)) (*house, *forge) {
	t.Helper()
	f := newForge(t)
	f.push("refs/heads/main", "README.md", "a shop")
	h := build(t, "127.0.0.0/8")
	c := mirror.Connection{Repository: "shop", Kind: kind, Clone: f.URL + "/acme/shop.git", API: f.URL + "/api"}
	if change != nil {
		change(&c)
	}
	h.put(c, token)
	h.until("main is there", func() bool { return h.at("refs/heads/main") != "" })
	return h, f
}

// until waits for something that happens in the background.
func (h *house) until(what string, ok func() bool) {
	h.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			all, _ := h.Connections(h.Context())
			h.Fatalf("not yet: %s; %+v\n%s", what, all, h.log)
		}
	}
}

func (h *house) at(ref string) string {
	h.Helper()
	id, err := h.source.Ref(h.Context(), "shop", ref)
	if err != nil && fault.Of(err) != fault.NotFound {
		h.Fatal(err)
	}
	return id
}

func (h *house) take(d mirror.Delivery) {
	h.Helper()
	if fresh, err := h.Take(h.Context(), "shop", d); err != nil || !fresh {
		h.Fatal(fresh, err)
	}
}

// moved are the moves that events told of.
func (h *house) moved() (all []string) {
	h.Helper()
	events, _, err := h.bus.Range(h.Context(), time.Time{}, time.Now().Add(time.Hour), 0, 1000)
	if err != nil {
		h.Fatal(err)
	}
	for _, e := range events {
		var d source.Detail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			h.Fatal(err)
		}
		if e.Type == source.Moved {
			all = append(all, d.Event+" "+d.ReferenceFullName)
		}
	}
	return all
}

// pulls are what events told of pull requests.
func (h *house) pulls() (all []string) {
	h.Helper()
	events, _, err := h.bus.Range(h.Context(), time.Time{}, time.Now().Add(time.Hour), 0, 1000)
	if err != nil {
		h.Fatal(err)
	}
	for _, e := range events {
		var d source.PullDetail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			h.Fatal(err)
		}
		if e.Type == source.PullChanged {
			all = append(all, d.Event+" "+d.SourceCommit)
		}
	}
	return all
}

// A push on the forge moves the branch here, as a push here would, once; what nobody asked for stays there.
func TestPush(t *testing.T) {
	h, f := connect(t, mirror.GitHub, nil)
	f.push("refs/heads/old", "old", "old")
	two := f.push("refs/heads/feature/cart", "cart", "a cart")
	d := mirror.Delivery{ID: "1", Event: "push", Ref: "refs/heads/feature/cart", Commit: two, Default: "main"}
	h.take(d)
	h.until("the branch is there", func() bool { return h.at("refs/heads/feature/cart") == two })
	if fresh, err := h.Take(t.Context(), "shop", d); fresh || err != nil {
		t.Error("taken twice", err)
	}
	if h.at("refs/heads/old") != "" {
		t.Error("a branch came that nobody asked for")
	}
	// It goes when it goes there, and the default branch moves by force.
	f.clone.Git("push", "-q", "origin", ":refs/heads/feature/cart")
	f.clone.Git("checkout", "-q", "--orphan", "other")
	three := f.push("refs/heads/main", "new", "all is new")
	h.take(mirror.Delivery{ID: "2", Event: "push", Ref: "refs/heads/main", Commit: three})
	h.until("main is another", func() bool { return h.at("refs/heads/main") == three && h.at("refs/heads/feature/cart") == "" })
	want := "[referenceCreated refs/heads/main referenceCreated refs/heads/feature/cart referenceDeleted refs/heads/feature/cart referenceUpdated refs/heads/main]"
	if got := fmt.Sprint(h.moved()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	h.until("both are done", func() bool {
		d, err := h.Deliveries(t.Context(), "shop", 10)
		return err == nil && len(d) == 2 && d[0].State == mirror.Done && d[1].State == mirror.Done
	})
	if strings.Contains(h.log.String(), token) {
		t.Error("the token is in the log")
	}
}

// Who pushes to a mirror is told where to push.
func TestPushHere(t *testing.T) {
	h, f := connect(t, mirror.GitHub, nil)
	repo, err := h.source.Git("shop")
	if err != nil {
		t.Fatal(err)
	}
	main := h.at("refs/heads/main")
	err = h.source.Intend(t.Context(), repo, source.Push{ID: "x", Repository: "shop", Updates: []source.Update{{Ref: "refs/heads/new", Old: git.Zero, New: main}}})
	if fault.Of(err) != fault.Denied || !strings.Contains(err.Error(), f.URL) {
		t.Error(err)
	}
	c, err := h.Connection(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // and it can be a mirror again, for as long as nobody has pushed
		if err := h.Remove(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
		h.put(c, token)
	}
	if err := h.Remove(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if err := h.source.Intend(t.Context(), repo, source.Push{ID: "x", Repository: "shop", Updates: []source.Update{{Ref: "refs/heads/new", Old: git.Zero, New: main}}}); err != nil {
		t.Error(err)
	}
	if _, _, err := h.Put(t.Context(), c, nil, nil); fault.Of(err) != fault.Conflict {
		t.Error(err)
	}
}

// A pull request is a branch here, which moves with it, is not protected, and goes when it is closed; what comes late changes nothing.
func TestPull(t *testing.T) {
	for kind, ref := range map[mirror.Kind]string{mirror.GitHub: "refs/pull/7/head", mirror.GitLab: "refs/merge-requests/7/head", mirror.Gitea: "refs/pull/7/head"} {
		t.Run(string(kind), func(t *testing.T) {
			h, f := connect(t, kind, nil)
			now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
			pull := func(id string, open bool, head string, at time.Time) mirror.Delivery {
				return mirror.Delivery{ID: id, Event: "pull_request", Pull: &mirror.Pull{Number: 7, Open: open, Head: head, Source: "cart", Target: "main", Fork: true, Updated: at}}
			}
			one := f.push(ref, "cart", "one")
			h.take(pull("1", true, one, now))
			h.until("the pull request is there", func() bool { return h.at("refs/heads/pr/7") == one })
			two := f.push(ref, "cart", "two")
			h.take(pull("2", true, two, now.Add(2*time.Minute)))
			h.until("it has moved", func() bool { return h.at("refs/heads/pr/7") == two })
			h.take(pull("3", false, two, now.Add(time.Minute)))
			h.take(mirror.Delivery{ID: "4", Event: "push", Ref: "refs/heads/main", Commit: h.at("refs/heads/main")})
			h.until("all is done", func() bool { d, _ := h.Deliveries(t.Context(), "shop", 1); return d[0].State == mirror.Done })
			if h.at("refs/heads/pr/7") != two {
				t.Error("closed by what is older")
			}
			r, err := h.source.Repository(t.Context(), "shop")
			if err != nil || r.DefaultBranch != "main" || r.Protected("refs/heads/pr/7") {
				t.Error(r, err)
			}
			h.take(pull("5", false, two, now.Add(3*time.Minute)))
			h.until("it is closed", func() bool { return h.at("refs/heads/pr/7") == "" })
			want := "[pullRequestCreated " + one + " pullRequestSourceBranchUpdated " + two + " pullRequestStatusChanged " + two + "]"
			h.until("it is told", func() bool { return len(h.pulls()) == 3 })
			if got := fmt.Sprint(h.pulls()); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// A forge that has names which stand in our way, and one that sends what is broken or made to harm, costs itself alone, and says so.
func TestHostileForge(t *testing.T) {
	h, f := connect(t, mirror.GitHub, func(c *mirror.Connection) { c.Branches = []string{"*"} })
	main := h.at("refs/heads/main")
	f.clone.Git("push", "-q", "origin", "HEAD:refs/heads/pr", "HEAD:refs/heads/odd\xff")
	one := f.push("refs/pull/7/head", "cart", "one")
	h.take(mirror.Delivery{ID: "1", Event: "pull_request", Pull: &mirror.Pull{Number: 7, Open: true, Head: one, Target: "main"}})
	h.until("the pull request is there", func() bool { return h.at("refs/heads/pr/7") == one })
	if h.at("refs/heads/pr") != "" {
		t.Error("a branch stands in the way of pull requests")
	}
	// A tree with an entry .git, which would be written over a clone's own.
	blob := f.clone.Git("hash-object", "-w", "README.md")
	raw := "100644 .git\x00"
	for i := 0; i < len(blob); i += 2 {
		var b byte
		fmt.Sscanf(blob[i:i+2], "%02x", &b)
		raw += string([]byte{b})
	}
	file := filepath.Join(t.TempDir(), "tree")
	if err := os.WriteFile(file, []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	tree := f.clone.Git("hash-object", "-w", "-t", "tree", "--literally", file)
	commit := f.clone.Git("commit-tree", "-m", "evil", tree)
	f.clone.Git("push", "-q", "origin", commit+":refs/heads/evil")
	h.take(mirror.Delivery{ID: "2", Event: "push", Ref: "refs/heads/evil", Commit: commit})
	h.until("it is said", func() bool {
		c, err := h.Connection(t.Context(), "shop")
		return err == nil && c.Problem != ""
	})
	if h.at("refs/heads/evil") != "" || h.at("refs/heads/main") != main {
		t.Error("it came")
	}
	f.clone.Git("push", "-q", "origin", ":refs/heads/evil")
	if err := h.Look(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	h.until("it is mended", func() bool {
		c, err := h.Connection(t.Context(), "shop")
		return err == nil && c.Problem == ""
	})
}

// Pull requests from elsewhere, or all, may be left where they are.
func TestWhosePulls(t *testing.T) {
	h, f := connect(t, mirror.GitHub, func(c *mirror.Connection) { c.Pulls = mirror.OwnPulls })
	one := f.push("refs/pull/1/head", "cart", "one")
	f.clone.Git("push", "-q", "origin", "HEAD:refs/pull/2/head")
	h.take(mirror.Delivery{ID: "1", Event: "pull_request", Pull: &mirror.Pull{Number: 1, Open: true, Head: one, Fork: true}})
	h.take(mirror.Delivery{ID: "2", Event: "pull_request", Pull: &mirror.Pull{Number: 2, Open: true, Head: one}})
	h.until("ours is there", func() bool { return h.at("refs/heads/pr/2") == one })
	if h.at("refs/heads/pr/1") != "" {
		t.Error("a stranger's came")
	}
}

// A rule that would protect pull requests stops them, and says so.
func TestProtectedPull(t *testing.T) {
	h, f := connect(t, mirror.GitHub, nil)
	if _, err := h.source.Change(t.Context(), "shop", func(r *source.Repository) error { r.Rules.Protected = []string{"pr/*"}; return nil }); err != nil {
		t.Fatal(err)
	}
	one := f.push("refs/pull/1/head", "cart", "one")
	h.take(mirror.Delivery{ID: "1", Event: "pull_request", Pull: &mirror.Pull{Number: 1, Open: true, Head: one}})
	h.until("it is said", func() bool {
		c, err := h.Connection(t.Context(), "shop")
		return err == nil && strings.Contains(c.Problem, "protect")
	})
	if h.at("refs/heads/pr/1") != "" {
		t.Error("it came")
	}
}

// status says something of a commit, as the keeper of repositories does.
func (h *house) status(commit, context string, state source.Outcome) {
	h.Helper()
	if err := h.db.Write(h.Context(), func(tx *db.Tx) error {
		return h.source.SetStatus(tx, "shop", commit, source.Status{Context: context, State: state, Description: "3 new findings", URL: "/runs/1"})
	}); err != nil {
		h.Fatal(err)
	}
}

// What a check says of a commit is told the forge in its own form, with a link.
func TestStatuses(t *testing.T) {
	const commit = "1111111111111111111111111111111111111111"
	for kind, want := range map[mirror.Kind][2]string{
		mirror.GitHub: {"/api/repos/acme/shop/statuses/" + commit + " pending haechi/shop https://haechi.example/runs/1 Beare", "/api/repos/acme/shop/statuses/" + commit + " failure haechi/shop https://haechi.example/runs/1 Beare"},
		mirror.GitLab: {"/api/projects/acme%2Fshop/statuses/" + commit + " running haechi/shop https://haechi.example/runs/1 token", "/api/projects/acme%2Fshop/statuses/" + commit + " failed haechi/shop https://haechi.example/runs/1 token"},
		mirror.Gitea:  {"/api/repos/acme/shop/statuses/" + commit + " pending haechi/shop https://haechi.example/runs/1 token", "/api/repos/acme/shop/statuses/" + commit + " failure haechi/shop https://haechi.example/runs/1 token"},
	} {
		t.Run(string(kind), func(t *testing.T) {
			h, f := connect(t, kind, nil)
			h.status(commit, "shop", source.Pending)
			h.until("it is told", func() bool { return len(f.told()) == 1 })
			h.status(commit, "shop", source.Failure)
			h.until("it is told", func() bool { return len(f.told()) == 2 })
			if got := f.told(); got[0] != want[0] || got[1] != want[1] {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// A forge that is busy is told later, and one that refuses is not asked again until somebody has mended it; what is newest counts.
func TestStatusesLater(t *testing.T) {
	const commit = "2222222222222222222222222222222222222222"
	h, f := connect(t, mirror.GitHub, nil)
	refused := 0
	f.mu.Lock()
	f.refuse = func(w http.ResponseWriter) bool {
		refused++
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"message":"Bad credentials"}`)
		return true
	}
	f.mu.Unlock()
	h.status(commit, "shop", source.Pending)
	parked := func() bool {
		all, err := h.Statuses(t.Context(), "shop", 10)
		return err == nil && len(all) == 1 && all[0].Sent == mirror.Parked && strings.Contains(all[0].Problem, "Bad credentials")
	}
	h.until("it is parked", parked)
	all, err := h.Connections(t.Context())
	one, errOne := h.Connection(t.Context(), "shop")
	if err != nil || errOne != nil || len(all) != 1 || all[0].Parked != 1 || one.Parked != 1 {
		t.Errorf("parked there: %+v %+v %v %v", all, one, err, errOne)
	}
	h.status(commit, "shop", source.Success)
	h.until("it is parked again", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return refused == 2 })
	h.until("it is parked", parked)
	f.mu.Lock()
	busy := 1
	f.refuse = func(w http.ResponseWriter) bool {
		if busy--; busy < 0 {
			return false
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	f.mu.Unlock()
	if err := h.Look(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	h.until("it waits", func() bool {
		all, _ := h.Statuses(t.Context(), "shop", 1)
		return strings.Contains(all[0].Problem, "left alone")
	})
	if err := h.Look(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	h.status(commit, "shop", source.Success)
	h.until("it is told", func() bool { return len(f.told()) > 0 })
	if got := f.told()[0]; !strings.Contains(got, " success ") {
		t.Error(got)
	}
}

// What a forge refuses while its connection is being mended says nothing any more.
func TestMendedMeanwhile(t *testing.T) {
	h, f := connect(t, mirror.GitHub, nil)
	asked, answer, once := make(chan struct{}), make(chan struct{}), sync.Once{}
	f.mu.Lock()
	f.refuse = func(w http.ResponseWriter) (refused bool) {
		once.Do(func() {
			close(asked)
			<-answer
			w.WriteHeader(http.StatusUnauthorized)
			refused = true
		})
		return refused
	}
	f.mu.Unlock()
	h.status("3333333333333333333333333333333333333333", "shop", source.Success)
	<-asked
	h.put(mirror.Connection{Repository: "shop", Kind: mirror.GitHub, Clone: f.URL + "/acme/shop.git", API: f.URL + "/api"}, token)
	close(answer)
	h.until("it is told", func() bool { return len(f.told()) == 1 })
	if c, err := h.Connection(t.Context(), "shop"); err != nil || c.Parked != 0 {
		t.Errorf("parked: %d, %v", c.Parked, err)
	}
}

// A wrong token is said, and mended by another; an address within our own network is not called.
func TestProblems(t *testing.T) {
	f := newForge(t)
	main := f.push("refs/heads/main", "README.md", "a shop")
	h := build(t, strings.TrimPrefix(f.URL, "http://"))
	c := mirror.Connection{Repository: "shop", Kind: mirror.Gitea, Clone: f.URL + "/acme/shop.git"}
	h.put(c, "wrong"+token)
	h.until("it is said", func() bool {
		c, err := h.Connection(t.Context(), "shop")
		return err == nil && strings.Contains(c.Problem, "does not let us in")
	})
	h.put(c, token)
	h.until("it is mended", func() bool {
		c, err := h.Connection(t.Context(), "shop")
		return err == nil && c.Problem == "" && h.at("refs/heads/main") == main
	})
	closed := build(t) // with no network of ours opened
	for _, clone := range []string{f.URL + "/acme/shop.git", "http://169.254.169.254/a/b", "http://localhost/a/b"} {
		if _, _, err := closed.Put(t.Context(), mirror.Connection{Repository: "shop", Kind: mirror.Gitea, Clone: clone}, nil, nil); fault.Of(err) != fault.Invalid {
			t.Errorf("%s: %v", clone, err)
		}
	}
}

// What cannot be a connection is refused, and a repository with a history of its own is not overwritten.
func TestChecks(t *testing.T) {
	h := build(t)
	good := mirror.Connection{Repository: "shop", Kind: mirror.GitHub, Clone: "https://github.com/acme/shop.git"}
	for name, change := range map[string]func(*mirror.Connection){
		"name":      func(c *mirror.Connection) { c.Repository = "../x" },
		"kind":      func(c *mirror.Connection) { c.Kind = "bitbucket" },
		"scheme":    func(c *mirror.Connection) { c.Clone = "ssh://git@github.com/acme/shop.git" },
		"file":      func(c *mirror.Connection) { c.Clone = "file:///etc" },
		"a token":   func(c *mirror.Connection) { c.Clone = "https://me:secret@github.com/acme/shop.git" },
		"api":       func(c *mirror.Connection) { c.API = "ftp://x" },
		"project":   func(c *mirror.Connection) { c.Clone = "https://github.com/acme" },
		"pulls":     func(c *mirror.Connection) { c.Pulls = "some" },
		"a pattern": func(c *mirror.Connection) { c.Branches = []string{"["} },
		"a user":    func(c *mirror.Connection) { c.User = "a:b" },
	} {
		c := good
		change(&c)
		if _, _, err := h.Put(t.Context(), c, nil, nil); fault.Of(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	short := seal.Secret("short")
	if _, _, err := h.Put(t.Context(), good, nil, &short); fault.Of(err) != fault.Invalid {
		t.Error(err)
	}
	for clone, want := range map[string]string{
		"https://github.com/acme/shop.git":         "https://api.github.com acme/shop",
		"https://git.corp.example/acme/shop":       "https://git.corp.example/api/v3 acme/shop",
		"https://github.com/acme/shop.git/":        "https://api.github.com acme/shop",
		"https://github.com/acme/shop.git?x=y":     "",
		"https://github.com/acme/shop.git#x":       "",
		"https://github.com/acme/../../x/shop.git": "",
	} {
		c := good
		c.Clone = clone
		got, _, err := h.Put(t.Context(), c, nil, nil)
		if said := got.API + " " + got.Project; err == nil && said != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s, want %s (%v)", clone, said, want, err)
		}
	}
}

// The room ends and begins again without losing a delivery, on every database.
func TestRestart(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		f := newForge(t)
		f.push("refs/heads/main", "README.md", "a shop")
		d := open(bus.Schema(), work.Schema(), source.Schema(), mirror.Schema())
		sealer, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "root.key"))
		if err != nil {
			t.Fatal(err)
		}
		dialer, err := outbound.New(outbound.Config{Allow: []string{"127.0.0.0/8"}})
		if err != nil {
			t.Fatal(err)
		}
		b, quiet := bus.New(d), slog.New(slog.DiscardHandler)
		src := source.New(source.Config{DB: d, Bus: b, Dir: filepath.Join(t.TempDir(), "repos"), Account: "111122223333", Region: "us-east-1", Log: quiet})
		m := mirror.New(mirror.Config{DB: d, Bus: b, Work: work.New(work.Config{DB: d, Log: quiet, Poll: 20 * time.Millisecond, Lease: time.Second}), Source: src, Sealer: sealer, Dial: dialer.DialContext, HTTP: dialer.Client(time.Minute), Check: dialer.Check, Link: func(string) string { return "" }, Account: "111122223333", Region: "us-east-1", Log: quiet})
		key := seal.Secret(token)
		if _, _, err := m.Put(t.Context(), mirror.Connection{Repository: "shop", Kind: mirror.GitHub, Clone: f.URL + "/acme/shop.git", API: f.URL + "/api"}, &key, nil); err != nil {
			t.Fatal(err)
		}
		two := f.push("refs/heads/main", "a", "b")
		if _, err := m.Take(t.Context(), "shop", mirror.Delivery{ID: "1", Event: "push", Ref: "refs/heads/main", Commit: two}); err != nil {
			t.Fatal(err)
		}
		for range 40 { // each begins and is cut off, until one gets through
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			_ = m.Run(ctx)
			cancel()
			if id, err := src.Ref(t.Context(), "shop", "refs/heads/main"); err == nil && id == two {
				return
			}
		}
		// On a slow machine none may have been long enough.
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if id, err := src.Ref(t.Context(), "shop", "refs/heads/main"); err == nil && id == two {
				break
			}
		}
		cancel()
		<-done
		if id, err := src.Ref(t.Context(), "shop", "refs/heads/main"); err != nil || id != two {
			t.Error(id, err)
		}
	})
}
