package seal_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/seal"
	"pgregory.net/rapid"
)

var row = seal.Row{Table: "access_keys", ID: "AKID1", Column: "secret"}

func opened(t *testing.T, path string) *seal.Sealer {
	t.Helper()
	s, err := seal.OpenOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What was sealed opens for its row, and never looks the same twice.
func TestSealAndOpen(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "root.key"))
	rapid.Check(t, func(t *rapid.T) {
		secret := seal.Secret(rapid.String().Draw(t, "secret"))
		one, err := s.Seal(row, secret)
		if err != nil {
			t.Fatal(err)
		}
		two, _ := s.Seal(row, secret)
		got, err := s.Open(row, one)
		if err != nil || got != secret || one == two || s.Stale(one) {
			t.Errorf("got %q, %v", got.Reveal(), err)
		}
	})
}

// Another row, another key, a changed bit: each is a clear error that tells nothing.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, filepath.Join(dir, "root.key"))
	text, err := s.Seal(row, "hush-hush")
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []seal.Row{
		{Table: "access_keys", ID: "AKID2", Column: "secret"},
		{Table: "access_key", ID: "sAKID1", Column: "secret"},
		{Table: "access_keys", ID: "AKID1", Column: "token"},
	} {
		if _, err := s.Open(other, text); !errors.Is(err, seal.Changed) {
			t.Errorf("%+v: %v", other, err)
		}
	}
	stranger := opened(t, filepath.Join(dir, "other.key"))
	if _, err := stranger.Open(row, text); !errors.Is(err, seal.UnknownKey) {
		t.Errorf("another key: %v", err)
	}
	for bit := range len(text) * 8 {
		changed := []byte(text)
		changed[bit/8] ^= 1 << (bit % 8)
		got, err := s.Open(row, string(changed))
		if err == nil {
			t.Errorf("bit %d changed: opened as %q", bit, got.Reveal())
		} else if strings.Contains(err.Error(), "hush") {
			t.Errorf("bit %d changed: the error tells the secret: %v", bit, err)
		}
	}
	for n := range len(text) {
		if _, err := s.Open(row, text[:n]); err == nil {
			t.Errorf("cut to %d bytes it opens", n)
		}
	}
}

// After a rotation what was sealed before still opens, and is known as stale.
func TestRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	before := opened(t, path)
	old, _ := before.Seal(row, "one")
	if err := seal.Rotate(path); err != nil {
		t.Fatal(err)
	}
	after := opened(t, path)
	if got, err := after.Open(row, old); err != nil || got != "one" || !after.Stale(old) {
		t.Errorf("got %q, %v, stale %v", got.Reveal(), err, after.Stale(old))
	}
	fresh, _ := after.Seal(row, "two")
	if _, err := before.Open(row, fresh); !errors.Is(err, seal.UnknownKey) || after.Stale(fresh) {
		t.Errorf("the old key opens what the new one sealed: %v", err)
	}
}

// The key file is made once, for its owner alone, however many start at a time.
func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	if _, err := seal.Open(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	names := make([]string, 8)
	var all sync.WaitGroup
	for i := range names {
		all.Go(func() {
			if s, err := seal.OpenOrCreate(path); err == nil {
				names[i] = s.String()
			}
		})
	}
	all.Wait()
	for _, n := range names {
		if n == "" || n != names[0] {
			t.Fatalf("different keys: %q", names)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".root-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.Open(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

// A file that holds no key is refused with its line, and its text is not told.
func TestBadKeyFile(t *testing.T) {
	dir := t.TempDir()
	for i, text := range []string{"", "hush\n", "haechi-root-key 1 aHVzaA==\n", "haechi-root-key 2 hush\n", strings.Repeat("hush", 20000)} {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.OpenOrCreate(path); err == nil || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "aHVz") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if _, err := seal.Open(dir); err == nil {
		t.Error("a folder is no key file")
	}
}

// However a secret is printed, logged or marshalled, it is not told.
func TestSecretIsNotTold(t *testing.T) {
	type holder struct {
		Token seal.Secret
		All   []seal.Secret
		At    *seal.Secret
	}
	token := seal.Secret("hush-hush")
	h := holder{token, []seal.Secret{token}, &token}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "secret", token, "holder", h, "pointer", &token)
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "secret", token, "holder", h)
	asJSON, _ := json.Marshal(h)
	asXML, _ := xml.Marshal(h)
	sealer := opened(t, filepath.Join(t.TempDir(), "root.key"))
	key := fmt.Sprintf("%v %+v %#v %x", sealer, sealer, sealer, sealer)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q %x %d %T", h, h, h, token, token, token, token, token), log.String(), string(asJSON), string(asXML)} {
		if strings.Contains(text, "hush") || strings.Contains(text, fmt.Sprintf("%x", "hush")) || !strings.Contains(text, "[sealed]") {
			t.Errorf("told: %s", text)
		}
	}
	if strings.Contains(key, "[]") || strings.Contains(key, "map") || !strings.HasPrefix(key, "root key ") {
		t.Errorf("a sealer prints as %q", key)
	}
	var back struct{ Token seal.Secret }
	if err := json.Unmarshal([]byte(`{"Token":"in"}`), &back); err != nil || back.Token.Reveal() != "in" {
		t.Errorf("read back %q, %v", back.Token.Reveal(), err)
	}
}

// No text makes Open panic, or open.
func FuzzOpen(f *testing.F) {
	s, err := seal.OpenOrCreate(filepath.Join(f.TempDir(), "root.key"))
	if err != nil {
		f.Fatal(err)
	}
	good, _ := s.Seal(row, "x")
	f.Add(good[:len(good)-1])
	f.Add("s1..")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := s.Open(row, text); err == nil && text != good {
			t.Errorf("%q opens as %q", text, got.Reveal())
		}
	})
}

// A signature holds for its text, its purpose and its key alone, and stays good when a newer key is added.
func TestSign(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root.key")
	s := opened(t, file)
	signature, err := s.Sign("audit", []byte("text"))
	if err != nil || s.Signed("audit", []byte("text"), signature) != nil {
		t.Fatalf("got %q, %v", signature, err)
	}
	other := opened(t, filepath.Join(t.TempDir(), "root.key"))
	for _, c := range []struct {
		sealer                   *seal.Sealer
		purpose, text, signature string
		want                     seal.Failure
	}{
		{s, "audit", "texts", signature, seal.Changed},
		{s, "other", "text", signature, seal.Changed},
		{s, "audit", "text", signature[:len(signature)-1], seal.Changed},
		{s, "audit", "text", "", seal.Malformed},
		{s, "audit", "text", "h1.x", seal.Malformed},
		{other, "audit", "text", signature, seal.UnknownKey},
	} {
		if err := c.sealer.Signed(c.purpose, []byte(c.text), c.signature); !errors.Is(err, c.want) {
			t.Errorf("%s %s %s: got %v, want %v", c.purpose, c.text, c.signature, err, c.want)
		}
	}
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "root.key")
	opened(t, fresh)
	added, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(old, added...), 0o600); err != nil {
		t.Fatal(err)
	}
	both := opened(t, file)
	if err := both.Signed("audit", []byte("text"), signature); err != nil {
		t.Errorf("after a newer key: %v", err)
	}
}
