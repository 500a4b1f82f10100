package console

import (
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var property = regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`)

// themes are the colours of the style sheet, light and dark.
func themes(t *testing.T) map[string]map[string]string {
	t.Helper()
	style, err := fs.ReadFile(staticFiles, "static/haechi.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, ok := strings.Cut(string(style), "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("there is no dark theme")
	}
	all := map[string]map[string]string{"light": {}, "dark": {}}
	for theme, text := range map[string]string{"light": light, "dark": dark} {
		for _, m := range property.FindAllStringSubmatch(text, -1) {
			all[theme][m[1]] = m[2]
		}
	}
	if len(all["light"]) != len(all["dark"]) || len(all["light"]) < 20 {
		t.Fatalf("%d colours in light, %d in dark", len(all["light"]), len(all["dark"]))
	}
	return all
}

// luminance is WCAG's relative luminance.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 32)
	if err != nil {
		t.Fatalf("%q is no colour", colour)
	}
	linear := func(v uint64) float64 {
		c := float64(v&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(n>>16) + 0.7152*linear(n>>8) + 0.0722*linear(n)
}

func contrast(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// Every text can be read, and every shape seen, in both themes: WCAG's AA.
func TestContrast(t *testing.T) {
	type pair struct {
		front, back string
		least       float64
	}
	var pairs []pair
	for _, back := range []string{"paper", "card", "hover"} {
		for _, front := range []string{"ink", "soft", "link"} {
			pairs = append(pairs, pair{front, back, 4.5})
		}
		pairs = append(pairs, pair{"focus", back, 3}, pair{"soft", back, 3}, pair{"brand", back, 3})
	}
	pairs = append(pairs, pair{"brand-ink", "brand", 4.5}, pair{"critical", "card", 4.5}, pair{"critical", "hover", 4.5}, pair{"ink", "medium-paper", 4.5}, pair{"link", "good-paper", 4.5})
	for _, colour := range []string{"critical", "high", "medium", "low", "informational", "good"} {
		pairs = append(pairs, pair{colour, colour + "-paper", 4.5}, pair{colour, "card", 3}, pair{colour, "hover", 3})
	}
	for theme, colours := range themes(t) {
		for _, p := range pairs {
			if got := contrast(t, colours[p.front], colours[p.back]); got < p.least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", theme, p.front, p.back, got, p.least)
			}
		}
	}
	if got := contrast(t, "#000000", "#ffffff"); math.Abs(got-21) > 0.01 {
		t.Fatalf("black on white is %.2f: the arithmetic is wrong", got)
	}
}

var (
	inline  = regexp.MustCompile(`(?i)\sstyle\s*=|<style|\son[a-z]+\s*=|javascript:|<script(?:>| [^>]*[^>r]>)`)
	outside = regexp.MustCompile(`(?:src|href|action)="(?:https?:)?//|url\(|@import`)
)

// No page needs a script or a style within it, or anything from elsewhere: the policy that forbids it stays whole.
func TestNothingInline(t *testing.T) {
	for _, f := range []struct {
		files fs.FS
		glob  string
	}{{templateFiles, "*.html"}, {staticFiles, "static/*"}} {
		names, err := fs.Glob(f.files, f.glob)
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(f.files, name)
			if err != nil {
				t.Fatal(err)
			}
			if found := outside.FindString(strings.ReplaceAll(string(text), "url(#arrow)", "")); found != "" {
				t.Errorf("%s: %s", name, found)
			}
			if found := inline.FindString(strings.ReplaceAll(string(text), `<script src="/static/haechi.js" defer>`, "")); found != "" && strings.HasSuffix(name, ".html") {
				t.Errorf("%s: %s", name, found)
			}
		}
	}
}

// Sizes and numbers are said as people say them.
func TestNumbers(t *testing.T) {
	for in, want := range map[any]string{0: "0", 999: "999", 1000: "1,000", int64(1234567): "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := number(in); got != want {
			t.Errorf("%v: %s, want %s", in, got, want)
		}
	}
	for in, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 1_500_000: "1.5 MB", 12_000_000_000: "12 GB"} {
		if got := bytesOf(in); got != want {
			t.Errorf("%d: %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"arn:aws:iam::111122223333:user/ada": "ada", "arn:aws:haechi:us-east-1:111122223333:route": "route", "arn:aws:securityhub:us-east-1::product/aqua/scan": "aqua/scan", "deps": "deps", "x:user/y": "x:user/y",
	} {
		if got := who(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := fmt.Sprint(shorten("한글입니다", 3), shorten("abc", 3)); got != "한글…abc" {
		t.Error(got)
	}
}
