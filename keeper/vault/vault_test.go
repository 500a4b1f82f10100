package vault_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/vault"
	"github.com/haechi-dev/haechi/word/fault"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const token = "0123456789abcdef0123456789abcdef"

// clock is a time that tests move.
type clock struct{ at time.Time }

func newVault(t testing.TB, d *db.DB) (*vault.Vault, *clock, string) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "root.key")
	c := &clock{time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
	return vaultWith(t, d, key, c), c, key
}

func vaultWith(t testing.TB, d *db.DB, key string, c *clock) *vault.Vault {
	t.Helper()
	sealer, err := seal.OpenOrCreate(key)
	if err != nil {
		t.Fatal(err)
	}
	return vault.New(vault.Config{DB: d, Sealer: sealer, Account: "111122223333", Region: "us-east-1", Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return c.at }})
}

func text(s string) *vault.Value { return &vault.Value{Secret: seal.Secret(s)} }

func created(t testing.TB, v *vault.Vault, name, value string) vault.Secret {
	t.Helper()
	s, _, err := v.Create(t.Context(), vault.Secret{Name: name}, text(value), "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, v *vault.Vault, id, value string, labels ...string) string {
	t.Helper()
	_, version, err := v.Put(t.Context(), id, *text(value), "", labels)
	if err != nil {
		t.Fatal(err)
	}
	return version
}

func value(t testing.TB, v *vault.Vault, id, version, label string) string {
	t.Helper()
	told, err := v.Value(t.Context(), id, version, label)
	if err != nil {
		return fault.Of(err).Error()
	}
	return told.Value.Secret.Reveal()
}

func wants(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.Of(err) != kind {
		t.Errorf("got %v, want %v", err, kind)
	}
}

// A new value becomes the current one, and the one before stays to be named.
func TestVersions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		v, _, _ := newVault(t, open(vault.Schema()))
		s := created(t, v, "shop/db", "one")
		two := put(t, v, "shop/db", "two")
		for _, id := range []string{"shop/db", v.ARN(s), strings.TrimSuffix(v.ARN(s), s.ID[len(s.Name):])} {
			if got := value(t, v, id, "", ""); got != "two" {
				t.Errorf("%s: %s", id, got)
			}
		}
		if got := value(t, v, "shop/db", two, vault.Current); got != "two" {
			t.Error(got)
		}
		if got := value(t, v, "shop/db", "", vault.Previous); got != "one" {
			t.Error(got)
		}
		three := put(t, v, "shop/db", "three", vault.Pending, "mine")
		if got := value(t, v, "shop/db", "", "") + value(t, v, "shop/db", "", vault.Pending) + value(t, v, "shop/db", "", "mine"); got != "twothreethree" {
			t.Error(got)
		}
		// Moving the current label makes the version that had it the previous one.
		if _, err := v.Move(t.Context(), "shop/db", vault.Current, two, three); err != nil {
			t.Fatal(err)
		}
		if got := value(t, v, "shop/db", "", "") + value(t, v, "shop/db", "", vault.Previous); got != "threetwo" {
			t.Error(got)
		}
		_, versions, err := v.Versions(t.Context(), "shop/db", false)
		if err != nil || len(versions) != 2 {
			t.Error(err, versions)
		}
		if _, versions, err = v.Versions(t.Context(), "shop/db", true); err != nil || len(versions) != 3 {
			t.Error(err, versions)
		}
		_, err = v.Value(t.Context(), "shop/db", two, vault.Current)
		wants(t, err, fault.Conflict)
		_, err = v.Value(t.Context(), "shop/db", "", "other")
		wants(t, err, fault.NotFound)
		_, err = v.Value(t.Context(), "shop/db", token, "")
		wants(t, err, fault.NotFound)
		_, err = v.Value(t.Context(), "nothing", "", "")
		wants(t, err, fault.NotFound)
		_, err = v.Value(t.Context(), strings.Replace(v.ARN(s), "111122223333", "444455556666", 1), "", "")
		wants(t, err, fault.NotFound)
	})
}

