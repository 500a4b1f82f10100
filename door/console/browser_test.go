package console_test

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/finding"
)

// browser is a real one, and what it complained of.
type browser struct {
	t   *testing.T
	h   *house
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// browse starts a headless Chromium for the house; flags are besides those that keep it to itself.
func browse(t *testing.T, h *house, flags map[string]any) *browser {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && program == "" {
			program = path
		}
	}
	if program == "" {
		t.Skip("there is no chromium on this machine: pages are not looked at in a browser")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.NoSandbox, chromedp.ExecPath(program), chromedp.WSURLReadTimeout(time.Minute)) // a busy machine takes its time
	for name, value := range map[string]any{"disable-background-networking": true, "disable-quic": true, "disable-component-update": true, "disable-sync": true, "accept-lang": "en-GB", "lang": "en-GB"} {
		if _, ok := flags[name]; !ok {
			options = append(options, chromedp.Flag(name, value))
		}
	}
	for name, value := range flags {
		options = append(options, chromedp.Flag(name, value))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t, h: h, ctx: ctx}
	b.do(chromedp.EmulateViewport(1280, 900))
	go func() {
		for message, err := range chromedp.Console(ctx) {
			if err != nil {
				return
			}
			if message.Type == "info" || message.Type == "debug" {
				continue
			}
			b.mu.Lock()
			b.complaints = append(b.complaints, message.String())
			b.mu.Unlock()
		}
	}()
	return b
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

func eval[T any](b *browser, script string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return v
}

// until waits for a script to answer true.
func (b *browser) until(script string) {
	b.t.Helper()
	b.h.until(script, func() bool { return eval[bool](b, script) })
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.h.server.URL + path))
}

// signIn signs in as people do.
func (b *browser) signIn() {
	b.t.Helper()
	b.open("/")
	b.do(chromedp.SendKeys("input[name=user]", "admin"), chromedp.SendKeys("input[name=password]", pass), chromedp.Click("button.primary"), chromedp.WaitVisible("nav"))
}

// quiet fails if the browser complained of anything: an error of a script, a policy that was broken, a file that is not there.
func (b *browser) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.t.Errorf("the browser says: %s", c)
	}
	b.complaints = nil
}

// In a browser: a filter is typed, a finding is chosen with keys and suppressed, and what happens elsewhere shows by itself.
func TestBrowser(t *testing.T) {
	h := home(t)
	h.bring("secret", "shop", wrong("AWS access key", finding.Critical), wrong("a small thing", finding.Low))
	b := browse(t, h, nil)
	b.signIn()
	b.open("/findings")
	b.do(chromedp.KeyEvent("/"))
	b.until(`document.activeElement.name === "q"`)
	eval[string](b, `document.activeElement.value = ""`) // the driver sends a key's character even where the page has taken the key
	b.do(chromedp.KeyEvent("severity:critical"), chromedp.KeyEvent("\r"))
	b.until(`location.search.includes("severity")`)
	b.do(chromedp.WaitVisible("tr.row"))
	if rows := eval[int](b, `document.querySelectorAll("tr.row").length`); rows != 1 {
		t.Errorf("the filter shows %d rows", rows)
	}
	b.do(chromedp.KeyEvent("j"), chromedp.KeyEvent("x"))
	b.until(`document.querySelector("tr.row.at input[name=ref]").checked && document.querySelector("[data-chosen]").textContent === "1"`)
	b.do(chromedp.SetValue("select[name=status]", "SUPPRESSED"), chromedp.SendKeys("input[name=reason]", "an example in the documents"), chromedp.Click(".bulk button.primary"), chromedp.WaitVisible(".said"))
	got, err := h.hub.Find(t.Context(), hub.Query{Filters: hub.Filters{"WorkflowStatus": hub.Is("SUPPRESSED")}})
	if err != nil || len(got.Findings) != 1 || got.Findings[0].Title != "AWS access key" {
		t.Fatalf("suppressed: %d findings, %v", len(got.Findings), err)
	}

	b.open("/findings")
	b.until(`document.querySelectorAll("tr.row").length === 1`)
	eval[bool](b, `document.querySelector("tr.row td.title a").focus() ?? (window.same = true)`)
	h.bring("deps", "shop", wrong("a new thing", finding.High))
	b.until(`document.querySelectorAll("tr.row").length === 2 && document.querySelector("tr.row a").textContent === "a new thing"`)
	if !eval[bool](b, `window.same === true && document.activeElement.textContent === "a small thing"`) {
		t.Error("the page was loaded anew, or what was focused is not any more")
	}
	eval[string](b, `document.activeElement.blur() ?? ""`)
	b.do(chromedp.KeyEvent("?"))
	b.until(`document.querySelector("#keys").open`)
	b.do(chromedp.KeyEvent("\x1b"))
	b.until(`!document.querySelector("#keys").open`)
	b.do(chromedp.KeyEvent("j"), chromedp.KeyEvent("\r"), chromedp.WaitVisible("#history"))
	b.until(`document.querySelector("time").title.endsWith("UTC")`)
	b.quiet()
}

