package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/word/finding"
)

//go:embed *.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// tmpl is a page's template within the frame.
type tmpl = template.Template

// static serves the style, the script and the picture, which change only with the program.
func static() http.Handler {
	files, err := fs.Sub(staticFiles, ".")
	if err != nil {
		panic(err) // the name is ours
	}
	serve := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		serve.ServeHTTP(w, r)
	})
}

func parseTemplates() (map[string]map[string]*tmpl, error) {
	all := map[string]map[string]*tmpl{}
	files, err := fs.Glob(templateFiles, "page_*.html")
	if err != nil {
		return nil, err
	}
	for _, lang := range languages() {
		all[lang] = map[string]*tmpl{}
		for _, f := range files {
			t, err := template.New("frame.html").Funcs(functions(lang)).ParseFS(templateFiles, "frame.html", "parts.html", f)
			if err != nil {
				return nil, fmt.Errorf("a page's template: %w", err)
			}
			all[lang][strings.TrimSuffix(strings.TrimPrefix(path.Base(f), "page_"), ".html")] = t
		}
	}
	return all, nil
}

// functions are what templates may call.
func functions(lang string) template.FuncMap {
	return template.FuncMap{
		"t":     func(text string, args ...any) string { return translate(lang, text, args...) },
		"th":    func(text string, args ...any) template.HTML { return translateHTML(lang, text, args...) },
		"lang":  func() string { return lang },
		"lower": func(v any) string { return strings.ToLower(fmt.Sprint(v)) },
		"when":  func(v any) template.HTML { return when(lang, v) },
		"num":   number,
		"bytes": bytesOf,
		"who":   who,
		"short": func(n int, text string) string { return shorten(text, n) },
		"dict":  dict,
		"step":  func(name string) string { return stepName(lang, name) },
		"plain": func(text string) string { return strings.Map(seen, text) },
		"list":  func(all ...any) []any { return all },
	}
}

// dict is what a part gets that needs more than one value: dict "a" 1 "b" 2.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: a name without a value")
	}
	d := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		d[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return d, nil
}

// when shows a time, in UTC; a script turns it into the reader's own.
func when(lang string, v any) template.HTML {
	var at time.Time
	switch v := v.(type) {
	case time.Time:
		at = v
	case string:
		var ok bool
		if at, ok = finding.Time(v); !ok {
			return template.HTML(template.HTMLEscapeString(v))
		}
	}
	if at.IsZero() {
		return template.HTML(`<span class="none">` + template.HTMLEscapeString(translate(lang, "never")) + `</span>`)
	}
	at = at.UTC()
	return template.HTML(`<time datetime="` + at.Format(time.RFC3339) + `">` + at.Format("2006-01-02 15:04:05") + ` UTC</time>`)
}

// who is a principal's or a product's ARN as people say it: the user, or company/product.
func who(arn string) string {
	for _, mark := range []string{":user/", ":assumed-role/", ":product/"} {
		if _, name, ok := strings.Cut(arn, mark); ok && strings.HasPrefix(arn, "arn:") {
			return name
		}
	}
	if strings.HasPrefix(arn, "arn:aws:haechi:") { // one of our rooms
		return arn[strings.LastIndex(arn, ":")+1:]
	}
	return arn
}

// number is n with its thousands apart.
func number(n any) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// bytesOf is a size as people say it.
func bytesOf(n int64) string {
	v, unit := float64(n), "B"
	for _, u := range []string{"kB", "MB", "GB", "TB"} {
		if v < 1000 {
			break
		}
		v, unit = v/1000, u
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + " " + unit
}

func shorten(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

// nav is one entry of the navigation.
type nav struct {
	Title, Path string
	Here        bool
}

// frame is what surrounds every page.
type frame struct {
	Page    string
	Lang    string
	User    string // "" for nobody
	Nav     []nav
	Said    string
	Account string
	Version string
	Head    int64
	View    any
}

func (o *Console) render(q *request, status int, p page, view any) {
	f := frame{Page: p.name, Lang: q.lang, User: nameOf(q.principal), Account: o.config.Account, Version: o.config.Version, Said: q.said(), Head: q.head, View: view}
	if f.User != "" {
		for _, n := range o.pages() {
			if n.nav != "" && (o.config.Access.Allow(q.Context(), n.asks(q)...) == nil) {
				f.Nav = append(f.Nav, nav{n.nav, n.link(), n.name == p.name || n.name == p.under})
			}
		}
	}
	var b bytes.Buffer
	if err := o.templates[q.lang][p.name].Execute(&b, f); err != nil {
		o.config.Log.Error("a page could not be written", "page", p.name, "error", err)
		http.Error(q.w, "internal error", http.StatusInternalServerError)
		return
	}
	q.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	q.w.Header().Set("Content-Language", q.lang)
	q.w.Header().Add("Vary", "Accept-Language, Cookie")
	q.w.WriteHeader(status)
	_, _ = q.w.Write(bytes.Map(straight, b.Bytes())) // titles of commits, names of files may be anything
}

// straight is a character, or a mark in the place of one that turns the direction of writing of what comes after
// it, or of what is none. Pages that show files name such characters before.
func straight(r rune) rune {
	if r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
		return utf8.RuneError
	}
	return r
}

// link is the path as a link has it.
func (p page) link() string { return strings.TrimSuffix(p.path, "{$}") }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
