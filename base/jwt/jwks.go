package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // of RS256 and ES256
	_ "crypto/sha512" // and of the longer ones
	"encoding/base64"
	"math/big"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/word/fault"
)

const (
	maxSet  = 256 << 10 // bytes
	maxKeys = 100
)

// Keys are the public keys of an issuer, by their ids.
type Keys struct{ all []key }

type key struct {
	id  string
	alg string // the only one that it is for, or ""
	rsa *rsa.PublicKey
	ec  *ecdsa.PublicKey
}

// JWK is one public key, as a JWKS has it.
type JWK struct {
	Kty string `json:"kty"`
	Use string `json:"use,omitzero"`
	Alg string `json:"alg,omitzero"`
	Kid string `json:"kid,omitzero"`
	Crv string `json:"crv,omitzero"`
	X   string `json:"x,omitzero"`
	Y   string `json:"y,omitzero"`
	N   string `json:"n,omitzero"`
	E   string `json:"e,omitzero"`
}

// Set is a JWKS.
type Set struct {
	Keys []JWK `json:"keys"`
}

// ParseKeys reads a JWKS. Keys of kinds that are not for signatures, or not
// known here, are left out; one that is known and malformed is fault.Invalid,
// as is a set without any that could be used.
func ParseKeys(text []byte) (Keys, error) {
	if len(text) > maxSet {
		return Keys{}, fault.Invalid.Errorf("a set of keys has at most %d bytes", maxSet)
	}
	var set Set
	if err := json.Unmarshal(text, &set); err != nil {
		return Keys{}, fault.Invalid.Errorf("the set of keys cannot be read: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return Keys{}, fault.Invalid.Errorf("a set has at most %d keys", maxKeys)
	}
	var keys Keys
	for _, j := range set.Keys {
		k, err := j.key()
		if err != nil {
			return Keys{}, err
		}
		if k != nil {
			keys.all = append(keys.all, *k)
		}
	}
	if len(keys.all) == 0 {
		return Keys{}, fault.Invalid.Errorf("the set has no key for RS256 or ES256")
	}
	return keys, nil
}

// key is nil for what is not for signatures that are known here.
func (j JWK) key() (*key, error) {
	if j.Use != "" && j.Use != "sig" {
		return nil, nil
	}
	k := &key{id: j.Kid, alg: j.Alg}
	switch {
	case j.Kty == "RSA":
		n, e := number(j.N), number(j.E)
		if n == nil || e == nil || n.BitLen() < 2048 || n.BitLen() > 8192 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 || e.Bit(0) == 0 {
			return nil, fault.Invalid.Errorf("the RSA key %.40q is malformed, or shorter than 2048 bits", j.Kid)
		}
		k.rsa = &rsa.PublicKey{N: n, E: int(e.Int64())}
	case j.Kty == "EC" && curves[j.Crv].curve != nil:
		c := curves[j.Crv].curve
		size := (c.Params().BitSize + 7) / 8
		x, err1 := base64.RawURLEncoding.DecodeString(j.X)
		y, err2 := base64.RawURLEncoding.DecodeString(j.Y)
		if err1 != nil || err2 != nil || len(x) != size || len(y) != size {
			return nil, fault.Invalid.Errorf("the EC key %.40q is malformed", j.Kid)
		}
		pub, err := ecdsa.ParseUncompressedPublicKey(c, append(append([]byte{4}, x...), y...))
		if err != nil {
			return nil, fault.Invalid.Errorf("the EC key %.40q is no point of its curve", j.Kid)
		}
		k.ec = pub
	default:
		return nil, nil
	}
	return k, nil
}

var curves = map[string]struct {
	curve elliptic.Curve
	alg   string
}{"P-256": {elliptic.P256(), "ES256"}, "P-384": {elliptic.P384(), "ES384"}, "P-521": {elliptic.P521(), "ES512"}}

var hashes = map[string]crypto.Hash{
	"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512,
	"ES256": crypto.SHA256, "ES384": crypto.SHA384, "ES512": crypto.SHA512,
}

func number(text string) *big.Int {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 || len(raw) > 1100 {
		return nil
	}
	return new(big.Int).SetBytes(raw)
}

// Has tells whether there is a key with that id.
func (k Keys) Has(id string) bool {
	for _, one := range k.all {
		if one.id == id {
			return true
		}
	}
	return false
}

// check holds a signature against the key that the header names, or, where it
// names none, against the only one there is.
func (k Keys) check(h header, text, signature []byte) error {
	hash, ok := hashes[h.Alg]
	if !ok {
		return malformed("its algorithm is not taken here")
	}
	for _, one := range k.all {
		if one.id != h.Kid && (h.Kid != "" || len(k.all) > 1) || one.alg != "" && one.alg != h.Alg {
			continue
		}
		switch {
		case one.rsa != nil && h.Alg[0] == 'R' && verifyRSA(one.rsa, hash, text, signature):
			return nil
		case one.ec != nil && h.Alg == curves[one.ec.Curve.Params().Name].alg && verifyEC(one.ec, hash, text, signature):
			return nil
		}
	}
	return malformed("no key of the issuer signed it")
}

// Public is the key as a JWKS has it.
func (s Signer) Public() (JWK, error) {
	raw, err := s.Key.PublicKey.Bytes()
	if err != nil || len(raw) != 65 {
		return JWK{}, fault.Internal.Errorf("the key is not on P-256")
	}
	b64 := base64.RawURLEncoding
	return JWK{Kty: "EC", Use: "sig", Alg: "ES256", Kid: s.ID, Crv: "P-256", X: b64.EncodeToString(raw[1:33]), Y: b64.EncodeToString(raw[33:])}, nil
}
