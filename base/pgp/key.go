// Package pgp reads public keys of OpenPGP, and tells whether signatures that were made with them hold.
package pgp

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/haechi-dev/haechi/word/fault"
)

// MostKey is how long the text of a public key may be: one that many others have certified is longer, and is
// exported without that (gpg --export-options export-minimal).
const MostKey = 128 << 10

// The blocks that armoured texts are of.
const (
	keyBlock       = "PGP PUBLIC KEY BLOCK"
	privateBlock   = "PGP PRIVATE KEY BLOCK"
	signatureBlock = "PGP SIGNATURE"
)

// Key is somebody's public key: the primary one, and the subkeys that it vouches for.
type Key struct {
	Fingerprint string    // of the primary key: 40 or 64 hexadecimal digits, in capitals
	IDs         []string  // of those among them that sign: 16 digits
	Emails      []string  // that it says it is for, those that were revoked left out
	Expires     time.Time // zero: never
	Revoked     string    // why and when it was given up, "" if it was not
	Signed      time.Time // when its owner changed it last: its newest signature over itself
	Text        string    // armoured, without what others say of it

	primary part
	signing []part
}

// part is one key of a Key, and when it may sign.
type part struct {
	key     *packet.PublicKey
	weak    string    // why it is not to be trusted, or ""
	from    time.Time // when it was made
	to      time.Time // when it expires; zero: never
	revoked []revocation
}

// revocation says that a key is given up: for good, or for what is signed from then on.
type revocation struct {
	at   time.Time
	soft bool // it was replaced or retired: what it signed before was its owner's
	text string
}

// ParseKey reads one public key in its armour. What is no such key, is a private one, or is too weak to be
// trusted is fault.Invalid, and says why.
func ParseKey(text string) (*Key, error) {
	body, err := unarmour(text, keyBlock, MostKey)
	if err != nil {
		return nil, fault.Invalid.Errorf("it is no public key of OpenPGP: %w", err)
	}
	packets := packet.NewReader(bytes.NewReader(body))
	e, err := openpgp.ReadEntity(packets)
	if err != nil {
		return nil, fault.Invalid.Errorf("the OpenPGP key cannot be read: %s", plain(err))
	}
	if e.PrivateKey != nil {
		return nil, fault.Invalid.Errorf("it is a private key: export the public one (gpg --armor --export)")
	}
	if _, err := packets.Next(); !errors.Is(err, io.EOF) {
		return nil, fault.Invalid.Errorf("there is more than one key in it: export them one by one (gpg --armor --export FINGERPRINT)")
	}
	return keyOf(e)
}

func keyOf(e *openpgp.Entity) (*Key, error) {
	k := &Key{Fingerprint: fmt.Sprintf("%X", e.PrimaryKey.Fingerprint)}
	self := k.own(e)
	if self == nil {
		return nil, fault.Invalid.Errorf("the OpenPGP key vouches for itself by SHA-1 or MD5 alone, which can be forged, or for nobody any more: sign it anew (gpg --quick-set-expire %s 2y) and export it again", k.Fingerprint)
	}
	k.primary = partOf(e.PrimaryKey, self, e.Revocations)
	if k.primary.weak != "" {
		return nil, fault.Invalid.Errorf("the OpenPGP key is too weak: %s", k.primary.weak)
	}
	k.Expires = k.primary.to
	for _, r := range k.primary.revoked {
		k.Revoked = r.String()
	}
	if !self.FlagsValid || self.FlagSign {
		k.signing = append(k.signing, k.primary)
	}
	for _, sub := range e.Subkeys {
		if sub.Sig.CreationTime.After(k.Signed) {
			k.Signed = sub.Sig.CreationTime
		}
		if sub.Sig.FlagsValid && sub.Sig.FlagSign {
			k.signing = append(k.signing, partOf(sub.PublicKey, sub.Sig, sub.Revocations))
		}
	}
	weak := ""
	for _, p := range k.signing {
		k.IDs = append(k.IDs, fmt.Sprintf("%016X", p.key.KeyId))
		if weak == "" {
			weak = p.weak
		}
	}
	if !slices.ContainsFunc(k.signing, func(p part) bool { return p.weak == "" }) {
		if weak != "" {
			return nil, fault.Invalid.Errorf("the OpenPGP key is too weak: %s", weak)
		}
		return nil, fault.Invalid.Errorf("the OpenPGP key is not for signing, and has no subkey that is")
	}
	var err error
	k.Text, err = armoured(e)
	return k, err
}

// own reads what the key says of itself: the signature that tells of its age and use is answered, nil where
// there is none that can be trusted.
func (k *Key) own(e *openpgp.Entity) (self *packet.Signature) {
	if s := e.SelfSignature; s != nil && strong(s.Hash) { // of keys of version 6 alone
		self, k.Signed = s, s.CreationTime
	}
	for _, name := range slices.Sorted(maps.Keys(e.Identities)) {
		id := e.Identities[name]
		s := id.SelfSignature
		if s == nil || !strong(s.Hash) || slices.ContainsFunc(id.Revocations, func(r *packet.Signature) bool { return !r.CreationTime.Before(s.CreationTime) }) {
			continue
		}
		if s.CreationTime.After(k.Signed) {
			k.Signed = s.CreationTime
		}
		if self == nil || e.PrimaryKey.Version != 6 && s.CreationTime.After(self.CreationTime) {
			self = s
		}
		if mail := emailOf(id.UserId); mail != "" && !slices.Contains(k.Emails, mail) {
			k.Emails = append(k.Emails, mail)
		}
	}
	return self
}

