package secret_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/haechi-dev/haechi/tool/scan/secret"
)

func configured(t *testing.T, text string, files fstest.MapFS) *secret.Scanner {
	t.Helper()
	c, err := secret.ParseConfig(".gitleaks.toml", []byte(text), files)
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(nil).Configured(c)
}

// shop is a rule as people write them.
const shop = "[[rules]]\nid = 'shop-token'\ndescription = 'Shop'\nregex = '''(?i)(shop)_([0-9a-f]{8})'''\nsecretGroup = 2\nkeywords = ['SHOP_']\n"

// A file of gitleaks' is answered as gitleaks answers it: keywords, paths,
// groups, entropy, allowlists of every kind, and rules that require others.
func TestConfig(t *testing.T) {
	cases := map[string]struct {
		config, path, text string
		want               int
	}{
		"finds":                    {shop, "a.txt", "x SHOP_12ab34cd y shop_56ab34cd", 2},
		"no keyword":               {strings.Replace(shop, "'SHOP_'", "'nothing'", 1), "a.txt", "shop_12ab34cd", 0},
		"without keywords":         {strings.Replace(shop, "keywords = ['SHOP_']\n", "", 1), "a.txt", "shop_12ab34cd", 1},
		"path":                     {shop + "path = '''\\.env$'''\n", "a.txt", "shop_12ab34cd", 0},
		"path fits":                {shop + "path = '''\\.env$'''\n", "b/.env", "shop_12ab34cd", 1},
		"path alone":               {"[[rules]]\nid = 'p12'\npath = '''\\.p12$'''\n", "keys/a.p12", "", 1},
		"entropy":                  {shop + "entropy = 2.0\n", "a.txt", "shop_11112222", 0},
		"entropy suffices":         {shop + "entropy = 2.0\n", "a.txt", "shop_12345678", 1},
		"allowed secret":           {shop + "[rules.allowlist]\nregexes = ['''^12''']\n", "a.txt", "shop_12ab34cd", 0},
		"allowed match":            {shop + "[[rules.allowlists]]\nregexTarget = 'match'\nregexes = ['''^shop_12''']\n", "a.txt", "shop_12ab34cd", 0},
		"no match":                 {shop + "[[rules.allowlists]]\nregexes = ['''^shop_12''']\n", "a.txt", "shop_12ab34cd", 1},
		"allowed line":             {shop + "[[rules.allowlists]]\nregexTarget = 'line'\nregexes = ['''# fine$''']\n", "a.txt", "a\nshop_12ab34cd # fine\n", 0},
		"stopword":                 {shop + "[[rules.allowlists]]\nstopwords = ['AB34']\n", "a.txt", "shop_12ab34cd", 0},
		"both conditions":          {shop + "[[rules.allowlists]]\ncondition = 'AND'\nstopwords = ['ab34']\npaths = ['''^b/''']\n", "a.txt", "shop_12ab34cd", 1},
		"both conditions hold":     {shop + "[[rules.allowlists]]\ncondition = '&&'\nstopwords = ['ab34']\npaths = ['''^b/''']\n", "b/a.txt", "shop_12ab34cd", 0},
		"global path":              {shop + "[allowlist]\npaths = ['''^b/''']\n", "b/a.txt", "shop_12ab34cd", 0},
		"global stopword":          {shop + "[[allowlists]]\nstopwords = ['ab34']\n", "a.txt", "shop_12ab34cd", 0},
		"another rule's allowlist": {shop + "[[rules]]\nid = 'other'\nregex = 'zzz'\n[[allowlists]]\ntargetRules = ['other']\nstopwords = ['ab34']\n", "a.txt", "shop_12ab34cd", 1},
		"requires, and is near":    {shop + "[[rules.required]]\nid = 'shop-user'\nwithinLines = 2\n[[rules]]\nid = 'shop-user'\nregex = 'shopper=\\w+'\nskipReport = true\n", "a.txt", "shopper=kim\nshop_12ab34cd", 1},
		"requires, and is far":     {shop + "[[rules.required]]\nid = 'shop-user'\nwithinLines = 2\n[[rules]]\nid = 'shop-user'\nregex = 'shopper=\\w+'\nskipReport = true\n", "a.txt", "shopper=kim\n\n\n\nshop_12ab34cd", 0},
		"own rules only if asked":  {shop, "a.env", "API_TOKEN=" + random(3, 40), 0},
		"own rules asked for":      {shop + "[extend]\nuseDefault = true\n", "a.env", "API_TOKEN=" + random(3, 40), 1},
		"own rule disabled":        {shop + "[extend]\nusedefault = true\ndisabledRules = ['generic-api-key']\n", "a.env", "API_TOKEN=" + random(3, 40), 0},
		"own rule's allowlist":     {"[extend]\nuseDefault = true\n[[rules]]\nid = 'generic-api-key'\n[rules.allowlist]\npaths = ['''^a''']\n", "a.env", "API_TOKEN=" + random(3, 40), 0},
		"own finds let be":         {"[extend]\nuseDefault = true\n[allowlist]\nregexes = ['''^" + random(3, 40) + "$''']\n", "a.env", "API_TOKEN=" + random(3, 40), 0},
	}
	for name, c := range cases {
		if got := configured(t, c.config, nil).Check(c.path, []byte(c.text)); len(got) != c.want {
			t.Errorf("%s: %d findings, want %d", name, len(got), c.want)
		}
	}
}

