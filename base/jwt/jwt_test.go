package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/jwt"
	"github.com/haechi-dev/haechi/word/fault"
)

var (
	now  = time.Unix(1_800_000_000, 0)
	want = jwt.Want{Issuer: "https://id.example", Audience: []string{"haechi"}}
	b64  = base64.RawURLEncoding
)

func claims(change func(map[string]any)) map[string]any {
	c := map[string]any{"iss": "https://id.example", "sub": "kim", "aud": []string{"x", "haechi"}, "exp": now.Add(time.Minute).Unix(), "iat": now.Unix()}
	if change != nil {
		change(c)
	}
	return c
}

func text(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b64.EncodeToString(raw)
}

// keys are an EC key and an RSA key, and the set of both.
func keys(t testing.TB) (jwt.Signer, *rsa.PrivateKey, jwt.Keys, []byte) {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s := jwt.Signer{ID: "ec", Key: ec}
	public, err := s.Public()
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jwt.Set{Keys: []jwt.JWK{public,
		{Kty: "RSA", Kid: "rsa", Use: "sig", N: b64.EncodeToString(r.N.Bytes()), E: b64.EncodeToString(big.NewInt(int64(r.E)).Bytes())},
		{Kty: "oct", Kid: "secret"}, {Kty: "RSA", Use: "enc", Kid: "enc"}}})
	if err != nil {
		t.Fatal(err)
	}
	k, err := jwt.ParseKeys(set)
	if err != nil {
		t.Fatal(err)
	}
	return s, r, k, set
}

func rs256(t testing.TB, key *rsa.PrivateKey, head, body any) string {
	t.Helper()
	signed := text(t, head) + "." + text(t, body)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64.EncodeToString(signature)
}