// The first version of a secret counts, also where it was put for later.
func TestFirstVersionCounts(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), vault.Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	v, _, _ := newVault(t, d)
	if _, version, err := v.Create(t.Context(), vault.Secret{Name: "empty"}, nil, ""); err != nil || version != "" {
		t.Fatal(version, err)
	}
	_, err = v.Value(t.Context(), "empty", "", "")
	wants(t, err, fault.NotFound)
	put(t, v, "empty", "x", vault.Pending)
	if got := value(t, v, "empty", "", ""); got != "x" {
		t.Error(got)
	}
}

// Asked again with the same token, nothing happens twice; with another value it is refused.
func TestTokens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		v, _, _ := newVault(t, open(vault.Schema()))
		for range 2 {
			if _, version, err := v.Create(t.Context(), vault.Secret{Name: "a"}, text("one"), token); err != nil || version != token {
				t.Fatal(version, err)
			}
		}
		_, _, err := v.Create(t.Context(), vault.Secret{Name: "a"}, text("two"), token)
		wants(t, err, fault.Exists)
		_, _, err = v.Create(t.Context(), vault.Secret{Name: "a"}, text("one"), "")
		wants(t, err, fault.Exists)
		again := strings.ToUpper(token)
		for range 2 {
			if _, _, err := v.Put(t.Context(), "a", *text("two"), again, nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := value(t, v, "a", "", vault.Previous); got != "one" {
			t.Error(got)
		}
		_, _, err = v.Put(t.Context(), "a", *text("three"), again, nil)
		wants(t, err, fault.Exists)
		_, _, err = v.Put(t.Context(), "a", vault.Value{Secret: "two", Binary: true}, again, nil)
		wants(t, err, fault.Exists)
		_, _, err = v.Put(t.Context(), "a", *text("three"), "short", nil)
		wants(t, err, fault.Invalid)
	})
}

// Labels are moved by who knows where they are, and the current version is never without its own.
func TestMoveLabels(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), vault.Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	v, _, _ := newVault(t, d)
	s := created(t, v, "a", "one")
	one := s.Labels[vault.Current]
	two := put(t, v, "a", "two", "mine")
	for name, c := range map[string]struct {
		label, from, to string
		kind            fault.Kind
	}{
		"nothing said":            {"mine", "", "", fault.Invalid},
		"not from where it is":    {"mine", one, "", fault.Invalid},
		"from nowhere":            {"mine", "", one, fault.Invalid},
		"to what is not there":    {"mine", two, token, fault.NotFound},
		"the current one is gone": {vault.Current, one, "", fault.Invalid},
	} {
		if _, err := v.Move(t.Context(), "a", c.label, c.from, c.to); err == nil || fault.Of(err) != c.kind {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
	if _, err := v.Move(t.Context(), "a", "mine", two, ""); err != nil {
		t.Error(err)
	}
	if _, err := v.Move(t.Context(), "a", "yours", "", one); err != nil {
		t.Error(err)
	}
	if s, err := v.Secret(t.Context(), "a"); err != nil || !slices.Equal(s.LabelsOf(one), []string{vault.Current, "yours"}) {
		t.Error(err, s.Labels)
	}
}

// A deleted secret tells nothing, can be restored for as long as it was said, and is gone then.
func TestDelete(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		v, now, _ := newVault(t, open(vault.Schema()))
		created(t, v, "a", "one")
		for _, days := range []int{-1, 6, 31} {
			_, err := v.Delete(t.Context(), "a", days)
			wants(t, err, fault.Invalid)
		}
		s, err := v.Delete(t.Context(), "a", 7)
		if err != nil || !s.Gone.Equal(now.at.AddDate(0, 0, 7)) {
			t.Fatal(s.Gone, err)
		}
		_, err = v.Value(t.Context(), "a", "", "")
		wants(t, err, fault.Conflict)
		_, _, err = v.Put(t.Context(), "a", *text("two"), "", nil)
		wants(t, err, fault.Conflict)
		_, _, err = v.Create(t.Context(), vault.Secret{Name: "a"}, text("two"), "")
		wants(t, err, fault.Conflict)
		if _, err := v.Restore(t.Context(), "a"); err != nil || value(t, v, "a", "", "") != "one" {
			t.Fatal(err)
		}
		if _, err := v.Delete(t.Context(), "a", 7); err != nil {
			t.Fatal(err)
		}
		now.at = now.at.AddDate(0, 0, 7)
		run(t, v, func() bool { _, err := v.Secret(t.Context(), "a"); return err != nil })
		_, err = v.Secret(t.Context(), "a")
		wants(t, err, fault.NotFound)
		// At once, and its successor is another.
		first := created(t, v, "b", "one")
		if _, err := v.Delete(t.Context(), "b", 0); err != nil {
			t.Fatal(err)
		}
		if again := created(t, v, "b", "two"); again.ID == first.ID {
			t.Error("the successor has its predecessor's ARN")
		}
	})
}

