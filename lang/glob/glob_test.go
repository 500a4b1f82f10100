package glob_test

import (
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/lang/glob"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a.txt", "a.txt", true},
		{"./a.txt", "a.txt", true},
		{"a//b", "a/b", true},
		{"*", "a.txt", true},
		{"*", "d/a.txt", false},
		{"**/*", "a.txt", true},
		{"**/*", "d/e/a.txt", true},
		{"**", "d/e/a.txt", true},
		{"d/*", "d/a", true},
		{"d/*", "d/e/a", false},
		{"d/**/*", "d/e/f/a", true},
		{"d/**/*", "d/a", true},
		{"d/**/*", "e/a", false},
		{"**/x/**/y", "a/x/b/c/x/y", true},
		{"**/x/**/y", "a/x/b/c/z", false},
		{"**/.*", "a/.env", true},
		{"**/.*/**/*", "a/.git/objects/00", true},
		{"*/f.txt", "my-build-2/f.txt", true},
		{"my-build*", "my-build-1", true},
		{"{a,b/c}.{txt,md}", "b/c.md", true},
		{"{a,b/c}.{txt,md}", "c.md", false},
		{"{a,{b,c}}/x", "c/x", true},
		{`a\*`, "a*", true},
		{`a\*`, "ab", false},
		{`a\{b`, "a{b", true},
		{"[a-c]?", "bz", true},
		{"한*", "한글", true},
		{"../x", "x", true}, // nothing is above: callers refuse it
		{"", "a", false},
	} {
		p, err := glob.Parse(c.pattern)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		if got := p.Match(c.name); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.name, got)
		}
	}
	for _, bad := range []string{"[", "a/[x", `a\`, "{a", strings.Repeat("{a,b}", 7), strings.Repeat("a", 2000), strings.Repeat("a/", 100)} {
		if _, err := glob.Parse(bad); err == nil {
			t.Errorf("%.20q is taken", bad)
		}
	}
}

// No pattern takes long, however many stars it has.
func TestHostile(t *testing.T) {
	p, err := glob.Parse(strings.Repeat("**/a*a*a*/", 20) + "b")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if p.Match(strings.TrimSuffix(strings.Repeat(strings.Repeat("a", 200)+"/", 500), "/")) {
		t.Error("it matches")
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("**/*.{go,mod}", "a/b.go")
	f.Add(`[a-z]\*/**`, "a*/b")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		p, err := glob.Parse(pattern)
		if err != nil {
			return
		}
		p.Match(name)
		if !strings.ContainsAny(pattern, `*?[]{}\`) && !strings.Contains(pattern, "//") && !strings.Contains(pattern, "./") && pattern != "" && pattern[0] != '/' && !strings.HasSuffix(pattern, "/") && !strings.HasSuffix(pattern, ".") && !p.Match(pattern) {
			t.Errorf("%q does not match itself", pattern)
		}
	})
}
