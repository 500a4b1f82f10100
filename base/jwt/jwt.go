// Package jwt signs JSON Web Tokens, and verifies them with the keys of a JWKS that is kept.
//
// A token says which key it was signed with, and nothing else that is believed
// before its signature holds: not the algorithm (the key says which ones it is
// for), and never an address to fetch a key from. There is no "none", and no
// algorithm in which a public key could be taken for a secret.
package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/fault"
)

const (
	maxToken  = 20_000 // bytes, as sts has it
	maxClaims = 200
	leeway    = time.Minute // between clocks
)

// Claims are what a token says, once it is believed.
type Claims struct {
	Issuer, Subject string
	Audience        []string
	Party           string // azp: whom it was issued to, where there are several audiences
	Nonce           string
	Issued, Expires time.Time
	All             map[string]jsontext.Value
}

// Strings are the values of a claim as condition keys and mappings have them:
// one for a text, a number or a boolean, several for a list of such.
func (c Claims) Strings(name string) []string {
	var one any
	if json.Unmarshal(c.All[name], &one) != nil {
		return nil
	}
	list, ok := one.([]any)
	if !ok {
		list = []any{one}
	}
	var all []string
	for _, v := range list {
		switch v := v.(type) {
		case string:
			all = append(all, v)
		case bool, float64:
			text, err := json.Marshal(v)
			if err == nil {
				all = append(all, string(text))
			}
		}
	}
	return all
}

// Expired is the error of a token that was good once. It is a fault.Unauthenticated.
var Expired = fault.Unauthenticated.Errorf("the token has expired")

// A Want is what a token must say to be believed.
type Want struct {
	Issuer   string
	Audience []string // one of these must be among the token's
}

type header struct {
	Alg  string   `json:"alg"`
	Kid  string   `json:"kid"`
	Crit []string `json:"crit"`
}

// Peek is the issuer that a token claims, and the id of the key it claims to be
// signed with: to find out whom to ask, and no more.
func Peek(token string) (issuer, kid string, err error) {
	h, payload, _, err := split(token)
	if err != nil {
		return "", "", err
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return "", "", malformed("its claims are no JSON")
	}
	return c.Issuer, h.Kid, nil
}

func malformed(why string) error {
	return fault.Unauthenticated.Errorf("the token cannot be believed: %s", why)
}

// split takes a token apart. Nothing of it is believed yet.
func split(token string) (h header, payload, signature []byte, err error) {
	if len(token) > maxToken {
		return h, nil, nil, malformed("it is longer than tokens are")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return h, nil, nil, malformed("it has not three parts")
	}
	var raw [3][]byte
	for i, part := range parts {
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return h, nil, nil, malformed("it is no base64url")
		}
	}
	if err := json.Unmarshal(raw[0], &h); err != nil {
		return h, nil, nil, malformed("its header is no JSON")
	}
	if len(h.Crit) > 0 {
		return h, nil, nil, malformed("it demands extensions that are not known here")
	}
	return h, raw[1], raw[2], nil
}

// Verify is what a token says if one of keys signed it, it is what was wanted,
// and it is valid at now. Everything else is fault.Unauthenticated, [Expired] one of it.
func Verify(token string, keys Keys, want Want, now time.Time) (Claims, error) {
	h, payload, signature, err := split(token)
	if err != nil {
		return Claims{}, err
	}
	signed := token[:strings.LastIndexByte(token, '.')]
	if err := keys.check(h, []byte(signed), signature); err != nil {
		return Claims{}, err
	}
	c, err := claims(payload)
	if err != nil {
		return Claims{}, err
	}
	return c, c.meet(want, now)
}

func claims(payload []byte) (c Claims, err error) {
	if err := json.Unmarshal(payload, &c.All); err != nil || len(c.All) > maxClaims {
		return c, malformed("its claims cannot be read")
	}
	for name, to := range map[string]*string{"iss": &c.Issuer, "sub": &c.Subject, "azp": &c.Party, "nonce": &c.Nonce} {
		if text, ok := c.All[name]; ok && json.Unmarshal(text, to) != nil {
			return c, malformed(name + " is no text")
		}
	}
	if aud := c.All["aud"]; json.Unmarshal(aud, &c.Audience) != nil {
		var one string
		if json.Unmarshal(aud, &one) != nil {
			return c, malformed("aud is neither a text nor a list")
		}
		c.Audience = []string{one}
	}
	for name, to := range map[string]*time.Time{"iat": &c.Issued, "exp": &c.Expires} {
		if *to, err = c.time(name); err != nil {
			return c, err
		}
	}
	return c, nil
}

// time is a claim that is a time; zero if it is not there.
func (c Claims) time(name string) (time.Time, error) {
	text, ok := c.All[name]
	if !ok {
		return time.Time{}, nil
	}
	var seconds float64
	if json.Unmarshal(text, &seconds) != nil || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, malformed(name + " is no time")
	}
	return time.Unix(int64(seconds), 0), nil
}

func (c Claims) meet(want Want, now time.Time) error {
	before, err := c.time("nbf")
	switch {
	case err != nil:
		return err
	case c.Issuer != want.Issuer || want.Issuer == "":
		return malformed("it is from another issuer")
	case c.Expires.IsZero():
		return malformed("it does not say when it expires")
	case !now.Before(c.Expires.Add(leeway)):
		return Expired
	case before.After(now.Add(leeway)), c.Issued.After(now.Add(leeway)):
		return malformed("it is not valid yet")
	case c.Subject == "" || len(c.Subject) > 1000:
		return malformed("it has no subject")
	}
	for _, a := range c.Audience {
		for _, w := range want.Audience {
			if a == w && w != "" {
				return nil
			}
		}
	}
	return malformed("it is for another audience")
}

// A Signer signs tokens with ES256.
type Signer struct {
	ID  string
	Key *ecdsa.PrivateKey // on P-256
}

// Sign makes a token of claims.
func (s Signer) Sign(claims map[string]any) (string, error) {
	head, err := json.Marshal(map[string]string{"alg": "ES256", "typ": "JWT", "kid": s.ID}, json.Deterministic(true))
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims, json.Deterministic(true))
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString(head) + "." + b64.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	r, v, err := ecdsa.Sign(rand.Reader, s.Key, sum[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	v.FillBytes(signature[32:])
	return text + "." + b64.EncodeToString(signature[:]), nil
}

func verifyEC(key *ecdsa.PublicKey, hash crypto.Hash, text, signature []byte) bool {
	size := (key.Curve.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		return false
	}
	h := hash.New()
	h.Write(text)
	return ecdsa.Verify(key, h.Sum(nil), new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:]))
}

func verifyRSA(key *rsa.PublicKey, hash crypto.Hash, text, signature []byte) bool {
	h := hash.New()
	h.Write(text)
	return rsa.VerifyPKCS1v15(key, hash, h.Sum(nil), signature) == nil
}
