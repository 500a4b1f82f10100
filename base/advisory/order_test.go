package advisory_test

import (
	"testing"

	"github.com/haechi-dev/haechi/base/advisory"
	"pgregory.net/rapid"
)

// Each list is in order, the oldest first; what stands in one line is equal.
func TestOrder(t *testing.T) {
	for ecosystem, ordered := range map[string][][]string{
		"npm": {{"0.0.1"}, {"0.9.9"}, {"1.0.0-alpha"}, {"1.0.0-alpha.1"}, {"1.0.0-alpha.beta"}, {"1.0.0-beta"}, {"1.0.0-beta.2"}, {"1.0.0-beta.11"}, {"1.0.0-rc.1"}, {"1.0.0", "1.0", "1.0.0+build.5", "v1.0.0"}, {"1.0.1"}, {"1.9.0"}, {"1.10.0"}, {"2.0.0"}, {"99999999999999999999.0.0"}},
		"Go":  {{"v0.0.0-20200709230013-948cd5f35899", "0.0.0-20200709230013-948cd5f35899"}, {"0.0.0-20211202192323-5770296d904e"}, {"0.3.3"}, {"0.3.8"}, {"3.2.0+incompatible", "3.2.0"}, {"3.2.1-0.20180719211823-0b96aaa70776"}, {"4.0.0-preview1"}, {"4.0.0"}},
		"PyPI": {{"1.dev1"}, {"1.0a1", "1.0.alpha.1", "1.0-a1"}, {"1.0a2.dev1"}, {"1.0a2"}, {"1.0b1"}, {"1.0rc1", "1.0c1", "1.0-preview1"}, {"1.0", "1", "1.0.0", "v1.0"}, {"1.0+abc"}, {"1.0+abc.7"}, {"1.0+5"}, {"1.0.post1.dev1"}, {"1.0.post1", "1.0-1", "1.0rev1"},
			{"1.1.dev1"}, {"1.1"}, {"5.2b1"}, {"5.2"}, {"5.10"}, {"2020.1"}, {"1!0.5"}},
		"Maven": {{"1-alpha-1", "1-a1", "1.0-alpha1"}, {"1-alpha-2"}, {"1-beta"}, {"1-milestone-1", "1-m1"}, {"1-rc1", "1-cr1"}, {"1-SNAPSHOT"}, {"1", "1.0", "1.0.0", "1-ga", "1.0-final", "1.RELEASE"}, {"1-sp"}, {"1-abc"}, {"1-xyz"}, {"1-1"}, {"1.1"}, {"1.2"}, {"1.10"},
			{"2.0-beta7"}, {"2.0-beta9"}, {"2.0-rc1"}, {"2.0"}, {"2.3.1"}, {"2.12.7"}, {"2.12.7.1"}, {"2.13.0-rc1"}, {"2.13.0"}},
		"RubyGems":       {{"1.0.0.beta2"}, {"1.0.0.rc1"}, {"1.0.0", "1.0"}, {"1.0.1"}, {"1.10"}},
		"NuGet":          {{"1.0.0-alpha.2"}, {"1.0.0-alpha.10"}, {"1.0.0-beta", "1.0.0-BETA"}, {"1.0.0", "1.0.0.0"}, {"1.0.0.1"}, {"1.2"}},
		"Packagist":      {{"1.0.0-dev"}, {"1.0.0-alpha1", "1.0.0-a1"}, {"1.0.0-beta1"}, {"1.0.0-RC1"}, {"1.0.0", "v1.0.0", "1.0", "1.0.0-stable"}, {"1.0.0-p1"}, {"1.0.0-p9"}, {"1.0.1"}},
		"GitHub Actions": {{"1.0.0"}, {"1.2.0", "v1.2.0"}, {"1.10.0"}}, "CRAN": {{"1.0"}, {"1.0-1", "1.0.1"}, {"1.10"}}, "Hackage": {{"1.0"}, {"1.0.0"}, {"1.10"}}, "Pub": {{"1.0.0-a"}, {"1.0.0"}, {"1.0.0+1"}, {"1.0.0+2"}},
		"Debian:11":   {{"1.0~rc1-1"}, {"1.0-1"}, {"1.0-1+deb11u1"}, {"1.0-2"}, {"1.0a-1"}, {"1.0+dfsg-1"}, {"1.1-1"}, {"1.10-1"}, {"1:0.5-1"}},
		"AlmaLinux:9": {{"1.0~rc1-1.el9"}, {"1.0-1.el9"}, {"1.0^git1-1.el9"}, {"1.0.1-1.el9"}, {"1.10-1.el9"}, {"1:0.1-1.el9"}},
		"Alpine:v3.9": {{"1.0_alpha1-r0"}, {"1.0_rc2-r0"}, {"1.0-r0", "1.0"}, {"1.0-r1"}, {"1.0_p1-r0"}, {"1.0b-r0"}, {"1.1-r0"}},
	} {
		for i, left := range ordered {
			for j, right := range ordered {
				for _, a := range left {
					for _, b := range right {
						got, ok := advisory.Compare(ecosystem, a, b)
						if want := i - j; !ok || got > 0 != (want > 0) || got < 0 != (want < 0) {
							t.Errorf("%s: %s against %s is %d (%v), want the sign of %d", ecosystem, a, b, got, ok, want)
						}
					}
				}
			}
		}
	}
}

