package pgp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// MostSignature is how long the armoured text of a signature may be.
const MostSignature = 64 << 10

// ahead is how far the clock of who signs may be ahead of ours.
const ahead = 10 * time.Minute

// Signature says that somebody signed something.
type Signature struct {
	Issuer string    // ID of the key that is said to have made it: 16 digits
	At     time.Time // when, as whoever made it says
	sig    *packet.Signature
}

// ParseSignature reads a signature in its armour. One that is weak whoever made it is an error that says why.
func ParseSignature(text string) (*Signature, error) {
	body, err := unarmour(text, signatureBlock, MostSignature)
	if err != nil {
		return nil, fmt.Errorf("it is no signature of OpenPGP: %w", err)
	}
	raw := packet.NewOpaqueReader(bytes.NewReader(body))
	o, err := raw.Next()
	if err != nil || o.Tag != 2 || len(o.Contents) < 4 {
		return nil, errors.New("it is no signature of OpenPGP")
	}
	if _, err := raw.Next(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one signature in it")
	}
	version := o.Contents[0]
	if version < 4 || version > 6 {
		return nil, fmt.Errorf("it is of version %d, and only 4 and later are read", version)
	}
	if name := map[byte]string{1: "MD5", 2: "SHA-1", 3: "RIPEMD-160"}[o.Contents[3]]; name != "" {
		return nil, fmt.Errorf("it is made with %s, which can be forged: tell gpg to use another (digest-algo SHA512)", name)
	}
	p, err := o.Parse()
	sig, ok := p.(*packet.Signature)
	if err != nil || !ok {
		return nil, fmt.Errorf("it cannot be read: %s", plain(cannot(err)))
	}
	if sig.SigType == packet.SigTypeText {
		return nil, errors.New("it is over a text whose line ends may be others: sign without gpg's textmode")
	}
	if sig.SigType != packet.SigTypeBinary {
		return nil, errors.New("it is not over a document")
	}
	if !strong(sig.Hash) || !sig.Hash.Available() {
		return nil, fmt.Errorf("it is made with %s, which is not trusted", hashName(sig.Hash))
	}
	s := &Signature{At: sig.CreationTime, sig: sig}
	switch f := sig.IssuerFingerprint; {
	case len(f) == 20:
		s.Issuer = fmt.Sprintf("%X", f[12:])
	case len(f) == 32:
		s.Issuer = fmt.Sprintf("%X", f[:8])
	case sig.IssuerKeyId != nil:
		s.Issuer = fmt.Sprintf("%016X", *sig.IssuerKeyId)
	default:
		return nil, errors.New("it does not say which key made it")
	}
	return s, nil
}

func cannot(err error) error {
	if err == nil {
		return errors.New("it is something else")
	}
	return err
}

// Verify says why a signature over a text does not count, or nil. at is when the text came to whoever asks:
// then the key must have been good, besides when it signed. Whoever stole a key that has expired or was
// replaced can date back what they sign, but not when it comes. With the zero time it is asked whether the
// key was good when it signed, as it says itself: for what is there already.
func (k *Key) Verify(text []byte, s *Signature, at time.Time) error {
	i := slices.IndexFunc(k.signing, func(p part) bool { return s.sig.CheckKeyIdOrFingerprint(p.key) })
	if i < 0 {
		return errors.New("it is made with a key that is not for signing")
	}
	p := k.signing[i]
	if p.weak != "" {
		return fmt.Errorf("it is made with a weak key: %s", p.weak)
	}
	h, err := s.sig.PrepareVerify()
	if err != nil {
		return errors.New(plain(err))
	}
	h.Write(text)
	if err := p.key.VerifySignature(h, s.sig); err != nil {
		return errors.New("it is not over this text")
	}
	if life := s.sig.SigLifetimeSecs; life != nil && *life > 0 {
		if end := s.At.Add(time.Duration(*life) * time.Second); at.After(end) {
			return fmt.Errorf("it was to hold until %s", day(end))
		}
	}
	if !at.IsZero() && s.At.After(at.Add(ahead)) {
		return fmt.Errorf("it is of the future: %s", s.At.UTC().Format(time.RFC3339))
	}
	if err := k.primary.good("the key", s.At, at); err != nil {
		return err
	}
	if p.key == k.primary.key {
		return nil
	}
	return p.good("the subkey", s.At, at)
}

// good says why a key does not count for what was signed at one time and came at another, or nil.
func (p part) good(name string, signed, came time.Time) error {
	for _, r := range p.revoked {
		switch {
		case !r.soft:
			return fmt.Errorf("%s %s: nothing that it signed counts", name, r)
		case !signed.Before(r.at), came.After(r.at):
			return fmt.Errorf("%s %s", name, r)
		}
	}
	switch {
	case signed.Before(p.from):
		return fmt.Errorf("it is older than %s", name)
	case p.to.IsZero():
		return nil
	case signed.After(p.to):
		return fmt.Errorf("%s had expired on %s when it signed", name, day(p.to))
	case came.After(p.to):
		return fmt.Errorf("%s has expired on %s: give it a later end, and make it known again", name, day(p.to))
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
