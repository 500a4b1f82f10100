package source

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/haechi-dev/haechi/word/fault"
)

// readSSH reads a public key of ssh, as authorized_keys has it, into a signer.
func readSSH(sg Signer) (Signer, error) {
	key, comment, _, rest, err := ssh.ParseAuthorizedKey([]byte(sg.Key))
	if err != nil || len(bytes.TrimSpace(rest)) > 0 {
		return sg, fault.Invalid.Errorf("%q is no public key: one of ssh (ssh-ed25519 AAAA…), or of OpenPGP (gpg --armor --export), is meant", clip(sg.Key, 80))
	}
	if len(sg.Emails) == 0 && strings.Contains(comment, "@") {
		sg.Emails = []string{comment}
	}
	if weak(key) {
		return sg, fault.Invalid.Errorf("keys of type %s are too weak: ed25519, ECDSA and RSA of 2,048 bits or more are taken", key.Type())
	}
	sg.Key, sg.Fingerprint = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), ssh.FingerprintSHA256(key)
	return sg, nil
}

// weak tells whether a key is not to be trusted.
func weak(key ssh.PublicKey) bool {
	if key.Type() == "ssh-dss" {
		return true
	}
	if crypto, ok := key.(ssh.CryptoPublicKey); ok {
		if rsa, ok := crypto.CryptoPublicKey().(interface{ Size() int }); ok && key.Type() == ssh.KeyAlgoRSA {
			return rsa.Size() < 256
		}
	}
	return false
}

// The armour of an ssh signature, and what is in it: PROTOCOL.sshsig of OpenSSH.
const (
	sshBegin = "-----BEGIN SSH SIGNATURE-----"
	sshEnd   = "-----END SSH SIGNATURE-----"
	sshMagic = "SSHSIG"
	// sshFor is what git signs for: a signature for something else is none.
	sshFor = "git"
)

type sshSignature struct {
	Version   uint32
	Key       []byte
	Namespace string
	Reserved  string
	Hash      string
	Signature []byte
}

type sshSigned struct {
	Namespace, Reserved, Hash string
	Sum                       []byte
}

// checkSSH is the key that made a signature over a payload, if it did.
func checkSSH(payload []byte, armoured string) (ssh.PublicKey, error) {
	body, ok := strings.CutPrefix(strings.TrimSpace(armoured), sshBegin)
	body, ok2 := strings.CutSuffix(body, sshEnd)
	if !ok || !ok2 || len(body) > 64<<10 {
		return nil, errors.New("it is no ssh signature")
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body), ""))
	if err != nil || !bytes.HasPrefix(raw, []byte(sshMagic)) {
		return nil, errors.New("it is no ssh signature")
	}
	var sig sshSignature
	if err := ssh.Unmarshal(raw[len(sshMagic):], &sig); err != nil {
		return nil, errors.New("it is no ssh signature")
	}
	if sig.Version != 1 || sig.Namespace != sshFor {
		return nil, fmt.Errorf("it is for %q, not for git", clip(sig.Namespace, 40))
	}
	sum, err := sshSum(sig.Hash, payload)
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePublicKey(sig.Key)
	if err != nil {
		return nil, errors.New("its key cannot be read")
	}
	var inner ssh.Signature
	if err := ssh.Unmarshal(sig.Signature, &inner); err != nil {
		return nil, errors.New("it is no ssh signature")
	}
	if weak(key) || inner.Format == ssh.KeyAlgoRSA { // SHA-1
		return nil, errors.New("it is too weak")
	}
	signed := append([]byte(sshMagic), ssh.Marshal(sshSigned{sig.Namespace, sig.Reserved, sig.Hash, sum})...)
	if err := key.Verify(signed, &inner); err != nil {
		return nil, errors.New("it is not over this commit")
	}
	return key, nil
}

func sshSum(name string, payload []byte) ([]byte, error) {
	switch name {
	case "sha256":
		sum := sha256.Sum256(payload)
		return sum[:], nil
	case "sha512":
		sum := sha512.Sum512(payload)
		return sum[:], nil
	}
	return nil, fmt.Errorf("its hash %q is not known", clip(name, 40))
}

// SignSSH signs what git commits, as ssh-keygen -Y sign does.
func SignSSH(key ssh.Signer, random io.Reader, payload []byte) (string, error) {
	sum := sha512.Sum512(payload)
	signed := append([]byte(sshMagic), ssh.Marshal(sshSigned{sshFor, "", "sha512", sum[:]})...)
	signature, err := key.Sign(random, signed)
	if err != nil {
		return "", err
	}
	raw := append([]byte(sshMagic), ssh.Marshal(sshSignature{1, key.PublicKey().Marshal(), sshFor, "", "sha512", ssh.Marshal(signature)})...)
	text := base64.StdEncoding.EncodeToString(raw)
	var b strings.Builder
	b.WriteString(sshBegin + "\n")
	for len(text) > 70 {
		b.WriteString(text[:70] + "\n")
		text = text[70:]
	}
	b.WriteString(text + "\n" + sshEnd + "\n")
	return b.String(), nil
}
