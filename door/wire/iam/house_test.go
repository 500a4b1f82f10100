package iam_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	service "github.com/haechi-dev/haechi/door/wire/iam"
	"github.com/haechi-dev/haechi/door/wire/sts"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/keeper/access"
)

// people is access with an administrator, who has the tests' key.
func people(t *testing.T) *access.Access {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), access.Schema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	key, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	a := access.New(access.Config{DB: d, Sealer: key, Account: wiretest.Account})
	if err := a.CreateUser(t.Context(), "tester", access.Administrator); err != nil {
		t.Fatal(err)
	}
	if err := a.PutKey(t.Context(), "tester", wiretest.AccessKey, wiretest.Secret); err != nil {
		t.Fatal(err)
	}
	return a
}

// house is IAM and STS over one access that decides.
type house struct {
	*wiretest.Server
	access *access.Access
}

func serve(t *testing.T) *house {
	t.Helper()
	a := people(t)
	return &house{wiretest.Serve(t, wiretest.Options{Keys: a, Gate: a}, service.Service(a), sts.Service(a)), a}
}

// do sends one operation; "200", or the code of the error, and the answer.
func (h *house) do(t *testing.T, operation string, parameters ...string) (code, body string) {
	t.Helper()
	form := url.Values{"Action": {operation}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	response, text := h.Call(t, "iam", "POST", "/", "", form.Encode())
	if response.StatusCode == http.StatusOK {
		wiretest.Valid(t, service.Service(nil).Model, operation, text)
		return "200", string(text)
	}
	return inside(string(text), "Code"), string(text)
}

var between = map[string]*regexp.Regexp{}

// inside is the text of the first element of that name.
func inside(body, name string) string {
	if between[name] == nil {
		between[name] = regexp.MustCompile(`<` + name + `>([^<]*)</` + name + `>`)
	}
	m := between[name].FindStringSubmatch(body)
	if m == nil {
		return ""
	}
	return m[1]
}

// step is one call of a script: what is sent, the code that must come, and texts that must be in the answer ("!" before: must not).
type step struct {
	call string // Operation Name=value …; ~ stands for a blank
	code string
	want []string
}

func (h *house) script(t *testing.T, steps []step) {
	t.Helper()
	for _, s := range steps {
		words := strings.Fields(s.call)
		var parameters []string
		for _, w := range words[1:] {
			name, value, _ := strings.Cut(w, "=")
			parameters = append(parameters, name, strings.ReplaceAll(value, "~", " "))
		}
		code, body := h.do(t, words[0], parameters...)
		if code != s.code {
			t.Errorf("%s: %s, want %s\n%s", s.call, code, s.code, body)
		}
		for _, want := range s.want {
			text, not := strings.CutPrefix(want, "!")
			if strings.Contains(body, text) == not {
				t.Errorf("%s: want %q in %s", s.call, want, body)
			}
		}
	}
}
