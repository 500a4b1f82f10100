package forge_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/tools/txtar"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/forge"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/room/mirror"
)

var update = flag.Bool("update", false, "write what payloads are read as anew")

// payloads are one of each kind that a forge sends, in its documented shape: the
// headers, the body, and what it is read as.
type payloadCase struct {
	name    string
	kind    mirror.Kind
	headers http.Header
	body    []byte
	want    string
}

func payloads(t testing.TB) (all []payloadCase) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := payloadCase{name: filepath.Base(file), headers: http.Header{}}
		kind, _, _ := strings.Cut(c.name, "_")
		c.kind = mirror.Kind(kind)
		for _, f := range archive.Files {
			switch f.Name {
			case "headers":
				for line := range strings.Lines(string(f.Data)) {
					name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
					c.headers.Set(name, value)
				}
			case "body":
				c.body = bytes.TrimSpace(f.Data)
			case "want":
				c.want = string(f.Data)
			}
		}
		all = append(all, c)
	}
	return all
}

// Every documented payload is read as what it means.
func TestPayloads(t *testing.T) {
	for _, c := range payloads(t) {
		d, err := forge.Parse(c.kind, c.headers, c.body)
		got := "error: " + fmt.Sprint(err)
		if err == nil {
			text, err := json.Marshal(d, jsontext.WithIndent("  "))
			if err != nil {
				t.Fatal(err)
			}
			got = string(text)
		}
		got += "\n"
		if *update {
			file := filepath.Join("testdata", c.name)
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			archive.Files = append(archive.Files[:2], txtar.File{Name: "want", Data: []byte(got)})
			if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

const secret = "a secret of thirty-two characters"

// house is the door in front of a real mirror.
type house struct {
	*testing.T
	*httptest.Server
	mirror *mirror.Mirror
}

func build(t *testing.T, kind mirror.Kind) *house {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), bus.Schema(), work.Schema(), source.Schema(), mirror.Schema())
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	dialer, err := outbound.New(outbound.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b, quiet := bus.New(d), slog.New(slog.DiscardHandler)
	h := &house{T: t}
	h.mirror = mirror.New(mirror.Config{
		DB: d, Bus: b, Work: work.New(work.Config{DB: d}), Source: source.New(source.Config{DB: d, Bus: b, Dir: filepath.Join(t.TempDir(), "repos"), Account: "111122223333", Region: "us-east-1", Log: quiet}),
		Sealer: sealer, Dial: dialer.DialContext, HTTP: dialer.Client(time.Minute), Check: dialer.Check, Link: func(string) string { return "" }, Account: "111122223333", Region: "us-east-1", Log: quiet,
	})
	key := seal.Secret(secret)
	if _, _, err := h.mirror.Put(t.Context(), mirror.Connection{Repository: "shop", Kind: kind, Clone: "https://forge.example/acme/shop.git"}, nil, &key); err != nil {
		t.Fatal(err)
	}
	h.Server = httptest.NewServer(forge.Handler(forge.Config{Mirror: h.mirror, Log: quiet}))
	t.Cleanup(func() { h.Close(); d.Close() })
	return h
}

// sign adds what a forge proves itself with.
func sign(kind mirror.Kind, h http.Header, key string, body []byte) {
	m := hmac.New(sha256.New, []byte(key))
	m.Write(body)
	sum := hex.EncodeToString(m.Sum(nil))
	switch kind {
	case mirror.GitHub:
		h.Set("X-Hub-Signature-256", "sha256="+sum)
	case mirror.Gitea:
		h.Set("X-Gitea-Signature", sum)
	default:
		h.Set("X-Gitlab-Token", key)
	}
}

func (h *house) post(repository string, headers http.Header, body []byte) (int, string) {
	h.Helper()
	r, err := http.NewRequest("POST", h.URL+forge.Prefix+repository, bytes.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	r.Header = headers
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		h.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		h.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// A delivery with the right signature is taken once; another's, a changed body and an unknown repository get one and the same answer.
func TestSignatures(t *testing.T) {
	for _, kind := range []mirror.Kind{mirror.GitHub, mirror.GitLab, mirror.Gitea} {
		t.Run(string(kind), func(t *testing.T) {
			h := build(t, kind)
			var push payloadCase
			for _, c := range payloads(t) {
				if c.name == string(kind)+"_push.txtar" {
					push = c
				}
			}
			good := push.headers.Clone()
			sign(kind, good, secret, push.body)
			if status, text := h.post("shop", good, push.body); status != http.StatusAccepted {
				t.Fatal(status, text)
			}
			if status, text := h.post("shop", good, push.body); status != http.StatusOK {
				t.Error("again:", status, text)
			}
			other, none := push.headers.Clone(), push.headers.Clone()
			sign(kind, other, secret+"x", push.body)
			var answers []string
			for _, c := range []struct {
				repository string
				headers    http.Header
				body       []byte
			}{
				{"shop", other, push.body},
				{"shop", none, push.body},
				{"nothing", good, push.body},
				{"nothing", none, push.body},
				{"../shop", good, push.body},
				{"", good, push.body},
			} {
				status, text := h.post(url.PathEscape(c.repository), c.headers, c.body)
				answers = append(answers, fmt.Sprint(status, text))
				if status != http.StatusForbidden || answers[0] != answers[len(answers)-1] {
					t.Errorf("%q: %d %s", c.repository, status, text)
				}
			}
			if kind != mirror.GitLab { // whose secret is not tied to the body
				if status, _ := h.post("shop", good, append(bytes.Clone(push.body), ' ')); status != http.StatusForbidden {
					t.Error("a changed body:", status)
				}
			}
			all, err := h.mirror.Deliveries(t.Context(), "shop", 10)
			if err != nil || len(all) != 1 {
				t.Error(all, err)
			}
		})
	}
}

// Who says that large bodies follow and sends none keeps no forge out.
func TestSlowCallersKeepNobodyOut(t *testing.T) {
	h := build(t, mirror.GitHub)
	for range 20 {
		c, err := net.Dial("tcp", h.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST %sshop HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n{", forge.Prefix, 25<<20)
	}
	time.Sleep(50 * time.Millisecond) // they are being read, most likely
	body, headers := []byte(`{"zen": "x"}`), http.Header{"X-Github-Event": {"ping"}, "X-Github-Delivery": {"1"}, "Content-Type": {"application/json"}}
	sign(mirror.GitHub, headers, secret, body)
	began := time.Now()
	if status, text := h.post("shop", headers, body); status >= 300 || time.Since(began) > 5*time.Second {
		t.Errorf("%d %s after %s", status, text, time.Since(began))
	}
	http.DefaultClient.CloseIdleConnections()
}

// A form, a ping and what is none of ours are taken; what is broken or too large is refused.
func TestForms(t *testing.T) {
	h := build(t, mirror.GitHub)
	post := func(event, kind string, body []byte) (int, string) {
		headers := http.Header{"X-Github-Event": {event}, "X-Github-Delivery": {fmt.Sprint(event, len(body))}, "Content-Type": {kind}}
		sign(mirror.GitHub, headers, secret, body)
		return h.post("shop", headers, body)
	}
	form := []byte(url.Values{"payload": {`{"ref":"refs/heads/main","after":"` + strings.Repeat("1", 40) + `"}`}}.Encode())
	for _, c := range []struct {
		event, kind string
		body        []byte
		want        int
	}{
		{"push", "application/x-www-form-urlencoded", form, http.StatusAccepted},
		{"ping", "application/json", []byte(`{"zen":"Keep it logically awesome."}`), http.StatusAccepted},
		{"star", "application/json", []byte(`[]`), http.StatusAccepted},
		{"push", "application/json", []byte(`{`), http.StatusBadRequest},
		{"push", "application/json", []byte(`{"ref":"refs/heads/../x","after":"` + strings.Repeat("1", 40) + `"}`), http.StatusBadRequest},
		{"push", "application/json", []byte(`{"ref":"refs/heads/main","after":"HEAD"}`), http.StatusBadRequest},
		{"pull_request", "application/json", []byte(`{"action":"opened","number":-1,"pull_request":{"state":"open","head":{"sha":"x"}}}`), http.StatusBadRequest},
		{"push", "application/x-www-form-urlencoded", []byte(`x=y`), http.StatusBadRequest},
		{"push", "application/json", bytes.Repeat([]byte(" "), 25<<20+1), http.StatusRequestEntityTooLarge},
	} {
		if status, text := post(c.event, c.kind, c.body); status != c.want {
			t.Errorf("%s %.60s: %d %s, want %d", c.event, c.body, status, text, c.want)
		}
	}
	if response, err := http.Get(h.URL + forge.Prefix + "shop"); err != nil || response.StatusCode != http.StatusMethodNotAllowed {
		t.Error(response, err)
	}
}

// No payload, however odd, breaks a reader, and what is read of it can be kept.
func fuzz(f *testing.F, kind mirror.Kind, events ...string) {
	for _, c := range payloads(f) {
		if c.kind == kind {
			f.Add(c.headers.Get("X-Github-Event")+c.headers.Get("X-Gitlab-Event"), c.body)
		}
	}
	for _, e := range events {
		f.Add(e, []byte(`{"ref":"x","after":null,"pull_request":[],"object_attributes":{"updated_at":"yesterday"}}`))
	}
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		h := http.Header{"X-Github-Event": {event}, "X-Gitea-Event": {event}, "X-Gitlab-Event": {event}}
		d, err := forge.Parse(kind, h, body)
		if err != nil {
			return
		}
		if d.ID == "" {
			t.Error("without an id")
		}
		if _, err := json.Marshal(d); err != nil {
			t.Errorf("%+v: %v", d, err)
		}
	})
}

func FuzzGitHub(f *testing.F) { fuzz(f, mirror.GitHub, "push", "pull_request", "create") }
func FuzzGitLab(f *testing.F) {
	fuzz(f, mirror.GitLab, "Push Hook", "Merge Request Hook", "Tag Push Hook")
}
func FuzzGitea(f *testing.F) { fuzz(f, mirror.Gitea, "push", "pull_request", "delete") }
