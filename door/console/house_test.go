package console_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"github.com/go-json-experiment/json"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/base/shape"
	"github.com/haechi-dev/haechi/door/console"
	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/keeper/snapshot"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/room/route"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const (
	account = "111122223333"
	region  = "ap-northeast-2"
	pass    = "a long enough password"
	hostile = `<script>alert("x")</script> & <b>bold</b>`
)

// house is everything that the console shows, on a real database, behind a real server.
type house struct {
	t       testing.TB
	db      *db.DB
	bus     *bus.Bus
	access  *access.Access
	trail   *audit.Trail
	hub     *hub.Hub
	assets  *inventory.Inventory
	comply  *comply.Comply
	routes  *route.Router
	runs    *pipeline.Pipelines
	source  *source.Source
	queue   *work.Work
	builds  *build.Builds
	inspect *inspect.Inspector
	clone   *gittest.Clone
	build   *builder
	console *console.Console
	server  *httptest.Server
	pushes  int
}

// both runs test in a house on each database engine.
func both(t *testing.T, test func(t *testing.T, h *house)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) { test(t, furnish(t, open(schemas()...))) })
}

// home is a house on SQLite alone, for what does not depend on the engine.
func home(t testing.TB) *house {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), schemas()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return furnish(t, d)
}

func schemas() []db.Schema {
	return []db.Schema{bus.Schema(), work.Schema(), access.Schema(), audit.Schema(), snapshot.Schema(), hub.Schema(), inventory.Schema(), source.Schema(), route.Schema(), comply.Schema(), pipeline.Schema(), build.Schema(), inspect.Schema()}
}

func furnish(t testing.TB, d *db.DB) *house {
	t.Helper()
	dir, quiet := t.TempDir(), slog.New(slog.DiscardHandler)
	h := &house{t: t, db: d, bus: bus.New(d, bus.Config{Poll: 20 * time.Millisecond, Log: quiet}), build: &builder{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	sealer, err := seal.OpenOrCreate(filepath.Join(dir, "root.key"))
	must(err)
	h.access = access.New(access.Config{DB: d, Sealer: sealer, Account: account, Log: quiet})
	_, err = h.access.First(t.Context(), dir, nil)
	must(err)
	must(h.access.SetPassword(t.Context(), access.AdminUser, pass))
	packs, err := comply.Packs()
	must(err)
	var standards []hub.Standard
	for _, p := range packs {
		standards = append(standards, p.Standard(region))
	}
	h.hub, err = hub.New(t.Context(), hub.Config{DB: d, Bus: h.bus, Account: account, Region: region, Standards: standards})
	must(err)
	h.assets = inventory.New(inventory.Config{DB: d, Bus: h.bus, Shapes: shape.New(), Account: account, Region: region})
	h.comply = comply.New(comply.Config{DB: d, Bus: h.bus, Inventory: h.assets, Hub: h.hub, Shapes: shape.New(), Packs: packs, Account: account, Region: region, Log: quiet})
	h.routes = route.New(route.Config{
		DB: d, Bus: h.bus, Account: account, Region: region, Seal: sealer, Poll: 20 * time.Millisecond, Log: quiet,
		HTTP: &http.Client{Timeout: 5 * time.Second}, Dial: (&net.Dialer{}).DialContext,
	})
	h.source = source.New(source.Config{DB: d, Bus: h.bus, Dir: filepath.Join(dir, "repos"), Account: account, Region: region})
	h.queue = work.New(work.Config{DB: d, Log: quiet, Poll: 20 * time.Millisecond})
	blobs, err := blob.Open(filepath.Join(dir, "blobs"))
	must(err)
	h.builds = build.New(build.Config{
		DB: d, Bus: h.bus, Work: h.queue, Source: h.source, Blobs: blobs, Folder: filepath.Join(dir, "builds"), Account: account, Region: region, Log: quiet, Poll: 20 * time.Millisecond,
		Machine: build.Machine{Builder: tool.New(tool.Config{Runner: h.build}), Level: h.build.Level},
	})
	h.runs = pipeline.New(pipeline.Config{
		DB: d, Bus: h.bus, Queue: h.queue, Source: h.source, Hub: h.hub, Scanners: []scan.Scanner{packages{}}, Starter: starter{h.builds}, Blobs: blobs,
		Account: account, Region: region, Log: quiet,
	})
	index := bugs(t)
	h.inspect = inspect.New(inspect.Config{DB: d, Hub: h.hub, Maker: finding.Maker{Account: account, Region: region}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Newest: func() (*deps.Scanner, *advisory.Index) { return deps.New(index), index }})
	h.trail, err = audit.New(audit.Config{DB: d, Sealer: sealer, Node: "n1", Account: account, Region: region, Log: quiet})
	must(err)
	taken := reports.Handler(reports.Config{Hub: h.hub, Access: h.access, Maker: finding.Maker{Account: account, Region: region}, Salt: []byte("salt"), Folder: dir, Log: quiet})
	h.console, err = console.New(console.Config{
		Access: h.access, People: h.access, DB: d, Hub: h.hub, Bus: h.bus, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Runs: h.runs, Source: h.source, Builds: h.builds, Logs: h.queue, Inspect: h.inspect, Assets: h.assets, Comply: h.comply, Routes: h.routes,
		Account: account, Region: region, Version: "v0.0.0-test", Kept: h.kept, Loop: h.loop, Reports: taken, Policies: ownPolicies(t), Trail: h.trail, Records: h.trail, Accounts: accounts{snapshot.New(d, time.Now), h.access}, Known: h.access.Principal,
	})
	must(err)
	h.server = httptest.NewServer(h.console)
	t.Cleanup(h.server.Close)
	return h
}

func (h *house) kept(context.Context) ([]console.Kept, error) {
	return []console.Kept{{Name: "events on the bus", For: 7 * 24 * time.Hour, Size: -1, Count: 1234}, {Name: "log records", For: 30 * 24 * time.Hour, Size: 123456789, Count: -1}}, nil
}

func (h *house) loop(context.Context) ([]console.Station, error) {
	return []console.Station{{Name: "source", Path: "/runs", Count: 3, Trains: "repositories"}, {Name: "route", Path: "/deliveries?state=dead", Count: 1, Trains: "dead letters", Bad: true}}, nil
}

// work has the rooms do their work until the test ends.
func (h *house) work() {
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	for _, run := range []func(context.Context) error{h.comply.Run, h.routes.Run, h.runs.Run, h.builds.Run} {
		wait.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				h.t.Errorf("a room ended: %v", err)
			}
		})
	}
	h.t.Cleanup(func() { cancel(); wait.Wait() })
}