// A file extends another beside it; what it says itself goes before.
func TestConfigExtends(t *testing.T) {
	files := fstest.MapFS{"base.toml": {Data: []byte(shop + "[[rules]]\nid = 'off'\nregex = 'offoff'\n")}}
	s := configured(t, "[extend]\npath = 'base.toml'\ndisabledRules = ['off']\n[[rules]]\nid = 'shop-token'\n[rules.allowlist]\nstopwords = ['12ab']\n", files)
	if n := len(s.Check("a", []byte("shop_56ab34cd offoff shop_12ab34cd"))); n != 1 {
		t.Errorf("%d findings, want 1", n)
	}
}

// What is wrong with a file is told with its place.
func TestConfigMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"[[rules]]\nregex = 'a'\n":                              "a rule has no id",
		"[[rules]]\nid = 'a'\n":                                 "rule a has neither regex nor path",
		"[[rules]]\nid = 'a'\nregex = '('\n":                    "missing closing )",
		"[[rules]]\nid = 'a'\nregex = 'a'\nsecretGroup = 3\n":   "secretGroup is 3, and the regex has 0 groups",
		"[[rules]]\nid = 'a'\nregex = '((a{900}){900}){900}'\n": "regex",
		"[[rules]]\nid = 'a'\nregex = '((a|b|c|d){90}){9}(\\w{800}.{800}\\pL{800}){1}'\nkeywords = 7\n": "keywords is no list of texts",
		"[allowlist]\ndescription = 'x'\n":          "says none of commits, paths, regexes and stopwords",
		"[extend]\npath = '../x'\n":                 "does not lie beside the file",
		"[extend]\nuseDefault = true\npath = 'x'\n": "cannot both be said",
		"x = \n": ".gitleaks.toml:1:5: a value is missing",
	} {
		if _, err := secret.ParseConfig(".gitleaks.toml", []byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A pattern that is too large for a file costs that file alone, and the scan says so.
func TestConfigBounded(t *testing.T) {
	s := configured(t, "[[rules]]\nid = 'a'\nregex = '(?:\\pL{200}\\pN{200}x?){2}z'\n", nil)
	start := time.Now()
	s.Check("a", []byte(strings.Repeat("ab1 ", 1<<16)))
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

// gitleaks' own file loads as it is, and its rules find what they are made for.
func TestConfigOfGitleaks(t *testing.T) {
	file := os.Getenv("HAECHI_GITLEAKS_TOML")
	if file == "" {
		t.Skip("HAECHI_GITLEAKS_TOML names no gitleaks.toml")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := configured(t, string(text), nil)
	for _, token := range []string{"dop" + "_v1_" + strings.Repeat("0a1b2c3d", 8), "glpat" + "-" + random(1, 20), "AKIA" + strings.ToUpper("qylpmn5hhhfpzam2")} {
		if found := s.Check("a.env", []byte("x = "+token+"\n")); len(found) != 1 {
			t.Errorf("%.8s…: %d findings", token, len(found))
		}
	}
}

// Whatever a file says, it is read or refused, and what is read does no harm.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(shop), []byte("shop_12ab34cd"))
	f.Add([]byte("[extend]\nuseDefault=true\n[allowlist]\npaths=['a']\n"), []byte("API_TOKEN="+random(3, 40)))
	base := secret.New(nil)
	f.Fuzz(func(t *testing.T, config, text []byte) {
		if len(config) > 1<<12 || len(text) > 1<<12 {
			return
		}
		c, err := secret.ParseConfig("c.toml", config, fstest.MapFS{})
		if err != nil {
			return
		}
		base.Configured(c).Check("a.txt", text)
	})
}
