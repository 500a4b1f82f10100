package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// Sign is what only who has the root key can say of text: an HMAC-SHA-256 under
// a key for that purpose, derived from the newest root key. It says which key it was:
//
//	h1.KEYID.BASE64
func (s *Sealer) Sign(purpose string, text []byte) (string, error) {
	return s.sign(s.newest, purpose, text)
}

// Signed tells whether Sign made signature of text for that purpose: nil, or a
// Failure.
func (s *Sealer) Signed(purpose string, text []byte, signature string) error {
	version, rest, _ := strings.Cut(signature, ".")
	id, _, ok := strings.Cut(rest, ".")
	if !ok || version != signVersion {
		return Malformed
	}
	if s.roots[id] == nil {
		return UnknownKey
	}
	want, err := s.sign(id, purpose, text)
	if err != nil {
		return err
	}
	if !hmac.Equal([]byte(want), []byte(signature)) {
		return Changed
	}
	return nil
}

const signVersion = "h1"

func (s *Sealer) sign(id, purpose string, text []byte) (string, error) {
	key, err := hkdf.Key(sha256.New, s.roots[id], nil, "haechi sign "+signVersion+" "+purpose, keySize)
	if err != nil {
		return "", fmt.Errorf("deriving a key: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write(text) // never fails
	return signVersion + "." + id + "." + base64.RawStdEncoding.EncodeToString(mac.Sum(nil)), nil
}
