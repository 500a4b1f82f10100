package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/crypto/ssh"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/fault"
)

// Signer is a key by which somebody signs commits: a line of git's allowed signers.
type Signer struct {
	Owner       string    `json:"owner"`       // ARN, or a name
	Emails      []string  `json:"emails"`      // that commits signed with it may bear
	Key         string    `json:"key"`         // ssh-ed25519 AAAA…
	Fingerprint string    `json:"fingerprint"` // SHA256:…
	Added       time.Time `json:"added"`
	By          string    `json:"by"` // ARN
}

// AddSigner lets commits be signed with a key, which is one user's.
func (s *Source) AddSigner(ctx context.Context, sg Signer) (Signer, error) {
	key, comment, _, rest, err := ssh.ParseAuthorizedKey([]byte(sg.Key))
	if err != nil || len(bytes.TrimSpace(rest)) > 0 {
		return sg, fault.Invalid.Errorf("%q is no public key of ssh, such as ssh-ed25519 AAAA…", clip(sg.Key, 80))
	}
	if len(sg.Emails) == 0 && strings.Contains(comment, "@") {
		sg.Emails = []string{comment}
	}
	if sg.Owner == "" || len(sg.Emails) == 0 || len(sg.Emails) > 100 {
		return sg, fault.Invalid.Errorf("a key needs an owner and the mail addresses that their commits bear")
	}
	if weak(key) {
		return sg, fault.Invalid.Errorf("keys of type %s are too weak: ed25519, ECDSA and RSA of 2,048 bits or more are taken", key.Type())
	}
	sg.Key, sg.Fingerprint, sg.Added = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), ssh.FingerprintSHA256(key), s.config.Now().UTC()
	body, err := json.Marshal(sg)
	if err != nil {
		return sg, err
	}
	return sg, s.db.Write(ctx, func(tx *db.Tx) error {
		was, err := findSigner(tx, sg.Fingerprint)
		if err == nil && was.Owner != sg.Owner {
			return fault.Exists.Errorf("that key is %s's", was.Owner)
		}
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		_, err = tx.Exec("INSERT INTO source_signers (fingerprint, body) VALUES (?, ?) ON CONFLICT (fingerprint) DO UPDATE SET body = excluded.body", sg.Fingerprint, body)
		return err
	})
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

func scanSigner(scan db.Scan) (sg Signer, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return sg, err
	}
	return sg, json.Unmarshal(body, &sg)
}

func findSigner(tx *db.Tx, fingerprint string) (Signer, error) {
	sg, err := db.One(tx, scanSigner, "SELECT body FROM source_signers WHERE fingerprint = ?", fingerprint)
	if errors.Is(err, fault.NotFound) {
		return sg, fault.NotFound.Errorf("nobody signs with the key %s", fingerprint)
	}
	return sg, err
}

// Signers are the keys that are known, by fingerprint.
func (s *Source) Signers(ctx context.Context) (all []Signer, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanSigner, "SELECT body FROM source_signers ORDER BY fingerprint")
		return err
	})
	return all, err
}

// DropSigner makes a key count no more: what it has signed is not verified from now on.
func (s *Source) DropSigner(ctx context.Context, fingerprint string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := findSigner(tx, fingerprint); err != nil {
			return err
		}
		_, err := tx.Exec("DELETE FROM source_signers WHERE fingerprint = ?", fingerprint)
		return err
	})
}

// Signature is what is known of a commit's signature.
type Signature struct {
	Commit   string
	Verified bool
	Signer   Signer // whose key it is, where it is known
	Why      string // why it is not verified, or by whom it is signed
}

// Verify looks at the signatures of commits.
func (s *Source) Verify(ctx context.Context, repository string, commits ...string) (all []Signature, err error) {
	repo, err := s.Git(repository)
	if err != nil {
		return nil, err
	}
	return s.verify(ctx, repo, commits)
}

func (s *Source) verify(ctx context.Context, repo *git.Repo, commits []string) (all []Signature, err error) {
	known, err := s.keyring(ctx)
	if err != nil {
		return nil, err
	}
	err = repo.EachSigned(ctx, commits, func(c git.Signed, err error) error {
		if errors.Is(err, fault.Limit) {
			all = append(all, Signature{Commit: c.ID, Why: "is too large to be verified"})
			return nil
		}
		all = append(all, verdict(c, known))
		return err
	})
	return all, err
}

// keyring are the signers by fingerprint, the server itself among them.
func (s *Source) keyring(ctx context.Context) (map[string]Signer, error) {
	all, err := s.Signers(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]Signer{}
	for _, sg := range all {
		known[sg.Fingerprint] = sg
	}
	if s.config.Key != nil {
		key := s.config.Key.PublicKey()
		f := ssh.FingerprintSHA256(key)
		known[f] = Signer{Owner: Haechi, Emails: nil, Key: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), Fingerprint: f}
	}
	return known, nil
}

// Haechi is who signs what the server makes.
const Haechi = "haechi"

func verdict(c git.Signed, known map[string]Signer) Signature {
	v := Signature{Commit: c.ID}
	switch {
	case c.Signature == "":
		v.Why = "is not signed"
		return v
	case strings.Contains(c.Signature, "BEGIN PGP"):
		v.Why = "is not verified: OpenPGP; sign with ssh (git config gpg.format ssh)"
		return v
	}
	key, err := checkSSH(c.Payload, c.Signature)
	if err != nil {
		v.Why = "has a signature that does not hold: " + err.Error()
		return v
	}
	sg, ok := known[ssh.FingerprintSHA256(key)]
	if !ok {
		v.Why = "is signed with a key that nobody here owns: " + ssh.FingerprintSHA256(key)
		return v
	}
	v.Signer = sg
	if sg.Owner != Haechi && !slices.ContainsFunc(sg.Emails, func(e string) bool { return strings.EqualFold(e, c.Committer.Email) }) {
		v.Why = fmt.Sprintf("is signed with the key of %s, and committed as %s", sg.Owner, clip(c.Committer.Email, 100))
		return v
	}
	v.Verified, v.Why = true, "is signed by "+sg.Owner
	return v
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

// unsigned are the commits that head has and target lacks whose signatures are not verified.
func (s *Source) unsigned(ctx context.Context, repo *git.Repo, target, head string) (bad []Signature, err error) {
	var without []string
	if !git.IsZero(target) {
		without = []string{target}
	}
	commits, err := repo.Log(ctx, head, "", 0, mostCommits+1, without...)
	if err != nil {
		return nil, err
	}
	if len(commits) > mostCommits {
		return []Signature{{Commit: head, Why: fmt.Sprintf("comes with more than %d commits, too many to be verified", mostCommits)}}, nil
	}
	ids := make([]string, len(commits))
	for i, c := range commits {
		ids[i] = c.ID
	}
	all, err := s.verify(ctx, repo, ids)
	for _, v := range all {
		if !v.Verified && len(bad) < 20 {
			bad = append(bad, v)
		}
	}
	return bad, err
}
