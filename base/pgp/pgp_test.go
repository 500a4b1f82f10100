package pgp_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/haechi-dev/haechi/base/pgp"
	"github.com/haechi-dev/haechi/base/pgp/pgptest"
	"github.com/haechi-dev/haechi/word/fault"
)

const text = "tree 0\n\na change\n"

// check parses both, and tells whether the signature counts.
func check(key, signature, text string, at time.Time) error {
	k, err := pgp.ParseKey(key)
	if err != nil {
		return err
	}
	s, err := pgp.ParseSignature(signature)
	if err != nil {
		return err
	}
	return k.Verify([]byte(text), s, at)
}

// refused holds an error against what it is to say.
func refused(t *testing.T, name string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q", name, err, want)
	}
}

// What gpg signs holds: with each kind of key, with a subkey, and after the key was kept as we keep it.
func TestSigned(t *testing.T) {
	h := pgptest.New(t)
	for _, algorithm := range []string{"ed25519", "rsa2048", "nistp256"} {
		who := "Ada " + algorithm + " <" + algorithm + "@example.com>"
		f := h.Make(who, algorithm, "sign", "never")
		signature, key := h.Sign(f, text), h.Export(f)
		if err := check(key, signature, text, time.Now()); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		refused(t, algorithm, check(key, signature, text+"!", time.Now()), "not over this text")
		k, err := pgp.ParseKey(key)
		if err != nil || k.Fingerprint != f || !slices.Equal(k.Emails, []string{algorithm + "@example.com"}) || !k.Expires.IsZero() {
			t.Fatalf("%+v %v", k, err)
		}
		if err := check(k.Text, signature, text, time.Now()); err != nil {
			t.Errorf("%s, as it is kept: %v", algorithm, err)
		}
		h.Run(k.Text, "--show-keys") // gpg reads it, too
	}
	f := h.Make("Bob <bob@example.com>", "ed25519", "cert", "never")
	refused(t, "a key that only certifies", check(h.Export(f), h.Sign("ed25519", text), text, time.Now()), "not for signing")
	h.Run("", "--quick-add-key", f, "ed25519", "sign", "never")
	h.Run("", "--quick-add-key", f, "cv25519", "encr", "never")
	h.Run("", "--quick-add-uid", f, "robert@example.com")
	h.Run("", "--quick-add-uid", f, "Gone <gone@example.com>")
	h.Run("", "--quick-revoke-uid", f, "Gone <gone@example.com>")
	if err := check(h.Export(f), h.Sign(f, text), text, time.Now()); err != nil {
		t.Errorf("by a subkey: %v", err)
	}
	k, err := pgp.ParseKey(h.Export(f))
	if err != nil || len(k.IDs) != 1 || !slices.Equal(slices.Sorted(slices.Values(k.Emails)), []string{"bob@example.com", "robert@example.com"}) {
		t.Errorf("%+v %v", k, err)
	}
	refused(t, "somebody else's", check(h.Export("ed25519"), h.Sign(f, text), text, time.Now()), "not for signing")
}

