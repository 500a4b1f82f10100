package console_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/door/console"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/room/pipeline"
)

// node is an element of a page, with what is in it.
type node struct {
	name  string
	attr  map[string]string
	text  string // all within
	nodes []*node
}

// read reads a page strictly enough to notice what is not closed.
func read(t testing.TB, page string) *node {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(strings.Replace(page, "<!doctype html>", "", 1)))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	root := &node{}
	stack := []*node{root}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page is malformed: %v\n%s", err, page)
		}
		switch token := token.(type) {
		case xml.StartElement:
			n := &node{name: token.Name.Local, attr: map[string]string{}}
			for _, a := range token.Attr {
				n.attr[a.Name.Local] = a.Value
			}
			top := stack[len(stack)-1]
			top.nodes = append(top.nodes, n)
			stack = append(stack, n)
		case xml.EndElement:
			if top := stack[len(stack)-1]; top.name != token.Name.Local {
				t.Fatalf("</%s> closes <%s>", token.Name.Local, top.name)
			}
			stack = stack[:len(stack)-1]
		case xml.CharData:
			for _, n := range stack {
				n.text += string(token)
			}
		}
	}
	if len(stack) != 1 {
		t.Fatalf("<%s> is not closed", stack[len(stack)-1].name)
	}
	return root
}

// walk visits n and all within it, each with what it is in.
func (n *node) walk(visit func(n *node, in []*node)) {
	var step func(n *node, in []*node)
	step = func(n *node, in []*node) {
		visit(n, in)
		for _, c := range n.nodes {
			step(c, append(in[:len(in):len(in)], n))
		}
	}
	step(n, nil)
}

// all are the elements of a name.
func (n *node) all(name string) (found []*node) {
	n.walk(func(n *node, _ []*node) {
		if n.name == name {
			found = append(found, n)
		}
	})
	return found
}

// readable tells what is wrong with a page for those who do not see it, or see it badly.
func readable(t testing.TB, page *node) (wrong []string) {
	t.Helper()
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	ids, level, first := map[string]bool{}, 0, 0
	page.walk(func(n *node, in []*node) {
		if id := n.attr["id"]; id != "" {
			if ids[id] {
				say("id %s is there twice", id)
			}
			ids[id] = true
		}
		if _, live := n.attr["data-live"]; live && n.attr["id"] == "" {
			say("a live part has no id")
		}
		switch n.name {
		case "input", "select", "textarea":
			labelled := n.attr["aria-label"] != "" || slices.ContainsFunc(in, func(n *node) bool { return n.name == "label" && strings.TrimSpace(n.text) != "" })
			if n.attr["type"] != "hidden" && !labelled {
				say("%s %s has no label", n.name, n.attr["name"])
			}
		case "button", "a", "summary", "th", "title":
			if strings.TrimSpace(n.text) == "" && n.attr["aria-label"] == "" {
				say("%s %s has no words", n.name, n.attr["href"])
			}
		case "img":
			if _, ok := n.attr["alt"]; !ok {
				say("a picture has no alt")
			}
		case "svg":
			if n.attr["aria-label"] == "" {
				say("a drawing says nothing")
			}
		case "h1", "h2", "h3", "h4":
			if slices.ContainsFunc(in, func(n *node) bool { return n.name == "dialog" }) {
				break
			}
			now := int(n.name[1] - '0')
			if now > level+1 {
				say("h%d follows h%d", now, level)
			}
			if level = now; now == 1 {
				first++
			}
		case "form":
			if slices.ContainsFunc(in, func(n *node) bool { return n.name == "form" }) {
				say("a form is within a form")
			}
		}
	})
	if first != 1 {
		say("%d h1", first)
	}
	return wrong
}