// until waits for something to be true, but not for ever.
func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// bring has the hub take findings in, of one scan.
func (h *house) bring(tool, target string, findings ...finding.Finding) {
	h.t.Helper()
	s := finding.Scan{ID: "scan", Tool: tool, Version: "1", Target: target, Branch: "main", Commit: strings.Repeat("c0ffee", 7)[:40], Complete: true}
	maker := finding.Maker{Account: account, Region: region}
	for i := range findings {
		findings[i] = maker.Own(s, findings[i], time.Now())
	}
	done, err := h.hub.Import(h.t.Context(), s, findings...)
	if err != nil || len(done.Failed) > 0 {
		h.t.Fatalf("import: %v %+v", err, done.Failed)
	}
}

// wrong is a finding with all that a scanner says.
func wrong(title string, severity finding.Label) finding.Finding {
	fields := finding.At(diag.Place{File: "src/main/java/com/example/shop/checkout/PaymentController.java", Line: 120, Column: 7})
	fields[finding.FieldExcerpt] = `password = "****************"`
	fields[finding.FieldFingerprint] = finding.Fingerprint("test", title)
	return finding.Finding{
		GeneratorID: "secret/generic-password", Title: title, Description: "Somebody can read it. " + hostile, Types: []string{"Sensitive Data Identifications/Passwords"},
		Severity: &finding.Severity{Label: severity}, ProductFields: fields,
		Resources:   []finding.Resource{{Type: "Other", ID: "shop/" + strings.Repeat("a-very-long-path-", 12) + "end"}},
		Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: "Take it out and rotate it.", URL: "https://example.com/how"}},
	}
}

// see has the inventory take a bucket in, that everybody can read or not.
func (h *house) see(id string, captured time.Time, public bool) inventory.Key {
	h.t.Helper()
	blocked, acl := "true", ""
	if public {
		blocked, acl = "false", `,{\"grantee\":\"AllUsers\",\"permission\":\"Read\"}`
	}
	item := fmt.Sprintf(`{"version":"1.3","accountId":%q,"configurationItemCaptureTime":%q,"configurationItemStatus":"OK","configurationStateId":"%d","arn":"arn:aws:s3:::%[7]s",
		"resourceType":"AWS::S3::Bucket","resourceId":%[7]q,"resourceName":%[7]q,"awsRegion":%[4]q,"tags":{"team":"결제팀"},"configuration":"{\"name\":\"%[7]s\"}","supplementaryConfiguration":{
		"AccessControlList":"{\"grantList\":[{\"grantee\":{\"id\":\"0a1b\"},\"permission\":\"FullControl\"}%[5]s]}","BucketPolicy":"{\"policyText\":null}",
		"PublicAccessBlockConfiguration":"{\"blockPublicAcls\":%[6]s,\"ignorePublicAcls\":%[6]s,\"blockPublicPolicy\":%[6]s,\"restrictPublicBuckets\":%[6]s}"}}`,
		account, captured.UTC().Format(time.RFC3339), captured.Unix(), region, acl, blocked, id)
	if _, err := h.assets.ImportFile(h.t.Context(), "item.json", []byte(item)); err != nil {
		h.t.Fatal(err)
	}
	return inventory.Key{Account: account, Region: region, Type: "AWS::S3::Bucket", ID: id}
}