// run lets the vault tidy until what is wanted is so.
func run(t testing.TB, v *vault.Vault, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- v.Run(ctx) }()
	for end := time.Now().Add(20 * time.Second); !so() && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Whoever can write to the database cannot put one secret, or version, in the place of another.
func TestSwappedRows(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(vault.Schema())
		v, _, _ := newVault(t, d)
		a, b := created(t, v, "a", "of a"), created(t, v, "b", "of b")
		put(t, v, "a", "newer")
		for _, swap := range []string{
			"UPDATE vault_versions SET value = (SELECT value FROM vault_versions WHERE secret = '" + b.ID + "') WHERE secret = '" + a.ID + "'",
			"UPDATE vault_versions SET value = (SELECT MIN(value) FROM vault_versions WHERE secret = '" + a.ID + "') WHERE secret = '" + a.ID + "'",
		} {
			if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(swap); return err }); err != nil {
				t.Fatal(err)
			}
			one, two := value(t, v, "a", "", ""), value(t, v, "a", "", vault.Previous)
			if one == "newer" && two == "of a" || one == "of b" || two == "of b" || one == two && one != fault.Internal.Error() {
				t.Errorf("told %q and %q", one, two)
			}
		}
	})
}

// Nothing of a value lies in the database in clear.
func TestSealed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.db")
	d, err := db.Open(t.Context(), "sqlite:"+file, vault.Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	v, _, _ := newVault(t, d)
	created(t, v, "a", "correct horse battery staple")
	var rows []string
	if err := d.Read(t.Context(), func(tx *db.Tx) error {
		rows, err = db.All(tx, db.Value[string], "SELECT value FROM vault_versions UNION ALL SELECT body FROM vault_secrets")
		return err
	}); err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	if strings.Contains(strings.Join(rows, " "), "horse") {
		t.Error("in clear")
	}
	if told, err := v.Value(t.Context(), "a", "", ""); err != nil || strings.Contains(fmt.Sprintf("%v %+v %#v", told, told, told.Value), "horse") {
		t.Error("a value prints itself")
	}
}

// Bytes come back as bytes, up to the largest that may be.
func TestBinary(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), vault.Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	v, _, _ := newVault(t, d)
	bytes := strings.Repeat("\x00\xff", vault.MaxValue/2)
	if _, _, err := v.Create(t.Context(), vault.Secret{Name: "a"}, &vault.Value{Secret: seal.Secret(bytes), Binary: true}, ""); err != nil {
		t.Fatal(err)
	}
	told, err := v.Value(t.Context(), "a", "", "")
	if err != nil || !told.Value.Binary || told.Value.Secret.Reveal() != bytes {
		t.Error(err, told.Value.Binary, len(told.Value.Secret))
	}
	_, err = v.Get(t.Context(), "a")
	wants(t, err, fault.Invalid)
	_, _, err = v.Put(t.Context(), "a", *text(bytes + "x"), "", nil)
	wants(t, err, fault.Invalid)
}

