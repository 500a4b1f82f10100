package console_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/river/work"
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
	b.do(chromedp.WaitVisible("div.log"))
	hold <- "something <b>new</b>"
	b.until(`document.querySelector("div.log").textContent.includes("something <b>new</b>")`)
	// Many lines at once: the page stays at the end, and holds few of them.
	for i := range 40 {
		hold <- strings.Repeat(fmt.Sprintf("chunk %d of many\n", i), 500)
	}
	hold <- "the newest"
	b.until(`document.querySelector("div.log").lastElementChild.textContent.includes("the newest")`)
	b.until(`(() => { const log = document.querySelector("div.log"); return log.scrollHeight - log.scrollTop - log.clientHeight < 60 && log.childElementCount <= 3000; })()`)
	close(hold)
	b.until(`document.querySelector("div.log").textContent.includes("=== Gate ===") && !!document.querySelector(".verdict.passed")`)
	if n := eval[int](b, `document.querySelector("div.log").textContent.split("the newest").length - 1`); n != 1 {
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
	seen := map[string]int{}
	for _, path := range append(f.pages(h), "/nowhere") {
		if plain, _, _ := strings.Cut(path, "?"); seen[plain] < 2 { // most pages look the same with another question
			seen[plain]++
		} else {
			continue
		}
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

// million is a run whose log has so many lines.
func (h *house) million(lines int) (path string) {
	h.t.Helper()
	h.work()
	run := h.ran(h.push("main", "first", map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: [make]}}\n"}), ended)
	job := work.Job{ID: "million", Kind: "million"}
	if err := h.db.Write(h.t.Context(), func(tx *db.Tx) error { return h.queue.Add(tx, job) }); err != nil {
		h.t.Fatal(err)
	}
	lease, _, err := h.queue.Claim(h.t.Context(), "me", job.Kind)
	if err != nil {
		h.t.Fatal(err)
	}
	last := run.Stages[len(run.Stages)-1].Actions[0]
	stream := "pipeline/" + run.ID + "/" + last.ID
	log := h.queue.Log(h.t.Context(), lease, stream, nil)
	var text []byte
	for i := range lines {
		switch {
		case i%100_000 == 0:
			text = append(text, "== phase build ==\n"...)
		case i%1000 == 0:
			text = append(text, "$ go test ./...\n"...)
		default:
			text = fmt.Appendf(text, "%07d \x1b[32mok\x1b[0m\tgithub.com/example/shop/internal/basket\t0.0%02ds\n", i, i%97)
		}
		if len(text) > 32<<10 || i == lines-1 {
			if _, err := log.Write(text); err != nil {
				h.t.Fatal(err)
			}
			text = text[:0]
		}
	}
	if err := log.Close(); err != nil {
		h.t.Fatal(err)
	}
	if err := h.db.Write(h.t.Context(), func(tx *db.Tx) error { return h.queue.End(tx, stream) }); err != nil {
		h.t.Fatal(err)
	}
	return pipeline.Path(run.ID)
}

// A log of a million lines is looked at as quickly as a short one: its end, a line in the middle, what is searched
// for, and what is folded away; and the page never holds more than a few thousand lines. HAECHI_LINES says how many.
func TestBrowserMillion(t *testing.T) {
	lines := 20_000
	if n, err := strconv.Atoi(os.Getenv("HAECHI_LINES")); err == nil {
		lines = n
	}
	h := home(t)
	began := time.Now()
	took := func(what string) {
		t.Logf("%-28s %v", what, time.Since(began).Round(time.Millisecond))
		began = time.Now()
	}
	path := h.million(lines)
	took("written")
	b := browse(t, h, nil)
	b.signIn()
	took("signed in")
	middle := lines / 2
	b.open(path)
	b.until(`document.querySelectorAll(".line").length >= 500 && !document.querySelector(".log-place").hidden`)
	took("page, first time")
	b.open(path)
	b.until(`document.querySelectorAll(".line").length >= 500`)
	took("page, again")
	b.open("/")
	began = time.Now()
	b.open(path + fmt.Sprintf("#L%d-L%d", middle, middle+2))
	b.until(fmt.Sprintf(`document.querySelectorAll(".line.chosen").length === 3 && !!document.querySelector("#L%d")`, middle))
	took("line in the middle")
	b.do(chromedp.Click("[data-to=last]"))
	b.until(`document.querySelector(".line:last-child").id.slice(1) == document.querySelector("#log input[type=range]").max`)
	took("to the end")
	b.do(chromedp.SendKeys("input[name=find]", fmt.Sprintf("%07d OK\r", lines-7)))
	b.until(`document.querySelector("[data-steps] output").textContent === "1 / 1" && document.querySelectorAll(".line.hit").length === 1`)
	took("a search through all of it")
	eval[int](b, `document.querySelector("[data-to=first]").click() ?? 1`)
	b.until(`!!document.querySelector("#L1")`)
	for range 7 { // far enough that the beginning is let go of
		eval[int](b, `(document.querySelector(".log").scrollTop = 1e9, 1)`)
		last := eval[int](b, `+document.querySelector(".line:last-child").id.slice(1)`)
		b.until(fmt.Sprintf(`+document.querySelector(".line:last-child").id.slice(1) > %d`, last))
	}
	took("seven screens scrolled")
	if held := eval[int](b, `document.querySelectorAll(".line").length`); held > 3000 || eval[bool](b, `!!document.querySelector("#L1")`) {
		t.Errorf("the page holds %d lines", held)
	}
	eval[int](b, `(location.hash = "#L1", 1)`)
	b.until(`!!document.querySelector(".line.h-2 .fold")`)
	shown := eval[int](b, `(() => { const all = [...document.querySelectorAll(".line.h-2")], last = all.at(-1); last.querySelector(".fold").click(); return +last.id.slice(1); })()`)
	b.until(fmt.Sprintf(`(() => { const next = document.querySelector("#L%d").nextElementSibling; return !next || +next.id.slice(1) > %[1]d + 10; })()`, shown))
	took("a phase folded")
	b.quiet()
}
