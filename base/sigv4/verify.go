package sigv4

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// UnsignedPayload is what S3 lets stand for the hash of a body.
	UnsignedPayload = "UNSIGNED-PAYLOAD"

	contentHash = "X-Amz-Content-Sha256"
	maxKeys     = 4096
)

// A Verifier verifies signatures and remembers the signing keys that proved
// good, so that a stranger cannot fill it. The zero value is ready, and safe
// for use by many goroutines.
type Verifier struct {
	mu   sync.RWMutex
	keys map[keyOf][]byte
}

type keyOf struct{ secret, date, region, service string }

// Timely refuses a claim whose time is over or has not come. It needs no
// secret: ask it before anything that costs.
func (c *Claim) Timely(now time.Time) error {
	life := Skew
	if c.Presigned {
		life = c.Expires
	}
	switch {
	case c.Time.After(now.Add(Skew)):
		return Early.because("signed for %s, it is %s now", c.Time.Format(basic), now.UTC().Format(basic))
	case now.After(c.Time.Add(life)):
		return Expired.because("signed at %s, good for %s, it is %s now", c.Time.Format(basic), life, now.UTC().Format(basic))
	}
	return nil
}

// Read reads the body of r, at most limit bytes of it, and verifies the claim
// over it. It answers the body as it came over the wire: where it is
// compressed, it was the compressed bytes that were signed.
func (v *Verifier) Read(r *http.Request, c *Claim, secret string, now time.Time, limit int64) ([]byte, error) {
	if err := c.Timely(now); err != nil {
		return nil, err
	}
	if r.ContentLength > limit {
		return nil, TooLarge.because("%d bytes, %d are allowed", r.ContentLength, limit)
	}
	var body []byte
	if r.Body != nil && r.Body != http.NoBody {
		var b bytes.Buffer
		if n := r.ContentLength; n > 0 {
			b.Grow(int(n) + bytes.MinRead)
		}
		if _, err := b.ReadFrom(io.LimitReader(r.Body, limit+1)); err != nil {
			return nil, BodyChanged.because("it could not be read to its end")
		}
		if body = b.Bytes(); int64(len(body)) > limit {
			return nil, TooLarge.because("%d bytes are allowed", limit)
		}
	}
	return body, v.Verify(r, c, secret, now, body)
}

// Verify tells whether c was signed with secret for exactly r and body, and at
// a time that is not too far from now. r must be as it came: its RequestURI,
// or else its URL, its Host and its headers are what is verified.
func (v *Verifier) Verify(r *http.Request, c *Claim, secret string, now time.Time, body []byte) error {
	return v.verify(r, c, styleOf(c.Service), secret, now, body)
}

// VerifySum is Verify for a body that is too large to be held: sum is its SHA-256 in hex.
func (v *Verifier) VerifySum(r *http.Request, c *Claim, secret string, now time.Time, sum string) error {
	return v.verifySum(r, c, styleOf(c.Service), secret, now, func() string { return sum })
}

func (v *Verifier) verify(r *http.Request, c *Claim, s style, secret string, now time.Time, body []byte) error {
	return v.verifySum(r, c, s, secret, now, func() string { return Hash(body) })
}

func (v *Verifier) verifySum(r *http.Request, c *Claim, s style, secret string, now time.Time, sum func() string) error {
	if err := c.Timely(now); err != nil {
		return err
	}
	payload, err := payloadOf(r, c, sum)
	if err != nil {
		return err
	}
	id := keyOf{secret, c.Date, c.Region, c.Service}
	v.mu.RLock()
	key, known := v.keys[id]
	v.mu.RUnlock()
	if !known {
		key = signingKey(secret, c.Date, c.Region, c.Service)
	}
	// In the query a token cannot be told from one that was signed, so both are tried.
	good := matches(r, c, s, key, payload, false) || c.Presigned && c.Token != "" && matches(r, c, s, key, payload, true)
	if !good {
		return &Refusal{Reason: Mismatch}
	}
	if !known {
		v.remember(id, key)
	}
	return nil
}

func (v *Verifier) remember(id keyOf, key []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keys == nil || len(v.keys) >= maxKeys {
		v.keys = make(map[keyOf][]byte)
	}
	v.keys[id] = key
}

func matches(r *http.Request, c *Claim, s style, key []byte, payload string, late bool) bool {
	var space [2048]byte
	canonical := appendCanonical(space[:0], r, s, c.SignedHeaders, c.headers, payload, late)
	got := sign(key, c, canonical)
	return subtle.ConstantTimeCompare(got[:], c.signature[:]) == 1
}

// sign is the signature of a canonical request.
func sign(key []byte, c *Claim, canonical []byte) [32]byte {
	var space [256]byte
	b := append(space[:0], algorithm...)
	b = append(b, '\n')
	b = c.Time.AppendFormat(b, basic)
	b = append(b, '\n')
	b = append(b, c.Date...)
	b = append(b, '/')
	b = append(b, c.Region...)
	b = append(b, '/')
	b = append(b, c.Service...)
	b = append(b, '/')
	b = append(b, terminal...)
	b = append(b, '\n')
	sum := sha256.Sum256(canonical)
	b = hex.AppendEncode(b, sum[:])
	return [32]byte(mac(key, b))
}

func signingKey(secret, date, region, service string) []byte {
	key := mac([]byte("AWS4"+secret), []byte(date))
	for _, part := range []string{region, service, terminal} {
		key = mac(key, []byte(part))
	}
	return key
}

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

// payloadOf is what stands for the body in the canonical request, after it was
// held against the body.
func payloadOf(r *http.Request, c *Claim, sum func() string) (string, error) {
	said := r.Header[contentHash]
	switch {
	case len(said) > 1:
		return "", Malformed.because("%s is there twice", contentHash)
	case len(said) == 0 && c.Presigned && c.Service == "s3":
		return UnsignedPayload, nil
	case len(said) == 0:
		return sum(), nil
	case said[0] == UnsignedPayload:
		if c.Service != "s3" {
			return "", Unsupported.because("%s is for s3 alone", UnsignedPayload)
		}
		return UnsignedPayload, nil
	case strings.HasPrefix(said[0], "STREAMING-"):
		return "", Unsupported.because("%s is not read here", clip(said[0]))
	case said[0] != sum():
		return "", &Refusal{Reason: BodyChanged}
	}
	return said[0], nil
}

// Hash is the hash of a body as it is signed.
func Hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// ReasonOf is why err was refused, or 0 if err is no refusal.
func ReasonOf(err error) Reason {
	var r Reason
	if errors.As(err, &r) {
		return r
	}
	return 0
}