// The oldest versions without a label make room for new ones.
func TestRoomForVersions(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), vault.Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	v, now, _ := newVault(t, d)
	created(t, v, "a", "first")
	first := put(t, v, "a", "kept", "kept")
	for i := range 120 {
		now.at = now.at.Add(time.Second)
		put(t, v, "a", fmt.Sprint("value ", i))
	}
	_, versions, err := v.Versions(t.Context(), "a", true)
	if err != nil || len(versions) != 100 {
		t.Fatal(len(versions), err)
	}
	if got := value(t, v, "a", "", "") + value(t, v, "a", first, "") + value(t, v, "a", "", vault.Previous); got != "value 119keptvalue 118" {
		t.Error(got)
	}
}

// A buildspec's reference finds a secret by its name or ARN, a member of its value, and one of its versions.
func TestReferences(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), vault.Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	v, _, _ := newVault(t, d)
	s := created(t, v, "shop/db", `{"user":"shop","password":"old","port":5432}`)
	old := s.Labels[vault.Current]
	put(t, v, "shop/db", `{"user":"shop","password":"new","port":5432}`)
	for reference, want := range map[string]string{
		"shop/db":                        `{"user":"shop","password":"new","port":5432}`,
		"shop/db:password":               "new",
		"shop/db:port":                   "5432",
		"shop/db:password:AWSPREVIOUS":   "old",
		"shop/db:password::" + old:       "old",
		v.ARN(s) + ":password":           "new",
		v.ARN(s) + "::AWSPREVIOUS:":      `{"user":"shop","password":"old","port":5432}`,
		v.ARN(s):                         `{"user":"shop","password":"new","port":5432}`,
		"shop/db:nothing":                fault.Invalid.Error(),
		"shop/db:password:A:" + old:      fault.Invalid.Error(),
		"shop/db:a:b:c:d":                fault.Invalid.Error(),
		":password":                      fault.Invalid.Error(),
		"arn:aws:secretsmanager":         fault.Invalid.Error(),
		"other:password":                 fault.NotFound.Error(),
		"shop/db:password:AWSPENDING":    fault.NotFound.Error(),
		"shop/db:password::" + token[1:]: fault.NotFound.Error(),
	} {
		got, err := v.Get(t.Context(), reference)
		text := got.Reveal()
		if err != nil {
			text = fault.Of(err).Error()
		}
		if text != want {
			t.Errorf("%s: %s, want %s (%v)", reference, text, want, err)
		}
		if err != nil && (strings.Contains(err.Error(), "5432") || strings.Contains(err.Error(), "new")) {
			t.Errorf("%s: the error tells of the value: %v", reference, err)
		}
	}
}

// Who holds a value is found, with the member that it is, and which version it is.
func TestHolders(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		v, _, _ := newVault(t, open(vault.Schema()))
		for i := range 300 {
			created(t, v, fmt.Sprintf("many/%03d", i), fmt.Sprintf(`{"password":"value %d"}`, i))
		}
		created(t, v, "other", "leaked\n")
		put(t, v, "other", "better")
		var names []string
		found, err := v.Holders(t.Context(), func(value string) bool { return value == "leaked" || value == "value 250" })
		for _, h := range found {
			names = append(names, h.Secret.Name+" "+strings.Join(h.Labels, ","))
		}
		if fmt.Sprint(names) != "[many/250 AWSCURRENT other AWSPREVIOUS]" || err != nil {
			t.Error(names, err)
		}
	})
}

// After another root key was put first, values are sealed anew, and told as before.
func TestReseal(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), vault.Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	v, now, key := newVault(t, d)
	created(t, v, "a", "one")
	before := kept(t, d)
	if err := seal.Rotate(key); err != nil {
		t.Fatal(err)
	}
	v = vaultWith(t, d, key, now)
	if got := value(t, v, "a", "", ""); got != "one" {
		t.Error(got)
	}
	run(t, v, func() bool { return kept(t, d) != before })
	if after := kept(t, d); after == before {
		t.Error("not sealed anew")
	}
	if got := value(t, v, "a", "", ""); got != "one" {
		t.Error(got)
	}
}