// pages are the addresses of every page there is something on.
func (f filled) pages(h *house) []string {
	h.t.Helper()
	got, err := h.hub.Find(h.t.Context(), hub.Query{Filters: hub.Filters{"SeverityLabel": hub.Is("CRITICAL")}})
	if err != nil || len(got.Findings) < 3 {
		h.t.Fatal(len(got.Findings), err)
	}
	all := []string{
		"/", "/findings", "/findings?show=problems", "/reports", "/reports?target=shop", "/findings?q=", "/findings?q=sevrity:x", "/findings?sort=worst&q=severity:high", "/runs", "/runs?state=Failed&repository=shop&branch=main", "/runs?repository=none",
		pipeline.Path(f.passed.ID), pipeline.Path(f.failed.ID), "/resources", "/resources?compliance=NON_COMPLIANT", "/resources?rule=S3_BUCKET_PUBLIC_READ_PROHIBITED", "/resources?type=AWS::S3::Bucket&gone=1&id=shop",
		console.ResourcePath(f.public), console.ResourcePath(f.public) + "?at=" + f.before, console.ResourcePath(f.public) + "?at=" + f.before[:16], "/routes", "/routes/rule", "/routes/rule?name=worst-findings", "/deliveries", "/deliveries?state=dead&target=" + f.hook,
		"/users", "/trail", "/trail?sort=changes&user=admin&action=iam:*", "/trail?sort=refused&since=2026-01-01&has=none", "/permissions", "/permissions?principal=nobody&action=x:Y", "/permissions?account=111122223333&principal=kim&action=s3:GetObject&resource=arn:aws:s3:::shop/x", "/permissions/graph", "/permissions/graph?account=111122223333", "/permissions/graph?account=111122223333&focus=kim", "/settings",
		"/components", "/components?q=log4j-core+%3C+2.17", "/components?q=CVE-2021-44228", "/components?q=pad+%3C%3E+1", "/components?unknown=1", "/components?licence=Apache-2.0", "/components/package/1", "/components/package/2", "/components/package/3", "/components/package/4",
		"/components/of/1", "/components/of/2?q=pad", "/components/of/3", "/advisories/CVE-2021-44228", "/advisories/GHSA-pad", "/components/diff", "/components/diff?from=1&to=2", "/components/diff?from=3&to=1", "/components/diff?from=1&to=1", "/licences",
		"/repositories", "/repositories/shop", "/repositories/shop/files", "/repositories/shop/files?ref=feature/cart&path=src", "/repositories/shop/files?ref=feature/cart", "/repositories/shop/commits?ref=feature/more", "/repositories/shop/files?ref=feature/cart&path=" + url.QueryEscape("src/<b>bold<b> \u202e.txt"), "/repositories/shop/files?ref=feature/cart&path=blob.bin",
		"/repositories/shop/files?ref=develop&path=long.txt", "/repositories/shop/blame?ref=develop&path=README.md", "/repositories/shop/commits", "/repositories/shop/commits?ref=develop&path=README.md", "/repositories/shop/commits/" + f.pull.Revision.Head, "/repositories/shop/commits/" + f.pull.Revision.Head[:9] + "?file=main.go",
		"/repositories/shop/compare", "/repositories/shop/compare?from=develop&to=feature/cart", "/repositories/shop/compare?from=feature/cart&to=develop", "/pulls", "/pulls?state=all&repository=shop&branch=main&mine=1", "/pulls/new", "/pulls/new?repository=shop", "/pulls/new?repository=shop&source=feature/more&target=develop", "/pulls/new?repository=shop&source=feature/cart&target=develop",
		"/pipelines", "/pipelines/shop", "/pipelines/release", "/pipelines/release?version=1", "/pipelines/shop/what-if", pipeline.Path(f.asking.ID), "/approvals", "/builds", "/builds?project=shop&state=SUCCEEDED", f.build, f.build + "?find=made", f.batch,
		"/tests", path.Dir(f.report), path.Dir(f.cover), f.report, f.report + "?state=FAILED&word=empties", f.cover,
		"/pulls/1", "/pulls/1?file=main.go", "/pulls/1?say=f1R1",
		"/policies", "/policies?q=disk&kind=AWS", "/policies?q=nothing", "/policies/ENCRYPTED_VOLUMES", "/policies/try", "/policies/try?rule=ENCRYPTED_VOLUMES&example=1",
	}
	for _, kind := range []string{"slack", "slackbot", "webhook", "email", "command"} {
		all = append(all, "/routes/receiver?kind="+kind)
	}
	all = append(all, "/routes/receiver?kind=slack&name=security", "/routes/receiver?kind=webhook&name=ticket-system")
	for i := range got.Findings {
		all = append(all, console.FindingPath(&got.Findings[i]))
	}
	return all
}

// Every page can be read, in both languages, whatever the findings, commits and answers on it say.
func TestPages(t *testing.T) {
	both(t, func(t *testing.T, h *house) {
		f := fill(h)
		p := h.admin()
		langs := []string{"en", "ko"}
		if h.db.Postgres() {
			langs = langs[:1] // what pages say does not depend on the engine
		}
		for _, lang := range langs {
			p.lang = lang
			for _, path := range f.pages(h) {
				a := p.get(path)
				if a.status != http.StatusOK {
					t.Errorf("%s in %s: %d %.300s", path, lang, a.status, a.body)
					continue
				}
				page := read(t, a.body)
				if got := page.all("html")[0].attr["lang"]; got != lang || a.header.Get("Content-Language") != lang {
					t.Errorf("%s in %s says it is in %s", path, lang, got)
				}
				for _, wrong := range readable(t, page) {
					t.Errorf("%s in %s: %s", path, lang, wrong)
				}
				if english := untranslated(page); (len(english) > 0) != (lang == "en") {
					t.Errorf("%s in %s says in English: %q", path, lang, english)
				}
				if n := len(page.all("script")); n != 1 {
					t.Errorf("%s: %d scripts", path, n)
				}
				for _, b := range page.all("b") {
					if b.text == "bold" {
						t.Errorf("%s: what a finding says became a part of the page", path)
					}
				}
				if csp := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'self';") || strings.Contains(csp, "unsafe") {
					t.Errorf("%s: policy %q", path, csp)
				}
			}
		}
	})
}

