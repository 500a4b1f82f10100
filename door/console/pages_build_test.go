package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/room/pipeline"
)

// What lies in a repository, and what builds make, comes as files to be stored, never as a page.
func TestFilesAreStored(t *testing.T) {
	h := home(t)
	f := fill(h)
	p := h.admin()
	for path, want := range map[string]string{
		"/repositories/shop/raw?ref=feature/cart&path=blob.bin": "blob.bin", "/repositories/shop/raw?ref=feature/cart&path=" + url.QueryEscape("src/<b>bold<b> \u202e.txt"): "<b>bold<b> _.txt",
		f.build + "/artifact": "",
	} {
		a := p.get(path)
		if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/octet-stream" || a.header.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") || !strings.Contains(a.header.Get("Content-Disposition"), want) || !strings.Contains(a.header.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	if a := p.get("/repositories/shop/files?ref=feature/cart&path=" + url.QueryEscape("src/<b>bold<b> \u202e.txt")); !strings.Contains(a.body, "U+202E") || strings.Contains(a.body, "\u202e") {
		t.Error("what turns the direction of writing is not named")
	}
	h.push("odd", "caf\xe9", map[string]string{"caf\xe9": "caf\xe9\n"})
	for _, path := range []string{"/repositories/shop/files?ref=odd", "/repositories/shop/files?ref=odd&path=caf%E9", "/repositories/shop/blame?ref=odd&path=caf%E9", "/repositories/shop/commits?ref=odd", "/repositories/shop/compare?to=odd", "/repositories/shop/files?ref=odd&at=caf%25E9"} {
		if a := p.get(path); a.status != http.StatusOK || len(readable(t, read(t, a.body))) > 0 || !utf8.ValidString(a.body) {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	for path, want := range map[string]int{
		"/repositories/shop/raw?path=src": 404, "/repositories/shop/raw?ref=feature/cart&path=src": 400, "/repositories/shop/files?path=../x": 400, "/repositories/shop/files?ref=none": 404, "/repositories/shop/commits/zzz": 404,
		"/repositories/shop/blame?ref=feature/cart&path=none": 404, "/repositories/shop/commits?skip=x": 400, "/pulls?before=x": 400, "/pipelines/release?version=x": 400, "/pipelines/release?version=99": 404, f.report + "?from=x": 400, "/tests/other/" + f.report[strings.LastIndex(f.report, "/")+1:]: 404,
	} {
		if a := p.get(path); a.status != want {
			t.Errorf("%s: %d, want %d: %.200s", path, a.status, want, a.body)
		}
	}
}

// A change is commented on at a line, approved, and merged by its forms; whoever made it cannot approve it, and an
// auditor can do nothing.
func TestReview(t *testing.T) {
	h := home(t)
	h.push("main", "first", map[string]string{"a.txt": "one\n"})
	h.push("topic", "second", map[string]string{"a.txt": "one\ntwo\n"})
	admin, kim, audit := h.admin(), h.user("kim", access.Developer), h.user("audit", access.SecurityAudit)
	a := kim.post("/pulls/new", "repository", "shop", "source", "topic", "target", "main", "title", "Second", "description", "why")
	path := a.header.Get("Location")
	if a.status != http.StatusSeeOther || path != "/pulls/1" {
		t.Fatalf("opening: %d %q %s", a.status, path, a.body)
	}
	if a := kim.post("/pulls/new", "repository", "shop", "source", "topic", "target", "main"); a.status != http.StatusBadRequest || !strings.Contains(a.body, "New pull request") {
		t.Errorf("one without a title: %d", a.status)
	}
	p, err := h.source.Pull(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range []string{"say", "approve", "merge", "override", "state"} {
		if a := audit.post(path + "/" + do); a.status != http.StatusForbidden {
			t.Errorf("an auditor does %s: %d", do, a.status)
		}
	}
	page := admin.get(path + "?say=f1R2").body
	if !strings.Contains(page, `name="line" value="2"`) || !strings.Contains(page, `name="side" value="AFTER"`) {
		t.Error("the line has no form")
	}
	if a := admin.post(path+"/say", "path", "a.txt", "line", "2", "side", "AFTER", "head", p.Revision.Head, "text", "why two?"); a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), path+"#c-") {
		t.Errorf("a comment: %d %s", a.status, a.body)
	}
	comments, err := h.source.PullComments(t.Context(), 1)
	if err != nil || len(comments) != 1 || comments[0].Place != (source.Place{Path: "a.txt", Line: 2, Side: "AFTER"}) {
		t.Fatalf("comments: %+v %v", comments, err)
	}
	kim.post(path+"/say", "reply", comments[0].ID, "text", "because")
	if a := kim.post("/pulls/2/comments/" + comments[0].ID + "/remove"); a.status != http.StatusNotFound {
		t.Errorf("a comment is taken away at another pull request, for which leave was asked: %d", a.status)
	}
	if page := kim.get(path).body; strings.Index(page, "why two?") < strings.Index(page, `id="f1R2"`) || strings.Index(page, "because") < strings.Index(page, "why two?") {
		t.Error("the comment and the answer are not at their line")
	}
	if a := kim.post(path+"/approve", "revision", p.Revision.ID, "approve", "yes"); a.status != http.StatusForbidden {
		t.Errorf("whoever opened it approves it: %d", a.status)
	}
	if a := admin.post(path+"/approve", "revision", p.Revision.ID, "approve", "yes"); a.status != http.StatusSeeOther {
		t.Errorf("approving: %d %s", a.status, a.body)
	}
	if page := kim.get(path).body; !strings.Contains(page, "counts") || !strings.Contains(page, "THREE_WAY_MERGE") {
		t.Error("the page does not say that the approval counts, or cannot be merged from")
	}
	if a := kim.post(path+"/merge", "option", "SQUASH_MERGE", "head", strings.Repeat("0", 40)); a.status != http.StatusConflict {
		t.Errorf("merging another head: %d", a.status)
	}
	if a := kim.post(path+"/merge", "option", "SQUASH_MERGE", "head", p.Revision.Head, "message", "both"); a.status != http.StatusSeeOther {
		t.Errorf("merging: %d %s", a.status, a.body)
	}
	if p, err = h.source.Pull(t.Context(), 1); err != nil || p.State != source.Merged {
		t.Errorf("it is %s, %v", p.State, err)
	}
}

// A question is answered by who has a vote; a way into a stage is shut and opened; a policy is held against past runs.
func TestPipelineForms(t *testing.T) {
	h := home(t)
	f := fill(h)
	admin, kim := h.admin(), h.user("kim", access.Developer)
	run := pipeline.Path(f.asking.ID)
	if page := kim.get("/approvals").body; !strings.Contains(page, "Waiting for others") || !strings.Contains(page, "You pushed or started it") {
		t.Error("kim, who started it, is asked, or is not told why not")
	}
	if a := kim.post(run+"/approve", "stage", "Release", "action", "Agree", "answer", "yes"); a.status != http.StatusForbidden {
		t.Errorf("kim answers: %d", a.status)
	}
	if page := admin.get("/approvals").body; !strings.Contains(page, run+"/approve") || !strings.Contains(page, "/pulls/1") {
		t.Error("admin is not asked")
	}
	if a := admin.post(run+"/approve", "stage", "Release", "action", "Agree", "answer", "perhaps"); a.status != http.StatusBadRequest {
		t.Errorf("perhaps: %d", a.status)
	}
	if a := admin.post(run+"/approve", "stage", "Release", "action", "Agree", "answer", "yes", "summary", "fine"); a.status != http.StatusSeeOther {
		t.Fatalf("yes: %d %s", a.status, a.body)
	}
	h.until("the end of the run", func() bool {
		e, err := h.runs.Execution(t.Context(), f.asking.ID)
		return err != nil || e.Status == pipeline.Succeeded
	})
	if a := admin.post("/pipelines/release/close", "stage", "Release", "reason", "a holiday"); a.status != http.StatusSeeOther {
		t.Errorf("shutting: %d %s", a.status, a.body)
	}
	if page := admin.get("/pipelines/release").body; !strings.Contains(page, "a holiday") || !strings.Contains(page, "flow-edge shut") {
		t.Error("nothing says that the way is shut")
	}
	admin.post("/pipelines/release/open", "stage", "Release")
	if shut, err := h.runs.Transitions(t.Context(), "release"); err != nil || len(shut) != 0 {
		t.Errorf("still shut: %+v %v", shut, err)
	}
	a := admin.post("/pipelines/release/start", "branch", "main", "variable:COLOUR", "red")
	started, err := h.runs.Execution(t.Context(), strings.TrimPrefix(a.header.Get("Location"), "/runs/"))
	if err != nil || started.Variables["COLOUR"] != "red" {
		t.Errorf("started: %d %v %v", a.status, started.Variables, err)
	}
	strict := admin.post("/pipelines/shop/what-if", "policy", "block:\n  - name: everything\n    scope: all\n    pattern: { RecordState: [ACTIVE] }\n")
	if strict.status != http.StatusOK || !strings.Contains(strict.body, "be stopped") || !strings.Contains(strict.body, pipeline.Path(f.failed.ID)) {
		t.Errorf("what if: %d", strict.status)
	}
	if a := admin.post("/pipelines/shop/what-if", "policy", "block: 7"); a.status != http.StatusOK || !strings.Contains(a.body, "gate.yaml:1") {
		t.Errorf("a policy that is none: %d %s", a.status, a.body)
	}
}

// A build that failed says why and where, and how one goes into what is left of it.
func TestFailedBuild(t *testing.T) {
	h := home(t)
	h.build.exit = 3
	h.work()
	run := h.ran(h.push("main", "first", map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: [make]}}\n"}), ended)
	p := h.admin()
	path := ""
	for _, a := range read(t, p.get(pipeline.Path(run.ID)).body).all("a") {
		if strings.HasPrefix(a.attr["href"], "/builds/") {
			path = a.attr["href"]
		}
	}
	page := p.get(path)
	if page.status != http.StatusOK || !strings.Contains(page.body, "Why it failed") || !strings.Contains(page.body, "haechi run shell shop:") || !strings.Contains(page.body, pipeline.Path(run.ID)) {
		t.Errorf("%q: %d", path, page.status)
	}
	ofRun := p.get(pipeline.Path(run.ID)).body
	for _, want := range []string{"haechi run shell shop#1<", "Its folder goes", "codebuild:StartCommandExecution"} {
		if !strings.Contains(ofRun, want) {
			t.Errorf("the run's page does not say %q", want)
		}
	}
	auditor := h.user("audit", access.SecurityAudit)
	for _, at := range []string{path, pipeline.Path(run.ID)} {
		if page := auditor.get(at); page.status == http.StatusOK && strings.Contains(page.body, "haechi run shell") {
			t.Errorf("an auditor is told to go in: %s", at)
		}
	}
}
