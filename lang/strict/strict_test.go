package strict_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/lang/strict"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"go.yaml.in/yaml/v4"
)

type config struct {
	Listen  string
	Kept    time.Duration
	Port    int
	On      *bool
	Proxies []netip.Addr `yaml:"trusted-proxies"`
	Hosts   []string
	Command map[string]struct{ Argv []string }
	hidden  string
}

func TestUnmarshal(t *testing.T) {
	c := config{Listen: "stays", Port: 1}
	err := strict.Unmarshal("haechi.yaml", []byte(`
# a comment
kept: 7d12h
port: 8080
on: false
trusted-proxies: [127.0.0.1, "::1"]
hosts: one
command:
  mend: &mend {argv: [/bin/mend, --now]}
  again: *mend
`), &c)
	if err != nil {
		t.Fatal(err)
	}
	off := false
	argv := struct{ Argv []string }{[]string{"/bin/mend", "--now"}}
	want := config{Listen: "stays", Kept: 180 * time.Hour, Port: 8080, On: &off, Proxies: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}, Hosts: []string{"one"}, Command: map[string]struct{ Argv []string }{"mend": argv, "again": argv}}
	if c.hidden != "" {
		t.Errorf("a field that is not exported became %q", c.hidden)
	}
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(config{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// Every mistake is named at its place, with what to do.
func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"listen: a\nprot: 1\n":                 "f:2:1: unknown key \"prot\" (did you mean \"port\"?)",
		"port: many":                           "f:1:7: a whole number is wanted here, not \"many\"",
		"port: 1\nport: 2":                     "\"port\" ",
		"on: yes":                              "f:1:5: true or false is wanted here, not \"yes\"",
		"hosts: {a: b}":                        "f:1:8: a list is wanted here, not keys and values",
		"listen: [a]":                          "f:1:9: one value is wanted here, not a list",
		"trusted-proxies: [localhost]":         "f:1:19: \"localhost\": ",
		"kept: soon":                           "f:1:7: \"soon\" is not a duration",
		"- a":                                  "f:1:1: keys and values are wanted here, not a list",
		"a: [":                                 "f:2: ",
		"hidden: x":                            "f:1:1: unknown key \"hidden\"",
		"command: {mend: {argv: {}}}":          "f:1:24: a list is wanted",
		"command:\n  mend: {argv: [a], no: 1}": "f:2:21: unknown key \"no\"",
	} {
		err := strict.Unmarshal("f", []byte(text), new(config))
		var at *diag.Error
		if !errors.Is(err, fault.Invalid) || !errors.As(err, &at) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// A file that unfolds without end is refused before it does.
func TestBounded(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 9; i++ {
		p, n := string(rune('0'+i-1)), string(rune('0'+i))
		bomb += "a" + n + ": &a" + n + " [" + strings.TrimSuffix(strings.Repeat("*a"+p+",", 10), ",") + "]\n"
	}
	type tree []tree
	var v map[string]tree
	if err := strict.Unmarshal("f", []byte(bomb), &v); err == nil {
		t.Error("the bomb was taken")
	}
	if err := strict.Unmarshal("f", []byte(strings.Repeat("[", 10_000)), &v); err == nil {
		t.Error("10,000 levels were taken")
	}
	if err := strict.Unmarshal("f", make([]byte, 2<<20), &v); err == nil {
		t.Error("2 MiB were taken")
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"30s": 30 * time.Second, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "0s": 0, "-1s": -1, "d": -1, "-1d": -1, "1x": -1, "": -1, "999999999d": -1} {
		got, err := strict.Duration(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("Duration(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte("listen: a\nkept: 7d\nhosts: [a, b]\ncommand: {x: {argv: y}}"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("? [x]\n: y\n<<: {port: 1}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := strict.Unmarshal("f", text, new(config)); err != nil && !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// What people write in YAML can be handed on as JSON: in order, numbers as written, bounded.
func TestJSON(t *testing.T) {
	for text, want := range map[string]string{
		"v: {b: 1.50, a: [x, true, null, '1'], t: 2026-11-25}": `{"b":1.50,"a":["x",true,null,"1"],"t":"2026-11-25"}`,
		`v: '{"a": [1]}'`:         `{"a": [1]}`,
		"v: 12345678901234567890": `12345678901234567890`,
		"v: nonsense":             "",
		"v: {a: 1, a: 2}":         "",
		"v: .nan":                 "",
		"v: &x [*x]":              "",
		"v: 0x1F":                 `31`,
		"v: &x {a: 1}\nw: [*x]":   `{"a":1}`,
	} {
		var got struct{ V, W yaml.Node }
		if err := strict.Unmarshal("f", []byte(text), &got); err != nil {
			if want != "" {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		out, err := strict.JSON(&got.V)
		if (err == nil) != (want != "") || want != "" && string(out) != want {
			t.Errorf("%s: got %s, %v, want %s", text, out, err, want)
		}
	}
}