// untranslated are the texts of a page that have Korean and are English.
func untranslated(page *node) (all []string) {
	korean := console.Korean()
	page.walk(func(n *node, in []*node) {
		text := strings.TrimSpace(n.text)
		code := n.name == "code" || n.name == "pre" || n.name == "option" || slices.ContainsFunc(in, func(n *node) bool { return n.name == "details" && n.attr["id"] == "fields" })
		if said, ok := korean[text]; ok && said != text && !code && len(n.nodes) == 0 {
			all = append(all, text)
		}
		for _, name := range []string{"aria-label", "placeholder", "data-confirm"} {
			if said, ok := korean[n.attr[name]]; ok && said != n.attr[name] {
				all = append(all, n.attr[name])
			}
		}
	})
	return all
}

// Pages about what is not there say so, and no address brings the console down.
func TestMissing(t *testing.T) {
	h := home(t)
	p := h.admin()
	for path, want := range map[string]int{
		"/components/of/x": 404, "/components/of/99": 404, "/components/package/99": 404, "/components/of/1/word": 404, "/advisories/CVE-1999-1": 404, "/components/diff?from=x&to=1": 400, "/components/diff?from=1&to=99": 404,
		"/nowhere": 404, "/findings/x": 404, "/repositories/x": 404, "/pulls/x": 404, "/pipelines/x": 404, "/pipelines/x/what-if": 404, "/builds/x": 404, "/builds/x/log": 404, "/builds/x/artifact": 404, "/batches/x": 404, "/tests/x": 404, "/tests/x/y": 404, "/pulls/99": 404, "/repositories/x/files": 404, "/repositories/x/raw?path=a": 404, "/findings/bnVsbA": 404, "/resources/x": 404, "/runs/x": 404, "/runs/x/log": 404, "/routes/rule?name=x": 404, "/routes/rule?bus=x&name=y": 404,
		"/routes/receiver?kind=x": 404, "/routes/receiver?kind=slack&name=x": 404, "/deliveries?state=x": 400, "/deliveries/x": 404, "/findings?insight=x": 404, "/findings?token=x": 400, "/findings?show=problems&before=x": 400, "/reports?upload=x": 404, "/runs?before=x": 404,
		"/resources?token=x": 400, console.ResourcePath(inventory.Key{ID: "y"}) + "?at=then": 400, "/deliveries?after=x": 400, console.ResourcePath(inventory.Key{ID: "x"}): 404, "/static/none.css": 404, "/findings/" + strings.Repeat("A", 4000): 404,
	} {
		if a := p.get(path); a.status != want {
			t.Errorf("%s: %d, want %d: %.200s", path, a.status, want, a.body)
		}
	}
}

// What the newest page of a finding, a run and a resource say is what happened, with the way to what they are tied to.
func TestTied(t *testing.T) {
	h := home(t)
	f := fill(h)
	p := h.admin()
	run := read(t, p.get(pipeline.Path(f.failed.ID)).body)
	var path string
	for _, a := range run.all("a") {
		if strings.HasPrefix(a.text, "Package lodash") {
			path = a.attr["href"]
		}
	}
	page := p.get(path)
	if page.status != http.StatusOK || !strings.Contains(page.body, `href="`+pipeline.Path(f.failed.ID)+`"`) {
		t.Errorf("from the run's reason to its finding and back: %d %q", page.status, path)
	}
	resource := read(t, p.get(console.ResourcePath(f.public)).body)
	var found, then string
	for _, a := range resource.all("a") {
		switch {
		case strings.Contains(a.attr["href"], "?at=") && then == "":
			then = a.attr["href"]
		case a.text == "S3 bucket can be read by everybody" && found == "":
			found = a.attr["href"]
		}
	}
	if page := p.get(found); !strings.Contains(page.body, console.ResourcePath(f.public)) {
		t.Errorf("from the resource to its finding and back: %d %q", page.status, found)
	}
	if page := p.get(then); !strings.Contains(page.body, "As it was at") {
		t.Errorf("the resource in the past: %d %q", page.status, then)
	}
	p.lang = "ko"
	if page := p.get(found); !strings.Contains(page.body, "S3 버킷") {
		t.Error("the rule's title is not in the reader's language")
	}
}

// The tests above see what is wrong with a page.
func TestReadable(t *testing.T) {
	for page, want := range map[string]string{
		`<h1>a</h1><input name="x">`:                          "input x has no label",
		`<h1>a</h1><label> <select name="x"/></label>`:        "select x has no label",
		`<h1>a</h1><h3>b</h3>`:                                "h3 follows h1",
		`<h2>a</h2>`:                                          "0 h1",
		`<h1>a</h1><p id="x"/><p id="x"/>`:                    "id x is there twice",
		`<h1>a</h1><div data-live="">x</div>`:                 "a live part has no id",
		`<h1>a</h1><a href="/x"> </a>`:                        "a /x has no words",
		`<h1>a</h1><svg><path d="M0 0"/></svg>`:               "a drawing says nothing",
		`<h1>a</h1><form><p><form method="post"/></p></form>`: "a form is within a form",
	} {
		if got := readable(t, read(t, "<main>"+page+"</main>")); !slices.Contains(got, want) {
			t.Errorf("%s: %q, want %q", page, got, want)
		}
	}
}