// What is no version is said to be none.
func TestNoVersion(t *testing.T) {
	for ecosystem, v := range map[string]string{"npm": "latest", "PyPI": "2004d", "Go": "master", "Maven": "", "crates.io": "^1", "Alpine": "edge", "Unheard": "1.0"} {
		if c, ok := advisory.Compare(ecosystem, v, "1.0"); ok {
			t.Errorf("%s %q compares as %d", ecosystem, v, c)
		}
	}
}

// Every order is one: turned around it is the opposite, and it is transitive.
func TestOrderIsAnOrder(t *testing.T) {
	loose := `v?[0-9]{1,3}([.\-_][0-9a-z]{1,4}){0,4}(\+[a-z0-9]{1,3})?`
	for ecosystem, pattern := range map[string]string{"npm": `[0-2](\.[0-2]){0,3}(-[0-2a-c]{1,2}(\.[0-2a-c]){0,2})?`, "Go": `v?[0-2](\.[0-2]){0,3}(-[0-2a-c]{1,2}(\.[0-2a-c]){0,2})?`,
		"PyPI": `([01]!)?[0-2](\.[0-2]){0,2}((a|b|rc)[0-2]?)?(\.post[0-2]?)?(\.dev[0-2]?)?(\+[a-c0-2](\.[a-c0-2])?)?`, "Maven": `[0-2](\.[0-2]){0,2}(-(alpha|b1|rc|sp|snapshot|x)(-[12])?){0,2}`,
		"RubyGems": loose, "Debian": loose, "AlmaLinux": `([01]:)?[0-2]([.~^\-a-c][0-2]?){0,3}`, "Alpine": `[0-2](\.[0-2]){0,2}[ab]?(_(alpha|rc|p)[0-2]?){0,2}(-r[0-2])?`} {
		version := rapid.StringMatching(pattern)
		t.Run(ecosystem, rapid.MakeCheck(func(t *rapid.T) {
			a, b, c := version.Draw(t, "a"), version.Draw(t, "b"), version.Draw(t, "c")
			ab, ok1 := advisory.Compare(ecosystem, a, b)
			ba, _ := advisory.Compare(ecosystem, b, a)
			bc, ok2 := advisory.Compare(ecosystem, b, c)
			ac, _ := advisory.Compare(ecosystem, a, c)
			if !ok1 || !ok2 {
				t.Skip("no versions there")
			}
			if ab > 0 != (ba < 0) || ab < 0 != (ba > 0) {
				t.Fatalf("%s, %s: %d, turned around %d", a, b, ab, ba)
			}
			if ab <= 0 && bc <= 0 && ac > 0 {
				t.Fatalf("%s ≤ %s ≤ %s, but the first is newer than the last", a, b, c)
			}
		}))
	}
}

// Names are compared as their ecosystem does.
func TestNormal(t *testing.T) {
	for _, c := range [][3]string{{"PyPI", "Zope.Interface__x", "zope-interface-x"}, {"npm", "@Babel/core", "@Babel/core"}, {"NuGet", "Newtonsoft.Json", "newtonsoft.json"}, {"Maven", "a.B:C", "a.B:C"}} {
		if got := advisory.Normal(c[0], c[1]); got != c[2] {
			t.Errorf("%s %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

// No pair of texts, however odd, makes a comparison break.
func FuzzCompare(f *testing.F) {
	f.Add("Maven", "1.0-a1", "1..-")
	f.Add("PyPI", "1!2.0rc1.post2.dev3+x", "")
	f.Add("AlmaLinux:9", "1:^~-", "~")
	f.Fuzz(func(t *testing.T, ecosystem, a, b string) {
		x, ok := advisory.Compare(ecosystem, a, b)
		y, _ := advisory.Compare(ecosystem, b, a)
		if ok && (x > 0 != (y < 0)) {
			t.Errorf("%s: %q, %q: %d, turned around %d", ecosystem, a, b, x, y)
		}
	})
}