// A run's log comes into the page as it is written, and the page tells of the end.
func TestBrowserLog(t *testing.T) {
	h := home(t)
	hold := make(chan string)
	h.build.hold = hold
	h.work()
	run := h.ran(h.push("main", "first", map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: [make]}}\n"}), func(e pipeline.Execution) bool { return e.Status == pipeline.InProgress })
	b := browse(t, h, nil)
	b.signIn()
	b.open(pipeline.Path(run.ID))
	b.do(chromedp.WaitVisible("pre.log"))
	hold <- "something <b>new</b>"
	b.until(`document.querySelector("pre.log").textContent.includes("something <b>new</b>")`)
	close(hold)
	b.until(`document.querySelector("pre.log").textContent.includes("=== Gate ===") && !!document.querySelector(".verdict.passed")`)
	if n := eval[int](b, `document.querySelector("pre.log").textContent.split("something").length - 1`); n != 1 {
		t.Errorf("the line came %d times", n)
	}
	b.quiet()
}

// No page is wider than a phone, none makes the browser complain, and dark is dark, in both languages.
func TestBrowserPages(t *testing.T) {
	h := home(t)
	f := fill(h)
	b := browse(t, h, map[string]any{"accept-lang": "ko-KR", "lang": "ko-KR", "blink-settings": "preferredColorScheme=0"})
	b.signIn()
	light, dark := "rgb(246, 247, 245)", "rgb(16, 22, 20)"
	for _, path := range append(f.pages(h), "/nowhere") {
		b.do(chromedp.EmulateViewport(390, 844))
		b.open(path)
		if path == "/nowhere" { // the browser says that the page was 404, as it should
			b.mu.Lock()
			b.complaints = nil
			b.mu.Unlock()
		}
		if got := eval[string](b, `document.documentElement.lang`); got != "ko" {
			t.Errorf("%s is in %s", path, got)
		}
		if paper := eval[string](b, `getComputedStyle(document.body).backgroundColor`); paper != dark {
			t.Errorf("%s: the paper is %s in the dark, want %s and not %s", path, paper, dark, light)
		}
		eval[int](b, `document.querySelectorAll("details").forEach((d) => d.open = true) ?? 0`)
		for _, width := range []int64{390, 1280} {
			b.do(chromedp.EmulateViewport(width, 844))
			if over := eval[string](b, tooWide); over != "" {
				t.Errorf("%s at %d px: %s", path, width, over)
			}
		}
	}
	b.quiet()
}

// tooWide names what sticks out of the page, if anything does.
const tooWide = `(() => {
	const wide = document.documentElement.clientWidth;
	if (document.documentElement.scrollWidth <= wide) return "";
	const out = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > wide + 1 && !e.closest(".scroll, pre"));
	return "wider by " + (document.documentElement.scrollWidth - wide) + ": " + out.slice(0, 4).map((e) => e.tagName + "." + e.className + " " + e.textContent.trim().slice(0, 30)).join("; ");
})()`

// Without our script every page is there, and a finding is suppressed by its form.
func TestBrowserWithoutScript(t *testing.T) {
	h := home(t)
	h.bring("secret", "shop", wrong("AWS access key", finding.Critical))
	handler := h.server.Config.Handler
	h.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".js") {
			w.Header().Set("Content-Type", "text/javascript")
			return
		}
		handler.ServeHTTP(w, r)
	})
	b := browse(t, h, nil)
	b.signIn()
	b.open("/findings")
	b.do(chromedp.Click("input[name=ref]"), chromedp.SetValue("select[name=status]", "SUPPRESSED"), chromedp.SendKeys("input[name=reason]", "an example"), chromedp.Click(".bulk button.primary"), chromedp.WaitVisible(".said"))
	if n, err := h.hub.Count(t.Context(), hub.Filters{"WorkflowStatus": hub.Is("SUPPRESSED")}); err != nil || n != 1 {
		t.Errorf("suppressed: %d, %v", n, err)
	}
	if said := eval[string](b, `document.querySelector(".said").textContent`); said != fmt.Sprintf("Findings changed: %d", 1) {
		t.Errorf("it says %q", said)
	}
	b.quiet()
}