// emailOf is the address in `Kim <kim@shop.example>`, or in a user ID that is nothing else.
func emailOf(id *packet.UserId) string {
	mail := id.Email
	if mail == "" && strings.Contains(id.Id, "@") && !strings.ContainsAny(id.Id, " <>()") {
		mail = id.Id
	}
	if len(mail) > 254 || !utf8.ValidString(mail) || !strings.Contains(mail, "@") {
		return ""
	}
	return mail
}

func partOf(key *packet.PublicKey, binding *packet.Signature, revocations []*packet.Signature) part {
	p := part{key: key, from: key.CreationTime, weak: weakness(key)}
	switch {
	case p.weak != "":
	case !strong(binding.Hash), binding.EmbeddedSignature != nil && !strong(binding.EmbeddedSignature.Hash):
		p.weak = "it is bound to its owner by " + hashName(binding.Hash)
	}
	if s := binding.KeyLifetimeSecs; s != nil && *s > 0 {
		p.to = key.CreationTime.Add(time.Duration(*s) * time.Second)
	}
	for _, r := range revocations {
		p.revoked = append(p.revoked, revocationOf(r))
	}
	return p
}

func revocationOf(sig *packet.Signature) revocation {
	r := revocation{at: sig.CreationTime, text: "was revoked"}
	if sig.RevocationReason == nil {
		return r
	}
	switch *sig.RevocationReason {
	case packet.KeyCompromised:
		r.text = "was revoked because somebody else may have it"
	case packet.KeySuperseded:
		r.soft, r.text = true, "was replaced"
	case packet.KeyRetired:
		r.soft, r.text = true, "was retired"
	}
	return r
}

// String is for people.
func (r revocation) String() string { return r.text + " on " + r.at.UTC().Format(time.DateOnly) }

// weakness says why a key is not to be trusted, or "".
func weakness(key *packet.PublicKey) string {
	switch key.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		if bits, err := key.BitLength(); err != nil || bits < 2048 {
			return fmt.Sprintf("RSA of %d bits, and 2,048 are the least", bits)
		}
	case packet.PubKeyAlgoECDSA, packet.PubKeyAlgoEdDSA, packet.PubKeyAlgoEd25519, packet.PubKeyAlgoEd448:
	case packet.PubKeyAlgoDSA:
		return "DSA, which is no longer a standard: make an ed25519 or RSA key"
	default:
		return fmt.Sprintf("algorithm %d, which is not known here", key.PubKeyAlgo)
	}
	return ""
}

// strong tells whether what is signed with a hash cannot be something else.
func strong(h crypto.Hash) bool {
	switch h {
	case crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512:
		return true
	}
	return false
}

func hashName(h crypto.Hash) string {
	if h == 0 {
		return "a hash that is not known"
	}
	return h.String()
}

// armoured is the key alone: whatever others have signed of it is left out.
func armoured(e *openpgp.Entity) (string, error) {
	var out bytes.Buffer
	w, err := armor.Encode(&out, keyBlock, nil)
	if err != nil {
		return "", err
	}
	type serializer interface{ Serialize(io.Writer) error }
	all := []serializer{e.PrimaryKey}
	for _, s := range slices.Concat(e.Revocations, e.Signatures) {
		all = append(all, s)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Identities)) {
		id := e.Identities[name]
		all = append(all, id.UserId)
		for _, s := range id.Signatures {
			if s.CheckKeyIdOrFingerprint(e.PrimaryKey) {
				all = append(all, s)
			}
		}
	}
	for _, sub := range e.Subkeys {
		all = append(all, sub.PublicKey)
		for _, s := range sub.Revocations {
			all = append(all, s)
		}
		all = append(all, sub.Sig)
	}
	for _, one := range all {
		if err := one.Serialize(w); err != nil {
			return "", fault.Invalid.Errorf("the OpenPGP key cannot be kept: %s", plain(err))
		}
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return out.String() + "\n", nil
}

// unarmour is what one armoured block holds, which must be all that the text is.
func unarmour(text, want string, most int) ([]byte, error) {
	text = strings.TrimSpace(text)
	begin, end := "-----BEGIN "+want+"-----", "-----END "+want+"-----"
	switch {
	case len(text) > most:
		return nil, fmt.Errorf("it has more than %d bytes", most)
	case strings.Contains(text, "-----BEGIN "+privateBlock+"-----"):
		return nil, errors.New("it is a private key: export the public one (gpg --armor --export)")
	case !strings.HasPrefix(text, begin):
		return nil, errors.New("it does not begin with " + begin)
	case !strings.HasSuffix(text, end):
		return nil, errors.New("it does not end with " + end)
	case strings.Count(text, "-----BEGIN ") > 1:
		return nil, errors.New("there is more than one block in it")
	}
	block, err := armor.Decode(strings.NewReader(text))
	if err != nil || block.Type != want {
		return nil, errors.New("its armour is broken")
	}
	body, err := io.ReadAll(io.LimitReader(block.Body, int64(most)))
	if err != nil {
		return nil, errors.New("its armour is broken")
	}
	return body, nil
}

// plain is what the library says, without its prefix.
func plain(err error) string {
	var structural pgperrors.StructuralError
	if errors.As(err, &structural) {
		return string(structural)
	}
	return strings.TrimPrefix(err.Error(), "openpgp: ")
}