func kept(t testing.TB, d *db.DB) (text string) {
	t.Helper()
	if err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		text, err = db.One(tx, db.Value[string], "SELECT value FROM vault_versions")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return text
}

// What cannot be a secret is refused.
func TestChecks(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), vault.Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	v, _, _ := newVault(t, d)
	for _, s := range []vault.Secret{{Name: ""}, {Name: "a b"}, {Name: strings.Repeat("a", 513)}, {Name: "a:b"}, {Name: "a", Description: strings.Repeat("x", 2049)}, {Name: "a", Tags: map[string]string{"aws:x": "y"}}, {Name: "a", Tags: map[string]string{"": "y"}}} {
		_, _, err := v.Create(t.Context(), s, text("x"), "")
		wants(t, err, fault.Invalid)
	}
	_, _, err = v.Create(t.Context(), vault.Secret{Name: "a"}, text(""), "")
	wants(t, err, fault.Invalid)
	created(t, v, "a", "x")
	_, err = v.SetPolicy(t.Context(), "a", `{"Version":"2012-10-17"`)
	wants(t, err, fault.Invalid)
}

// A reference is read without trouble, whatever it is.
func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"a", "a:b:c:", "arn:aws:secretsmanager:us-east-1:111122223333:secret:a-XXXXXX:b::c", ":::", "arn:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := vault.ParseReference(text)
		if err == nil && (r.Secret == "" || !strings.HasPrefix(text, r.Secret) || r.Label != "" && r.Version != "") {
			t.Errorf("%q is %+v", text, r)
		}
	})
}

// A parameter has numbered versions, of which the newest counts and the last hundred stay; its values are sealed for it and for each version.
func TestParameters(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(vault.Schema())
		v, now, key := newVault(t, d)
		put := func(name, value string, overwrite bool) vault.Parameter {
			t.Helper()
			p, err := v.PutParameter(t.Context(), vault.Parameter{Name: name, Type: vault.Secure, Who: "arn:aws:iam::111122223333:user/kim"}, seal.Secret(value), nil, overwrite)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		put("/shop/key", "one", false)
		put("/shop/other", "another", false)
		for i := range 120 {
			put("/shop/key", fmt.Sprint("value ", i), true)
		}
		is := func(text, want string) {
			t.Helper()
			_, value, err := v.Parameter(t.Context(), text)
			if got := value.Reveal(); err != nil && fault.Of(err).Error() != want || err == nil && got != want {
				t.Errorf("%s: %q, want %q (%v)", text, got, want, err)
			}
		}
		is("/shop/key", "value 119")
		is("/shop/key:120", "value 118")
		is("/shop/key:1", fault.NotFound.Error())
		is(v.ParameterARN("/shop/key"), "value 119")
		is("/shop/nothing", fault.NotFound.Error())
		if all, err := v.ParameterVersions(t.Context(), "/shop/key"); err != nil || len(all) != 100 {
			t.Error(len(all), err)
		}
		if err := seal.Rotate(key); err != nil {
			t.Fatal(err)
		}
		v = vaultWith(t, d, key, now)
		before, _, err := v.Parameter(t.Context(), "/shop/key")
		if err != nil {
			t.Fatal(err)
		}
		run(t, v, func() bool {
			after, _, err := v.Parameter(t.Context(), "/shop/key")
			return err != nil || after.Sealed() != before.Sealed()
		})
		if after, value, err := v.Parameter(t.Context(), "/shop/key"); err != nil || after.Sealed() == before.Sealed() || value != "value 119" {
			t.Error("not sealed anew", err)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec("UPDATE vault_parameter_versions SET value = (SELECT value FROM vault_parameter_versions WHERE name = '/shop/other') WHERE name = '/shop/key'")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		is("/shop/key", fault.Internal.Error())
	})
}