// What one of the keys signed, for us, and in time, is believed.
func TestVerify(t *testing.T) {
	s, r, k, _ := keys(t)
	token, err := s.Sign(claims(func(c map[string]any) { c["groups"], c["n"], c["ok"] = []string{"a", "b"}, 7, true }))
	if err != nil {
		t.Fatal(err)
	}
	c, err := jwt.Verify(token, k, want, now)
	if err != nil || c.Subject != "kim" || strings.Join(c.Strings("groups"), " ") != "a b" || strings.Join(c.Strings("n"), "") != "7" || strings.Join(c.Strings("ok"), "") != "true" {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err := jwt.Verify(rs256(t, r, map[string]string{"alg": "RS256", "kid": "rsa"}, claims(nil)), k, want, now); err != nil {
		t.Errorf("RS256: %v", err)
	}
	if issuer, kid, err := jwt.Peek(token); issuer != want.Issuer || kid != "ec" || err != nil {
		t.Errorf("peeked %q %q %v", issuer, kid, err)
	}
}

// Whatever else a token says, it is not believed.
func TestRefused(t *testing.T) {
	s, r, k, set := keys(t)
	sign := func(change func(map[string]any)) string {
		token, err := s.Sign(claims(change))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good := sign(nil)
	parts := strings.Split(good, ".")
	mac := hmac.New(sha256.New, set) // the public keys, as if they were a secret
	mac.Write([]byte(text(t, map[string]string{"alg": "HS256", "kid": "rsa"}) + "." + parts[1]))
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := jwt.Signer{ID: "ec", Key: other}.Sign(claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	for what, token := range map[string]string{
		"alg none":                 text(t, map[string]string{"alg": "none"}) + "." + parts[1] + ".",
		"alg None, signed":         text(t, map[string]string{"alg": "None", "kid": "ec"}) + "." + parts[1] + "." + parts[2],
		"HMAC with public keys":    text(t, map[string]string{"alg": "HS256", "kid": "rsa"}) + "." + parts[1] + "." + b64.EncodeToString(mac.Sum(nil)),
		"an RSA key for ES256":     text(t, map[string]string{"alg": "ES256", "kid": "rsa"}) + "." + parts[1] + "." + parts[2],
		"an EC key for RS256":      rs256(t, r, map[string]string{"alg": "RS256", "kid": "ec"}, claims(nil)),
		"another curve's hash":     text(t, map[string]string{"alg": "ES384", "kid": "ec"}) + "." + parts[1] + "." + parts[2],
		"somebody else's key":      stranger,
		"no key id":                rs256(t, r, map[string]string{"alg": "RS256"}, claims(nil)),
		"a key of its own":         rs256(t, r, map[string]any{"alg": "RS256", "kid": "x", "jku": "https://evil.example/keys", "jwk": map[string]string{"kty": "oct"}}, claims(nil)),
		"unknown extensions":       rs256(t, r, map[string]any{"alg": "RS256", "kid": "rsa", "crit": []string{"b64"}}, claims(nil)),
		"changed claims":           parts[0] + "." + text(t, claims(func(c map[string]any) { c["sub"] = "root" })) + "." + parts[2],
		"no signature":             parts[0] + "." + parts[1] + ".",
		"two parts":                parts[0] + "." + parts[1],
		"padding":                  good + "=",
		"line breaks":              parts[0] + "\n." + parts[1] + "." + parts[2],
		"too long":                 good + strings.Repeat("A", 30_000),
		"another issuer":           sign(func(c map[string]any) { c["iss"] = "https://id.example/" }),
		"another audience":         sign(func(c map[string]any) { c["aud"] = "x" }),
		"no audience":              sign(func(c map[string]any) { delete(c, "aud") }),
		"an odd audience":          sign(func(c map[string]any) { c["aud"] = 7 }),
		"no end":                   sign(func(c map[string]any) { delete(c, "exp") }),
		"an end that is no number": sign(func(c map[string]any) { c["exp"] = "tomorrow" }),
		"not yet":                  sign(func(c map[string]any) { c["nbf"] = now.Add(2 * time.Minute).Unix() }),
		"from the future":          sign(func(c map[string]any) { c["iat"] = now.Add(2 * time.Minute).Unix() }),
		"no subject":               sign(func(c map[string]any) { delete(c, "sub") }),
		"expired":                  sign(func(c map[string]any) { c["exp"] = now.Add(-2 * time.Minute).Unix() }),
	} {
		if _, err := jwt.Verify(token, k, want, now); !errors.Is(err, fault.Unauthenticated) || errors.Is(err, jwt.Expired) != (what == "expired") {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if _, err := jwt.Verify(good, jwt.Keys{}, want, now); !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("no keys: %v", err)
	}
	if _, err := jwt.Verify(good, k, jwt.Want{}, now); !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("nothing wanted: %v", err)
	}
}

// A set of keys that is malformed, weak, or of no use, is refused.
func TestBadKeys(t *testing.T) {
	for what, set := range map[string]string{
		"no JSON": "{", "none": `{"keys":[]}`, "of no use": `{"keys":[{"kty":"oct","k":"AAAA"}]}`,
		"a short RSA key":  `{"keys":[{"kty":"RSA","n":"` + b64.EncodeToString(make([]byte, 128)) + `","e":"AQAB"}]}`,
		"an even exponent": `{"keys":[{"kty":"RSA","n":"` + b64.EncodeToString(append([]byte{255}, make([]byte, 255)...)) + `","e":"Ag"}]}`,
		"no point":         `{"keys":[{"kty":"EC","crv":"P-256","x":"` + b64.EncodeToString(make([]byte, 32)) + `","y":"` + b64.EncodeToString(make([]byte, 32)) + `"}]}`,
		"a short point":    `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`,
		"too many":         `{"keys":[` + strings.TrimSuffix(strings.Repeat(`{"kty":"oct"},`, 101), ",") + `]}`,
		"too large":        `{"keys":[]}` + strings.Repeat(" ", 300_000),
	} {
		if _, err := jwt.ParseKeys([]byte(set)); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

// No token that nobody signed is believed, whatever it looks like.
func FuzzVerify(f *testing.F) {
	s, r, k, _ := keys(f)
	token, err := s.Sign(claims(nil))
	if err != nil {
		f.Fatal(err)
	}
	parts := strings.Split(token, ".")
	f.Add(parts[0], parts[1], parts[2])
	other := strings.Split(rs256(f, r, map[string]string{"alg": "RS256", "kid": "rsa"}, claims(nil)), ".")
	f.Add(other[0], other[1], other[2])
	f.Add(text(f, map[string]string{"alg": "none"}), parts[1], "")
	f.Fuzz(func(t *testing.T, head, body, signature string) {
		all := head + "." + body + "." + signature
		_, _, _ = jwt.Peek(all)
		c, err := jwt.Verify(all, k, want, now)
		if err == nil && all != token && all != strings.Join(other, ".") {
			t.Fatalf("%q is believed: %+v", all, c)
		}
		if err != nil && !errors.Is(err, fault.Unauthenticated) {
			t.Fatalf("%q: %v", all, err)
		}
	})
}

// Whatever a set of keys holds, it is read or refused, and nothing breaks.
func FuzzParseKeys(f *testing.F) {
	_, _, _, set := keys(f)
	f.Add(set)
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-521","x":"","y":""},{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, set []byte) {
		k, err := jwt.ParseKeys(set)
		if err != nil && !errors.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
		if err == nil {
			_, _ = jwt.Verify("e30.e30.AAAA", k, want, now)
		}
	})
}