// push does what the git door does, and gives the commit.
func (h *house) push(branch, message string, files map[string]string) (commit string) {
	h.t.Helper()
	if h.clone == nil {
		h.clone = gittest.New(h.t)
		if _, err := h.source.Create(h.t.Context(), source.Repository{Name: "shop"}); err != nil {
			h.t.Fatal(err)
		}
	}
	repo, err := h.source.Git("shop")
	if err != nil {
		h.t.Fatal(err)
	}
	commit = h.clone.Commit(message, files)
	ref := "refs/heads/" + branch
	old, err := h.source.Ref(h.t.Context(), "shop", ref)
	if errors.Is(err, fault.NotFound) {
		old, err = git.Zero, nil
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.pushes++
	id := fmt.Sprint("push", h.pushes)
	h.clone.Git("push", "-q", repo.Dir(), "+HEAD:refs/keep/x") // the objects come first
	if err := h.source.Intend(h.t.Context(), repo, source.Push{ID: id, Repository: "shop", Who: "arn:aws:iam::" + account + ":user/김아다", Updates: []source.Update{{Ref: ref, Old: old, New: commit}}}); err != nil {
		h.t.Fatal(err)
	}
	h.clone.Git("push", "-q", repo.Dir(), "HEAD:"+ref)
	if err := h.source.Confirm(h.t.Context(), "shop", id, []string{ref}); err != nil {
		h.t.Fatal(err)
	}
	return commit
}

// ran is the run of a commit, when ok says so.
func (h *house) ran(commit string, ok func(pipeline.Execution) bool) (run pipeline.Execution) {
	h.t.Helper()
	h.until("the run of "+commit, func() bool {
		all, err := h.runs.Executions(h.t.Context(), pipeline.Query{})
		if err != nil {
			h.t.Fatal(err)
		}
		for _, e := range all {
			if e.Commit == commit && ok(e) {
				run = e
				return true
			}
		}
		return false
	})
	return run
}

func ended(e pipeline.Execution) bool { return e.Status.Ended() }

// builder is a runner that says something, and waits where it is told to.
type builder struct {
	mu   sync.Mutex
	hold chan string // what it says until it is closed; nil holds nothing

	files map[string]string // that commands make
	exit  int               // how they end
}

func (b *builder) Level(context.Context) (sandbox.Level, error) { return sandbox.Namespaces, nil }

// Run answers what tool/build asks a shell for: every command says something, and ends well.
func (b *builder) Run(ctx context.Context, s sandbox.Step, out io.Writer) (int, error) {
	b.mu.Lock()
	hold := b.hold
	b.mu.Unlock()
	in, end, asked := bufio.NewReader(s.Stdin), s.Argv[7]+"\n", ""
	fmt.Fprint(s.Report, "ready\x00")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, ctx.Err()
		}
		if line != end {
			asked += line
			continue
		}
		switch said, isSaid := strings.CutPrefix(asked, "printf %s '"); {
		case isSaid:
			fmt.Fprint(out, strings.TrimSuffix(said, "' >&8\n"))
		case strings.HasPrefix(asked, "#run"):
			for name, content := range b.files {
				if err := os.WriteFile(filepath.Join(s.Work, "src", name), []byte(content), 0o644); err != nil {
					return 1, err
				}
			}
			fmt.Fprint(out, "\x1b[32mmade\x1b[0m: <script>alert(1)</script> 한글도 된다\n")
			if hold != nil {
				for say := range hold {
					fmt.Fprintln(out, say)
				}
			}
			fmt.Fprintf(s.Report, "end %d\x00", b.exit)
		case strings.HasPrefix(asked, "haechi_c="):
			fmt.Fprint(s.Report, "value x\x00")
		case strings.HasPrefix(asked, "if [ "):
			fmt.Fprint(s.Report, "unset\x00")
		}
		asked = ""
	}
}

// starter begins builds for pipelines, as the roof does.
type starter struct{ builds *build.Builds }