// Keys count while they are good: when they signed, and when what they signed came.
func TestExpired(t *testing.T) {
	h := pgptest.New(t)
	at := func(day string) time.Time {
		when, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	fake := func(day string) string { return "--faked-system-time=" + strings.ReplaceAll(day, "-", "") + "T120000!" }
	f := h.Make("Ada <ada@example.com>", "ed25519", "sign", "2020-01-01", fake("2019-01-01"))
	early, key := h.Sign(f, text, fake("2019-06-01")), h.Export(f)
	if k, err := pgp.ParseKey(key); err != nil || k.Expires.Year() != 2020 {
		t.Errorf("%+v %v", k, err)
	}
	for _, c := range []struct{ name, came, want string }{
		{"while it was good", "2019-06-02", ""},
		{"looked at later", "", ""},
		{"came after its end, whatever it says itself", "2021-01-01", "has expired on 2020-01-01"},
		{"of the future", "2019-05-01", "of the future"},
	} {
		came := time.Time{}
		if c.came != "" {
			came = at(c.came)
		}
		err := check(key, early, text, came)
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.want != "" {
			refused(t, c.name, err, c.want)
		}
	}
	h.Run("", fake("2019-07-01"), "--quick-set-expire", f, "2022-01-01")
	if err := check(h.Export(f), early, text, at("2021-01-01")); err != nil {
		t.Errorf("with a later end: %v", err)
	}
	// Signed after its end: gpg does not, so the key is told of an earlier one afterwards.
	late := h.Sign(f, text, fake("2021-06-01"))
	refused(t, "signed after its end", check(key, late, text, time.Time{}), "had expired on 2020-01-01 when it signed")
}

// A key that was revoked counts for nothing, if somebody else may have it; one that was replaced, for what it signed before.
func TestRevoked(t *testing.T) {
	h := pgptest.New(t)
	f := h.Make("Ada <ada@example.com>", "ed25519", "sign", "never")
	signature := h.Sign(f, text)
	h.Revoke(f)
	refused(t, "revoked", check(h.Export(f), signature, text, time.Time{}), "nothing that it signed counts")
	k, err := pgp.ParseKey(h.Export(f))
	if err != nil || !strings.HasPrefix(k.Revoked, "was revoked on 20") {
		t.Errorf("%+v %v", k, err)
	}

	e, made := entity(t, nil), time.Now().Add(-48*time.Hour)
	before, after := e.sign(t, made.Add(time.Hour)), e.sign(t, made.Add(30*time.Hour))
	at := &packet.Config{Time: func() time.Time { return made.Add(24 * time.Hour) }}
	if err := e.RevokeKey(packet.KeySuperseded, "", at); err != nil {
		t.Fatal(err)
	}
	key := e.export(t)
	if err := check(key, before, text, time.Time{}); err != nil {
		t.Errorf("signed before it was replaced: %v", err)
	}
	refused(t, "signed after it was replaced", check(key, after, text, time.Time{}), "was replaced on")
	refused(t, "dated back", check(key, before, text, time.Now()), "was replaced on")
	stolen := entity(t, nil)
	before = stolen.sign(t, made.Add(time.Hour))
	if err := stolen.RevokeKey(packet.KeyCompromised, "", at); err != nil {
		t.Fatal(err)
	}
	refused(t, "somebody else may have it", check(stolen.export(t), before, text, time.Time{}), "somebody else may have it")

	f = h.Make("Bob <bob@example.com>", "ed25519", "cert", "never")
	h.Run("", "--quick-add-key", f, "ed25519", "sign", "never")
	signature = h.Sign(f, text)
	if err := check(h.Export(f), signature, text, time.Now()); err != nil {
		t.Fatal(err)
	}
	sub := entity(t, nil)
	if err := sub.AddSigningSubkey(&packet.Config{Time: func() time.Time { return made }}); err != nil {
		t.Fatal(err)
	}
	before = sub.sign(t, made.Add(time.Hour))
	if err := sub.RevokeSubkey(&sub.Subkeys[len(sub.Subkeys)-1], packet.NoReason, "", at); err != nil {
		t.Fatal(err)
	}
	refused(t, "a subkey that was revoked", check(sub.export(t), before, text, time.Time{}), "the subkey was revoked")
}

// maker is a key that the library makes, for what gpg refuses to.
type maker struct{ *openpgp.Entity }

func entity(t *testing.T, config *packet.Config) maker {
	t.Helper()
	if config == nil {
		config = &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}
	}
	config.Time = func() time.Time { return time.Now().Add(-48 * time.Hour) }
	e, err := openpgp.NewEntity("Ada", "", "ada@example.com", config)
	if err != nil {
		t.Fatal(err)
	}
	return maker{e}
}

func (m maker) export(t *testing.T) string {
	t.Helper()
	return armoured(t, "PGP PUBLIC KEY BLOCK", m.Serialize)
}