func (s starter) Start(tx *db.Tx, r pipeline.ActionRequest) (string, error) {
	return s.builds.Begin(tx, build.Action{
		ID: r.ID, Pipeline: r.Pipeline, Configuration: r.Configuration, Commands: r.Commands, Repository: r.Repository, Branch: r.Branch, Commit: r.Commit,
		Protected: r.Protected, Who: r.Who, Stream: r.Stream,
	})
}

func (s starter) Stop(tx *db.Tx, external, reason string) error {
	return s.builds.Halt(tx, external, reason)
}

func (s starter) Events() []string { return []string{build.Changed} }

func (s starter) Ended(e event.Event) (r pipeline.Result, ok bool, err error) {
	var said struct {
		Status build.Status `json:"build-status"`
		Ours   *build.Told  `json:"haechi"`
	}
	if e.Source != build.EventSource {
		return r, false, nil
	}
	if err := json.Unmarshal(e.Detail, &said); err != nil || said.Ours == nil || said.Ours.Action == "" || !said.Status.Ended() {
		return r, false, err
	}
	r = pipeline.Result{External: said.Ours.ID, Action: said.Ours.Action, Level: said.Ours.Level, Summary: "built", Status: pipeline.Succeeded}
	if said.Status != build.Succeeded {
		r.Status, r.Summary = pipeline.Failed, "the build is "+string(said.Status)
	}
	return r, true, nil
}

// packages is a scanner of files called packages.txt: a line "NAME SEVERITY" is a package with that weakness.
type packages struct{}

func (packages) Name() string           { return "packages" }
func (packages) Version() string        { return "1" }
func (packages) Wants(path string) bool { return filepath.Base(path) == "packages.txt" }

func (packages) Begin(_ context.Context, _ fs.FS, out scan.Out) scan.Pass { return packagesPass{out} }

type packagesPass struct{ out scan.Out }

func (packagesPass) End() error { return nil }

func (p packagesPass) File(f scan.File) error {
	for i, line := range strings.Split(strings.TrimSpace(string(f.Content)), "\n") {
		name, severity, ok := strings.Cut(line, " ")
		if !ok {
			continue
		}
		fields := finding.At(diag.Place{File: f.Path, Line: i + 1})
		fields[finding.FieldFingerprint] = finding.Fingerprint("packages", name)
		p.out.Finding(finding.Finding{
			GeneratorID: "packages/" + name, Title: "Package " + name + " is vulnerable " + hostile, Description: "It is.", Types: []string{"Software and Configuration Checks/Vulnerabilities/CVE"},
			Severity: &finding.Severity{Label: finding.Label(severity)}, ProductFields: fields,
			Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: "Update " + name + " to 2.0"}},
		})
	}
	return nil
}

// person is somebody at a browser.
type person struct {
	h      *house
	client *http.Client
	lang   string
}

// nobody is a browser without a session.
func (h *house) nobody() *person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return &person{h, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, "en-GB"}
}

// user is a new user with policies, signed in.
func (h *house) user(name string, policies ...string) *person {
	h.t.Helper()
	if err := h.access.CreateUser(h.t.Context(), name, policies...); err != nil {
		h.t.Fatal(err)
	}
	if err := h.access.SetPassword(h.t.Context(), name, pass); err != nil {
		h.t.Fatal(err)
	}
	return h.signIn(name)
}

func (h *house) admin() *person { return h.signIn(access.AdminUser) }

func (h *house) signIn(name string) *person {
	h.t.Helper()
	p := h.nobody()
	if a := p.post("/sign-in", "user", name, "password", pass); a.status != http.StatusSeeOther {
		h.t.Fatalf("signing in: %d %s", a.status, a.body)
	}
	return p
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (p *person) do(r *http.Request) answer {
	p.h.t.Helper()
	r.Header.Set("Accept-Language", p.lang)
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "text/html")
	}
	got, err := p.client.Do(r)
	if err != nil {
		p.h.t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		p.h.t.Fatal(err)
	}
	return answer{got.StatusCode, got.Header, string(body)}
}

func (p *person) request(method, path string, body io.Reader) *http.Request {
	p.h.t.Helper()
	r, err := http.NewRequestWithContext(p.h.t.Context(), method, p.h.server.URL+path, body)
	if err != nil {
		p.h.t.Fatal(err)
	}
	return r
}

func (p *person) get(path string) answer {
	p.h.t.Helper()
	return p.do(p.request(http.MethodGet, path, nil))
}

// post sends a form of names and values, as the console's own page does.
func (p *person) post(path string, form ...string) answer {
	p.h.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Add(form[i], form[i+1])
	}
	r := p.request(http.MethodPost, path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return p.do(r)
}