func (m maker) sign(t *testing.T, at time.Time) string {
	t.Helper()
	var out bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&out, m.Entity, strings.NewReader(text), &packet.Config{Time: func() time.Time { return at }}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func armoured(t *testing.T, block string, write func(io.Writer) error) string {
	t.Helper()
	var out bytes.Buffer
	w, err := armor.Encode(&out, block, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(w); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return out.String()
}

// Weak algorithms are refused, and the reason is told.
func TestWeak(t *testing.T) {
	h := pgptest.New(t)
	f := h.Make("Ada <ada@example.com>", "rsa2048", "sign", "never")
	for hash, want := range map[string]string{"SHA1": "made with SHA-1", "RIPEMD160": "made with RIPEMD-160"} {
		refused(t, hash, check(h.Export(f), h.Sign(f, text, "--digest-algo", hash, "--allow-weak-digest-algos"), text, time.Now()), want)
	}
	md5 := h.Sign(f, text)
	refused(t, "MD5", check(h.Export(f), rehash(t, md5, 1), text, time.Now()), "made with MD5")
	small := h.Make("Small <small@example.com>", "rsa1024", "sign", "never")
	refused(t, "RSA of 1,024 bits", check(h.Export(small), h.Sign(small, text), text, time.Now()), "RSA of 1024 bits")
	if _, err := pgp.ParseKey(h.Export(small)); !errors.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
	dsa := h.Make("Dsa <dsa@example.com>", "dsa2048", "sign", "never")
	refused(t, "DSA", check(h.Export(dsa), h.Sign(dsa, text), text, time.Now()), "DSA")
	old := h.Make("Old <old@example.com>", "rsa2048", "sign", "never", "--cert-digest-algo", "SHA1", "--allow-weak-digest-algos")
	refused(t, "a key that vouches for itself by SHA-1", check(h.Export(old), h.Sign(old, text), text, time.Now()), "SHA-1 or MD5 alone")
	f = h.Make("Sub <sub@example.com>", "ed25519", "cert", "never")
	h.Run("", "--quick-add-key", f, "rsa1024", "sign", "never")
	refused(t, "a weak subkey alone", check(h.Export(f), h.Sign(f, text), text, time.Now()), "RSA of 1024 bits")
	weak := h.Sign(f, text)
	h.Run("", "--quick-add-key", f, "ed25519", "sign", "never")
	refused(t, "a weak subkey beside a good one", check(h.Export(f), weak, text, time.Now()), "made with a weak key")
	all := h.Fingerprints(f)
	if err := check(h.Export(f), h.Sign(all[len(all)-1]+"!", text), text, time.Now()); err != nil {
		t.Errorf("a good subkey beside a weak one: %v", err)
	}
	refused(t, "textmode", check(h.Export("Ada"), h.Sign("Ada", text, "--textmode"), text, time.Now()), "textmode")
}

// rehash is a signature that says that it was made with another hash.
func rehash(t *testing.T, signature string, hash byte) string {
	t.Helper()
	block, err := armor.Decode(strings.NewReader(signature))
	if err != nil {
		t.Fatal(err)
	}
	o, err := packet.NewOpaqueReader(block.Body).Next()
	if err != nil {
		t.Fatal(err)
	}
	o.Contents[3] = hash
	return armoured(t, "PGP SIGNATURE", o.Serialize)
}

// What is no public key is refused, and told apart.
func TestNoKey(t *testing.T) {
	h := pgptest.New(t)
	f := h.Make("Ada <ada@example.com>", "ed25519", "sign", "never")
	key := h.Export(f)
	h.Make("Bob <bob@example.com>", "ed25519", "sign", "never")
	for name, c := range map[string]struct{ key, want string }{
		"private":    {h.Run("", "--armor", "--export-secret-keys", f), "private key"},
		"two":        {h.Run("", "--armor", "--export"), "more than one key"},
		"two blocks": {key + key, "more than one block"},
		"text":       {"ssh-ed25519 AAAA", "does not begin with"},
		"half":       {key[:len(key)/2], "does not end with"},
		"large":      {key + strings.Repeat("\n", pgp.MostKey) + "x", "more than 131072 bytes"},
		"signature":  {h.Sign(f, text), "does not begin with"},
		"garbage":    {"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!!\n-----END PGP PUBLIC KEY BLOCK-----", ""},
	} {
		_, err := pgp.ParseKey(c.key)
		refused(t, name, err, c.want)
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := pgp.ParseSignature(key); err == nil {
		t.Error("a key is a signature")
	}
}

// Whatever stands in a key or in a signature, nothing breaks, and no signature holds over another text.
func FuzzOpenPGP(f *testing.F) {
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, DefaultHash: crypto.SHA256}
	e, err := openpgp.NewEntity("Ada", "", "ada@example.com", config)
	if err != nil {
		f.Fatal(err)
	}
	var key, signature bytes.Buffer
	w, err := armor.Encode(&key, "PGP PUBLIC KEY BLOCK", nil)
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(e.Serialize(w), w.Close(), openpgp.ArmoredDetachSign(&signature, e, strings.NewReader(text), config)); err != nil {
		f.Fatal(err)
	}
	f.Add(key.String(), signature.String())
	f.Add("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----", "-----BEGIN PGP SIGNATURE-----\n\niA==\n=AAAA\n-----END PGP SIGNATURE-----")
	f.Fuzz(func(t *testing.T, key, signature string) {
		k, err := pgp.ParseKey(key)
		s, wrong := pgp.ParseSignature(signature)
		if err != nil {
			return
		}
		if again, err := pgp.ParseKey(k.Text); err != nil || again.Fingerprint != k.Fingerprint || fmt.Sprint(again.IDs) != fmt.Sprint(k.IDs) {
			t.Errorf("as it is kept it is another: %v", err)
		}
		if wrong == nil && k.Verify([]byte("another text"), s, time.Time{}) == nil {
			t.Errorf("%q holds", signature)
		}
	})
}
