package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/crypto/ssh"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/fault"
)

// Signer is a key by which somebody signs commits and tags: a line of git's allowed signers, or a key of OpenPGP.
type Signer struct {
	Owner       string    `json:"owner"`       // ARN, or a name
	Emails      []string  `json:"emails"`      // that what is signed with it may bear
	Key         string    `json:"key"`         // ssh-ed25519 AAAA…, or an armoured block
	Fingerprint string    `json:"fingerprint"` // SHA256:… of ssh, hexadecimal digits of OpenPGP
	Added       time.Time `json:"added"`
	By          string    `json:"by"` // ARN

	IDs     []string  `json:"ids,omitzero"`     // of OpenPGP: those of its keys that sign
	Expires time.Time `json:"expires,omitzero"` // of OpenPGP: when it ends
	Revoked string    `json:"revoked,omitzero"` // of OpenPGP: why and when it was given up
}

// AddSigner lets commits and tags be signed with a key, which is one user's. A key of OpenPGP that is known is
// replaced by a newer copy of it: with another end, other subkeys, or revoked.
func (s *Source) AddSigner(ctx context.Context, sg Signer) (Signer, error) {
	read := readSSH
	if strings.Contains(sg.Key, "-----BEGIN PGP") {
		read = readPGP
	}
	sg, err := read(sg)
	if err != nil {
		return sg, err
	}
	if sg.Owner == "" || len(sg.Emails) == 0 || len(sg.Emails) > 100 {
		return sg, fault.Invalid.Errorf("a key needs an owner and the mail addresses that their commits bear")
	}
	sg.Added = s.config.Now().UTC()
	body, err := json.Marshal(sg)
	if err != nil {
		return sg, err
	}
	return sg, s.db.Write(ctx, func(tx *db.Tx) error {
		was, err := findSigner(tx, sg.Fingerprint)
		if err == nil && was.Owner != sg.Owner {
			return fault.Exists.Errorf("that key is %s's", was.Owner)
		}
		if err == nil {
			err = newer(was, sg)
		}
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		if err := s.onesOwn(tx, sg); err != nil {
			return err
		}
		_, err = tx.Exec("INSERT INTO source_signers (fingerprint, body) VALUES (?, ?) ON CONFLICT (fingerprint) DO UPDATE SET body = excluded.body", sg.Fingerprint, body)
		return err
	})
}

// onesOwn refuses an address that somebody else signs for: who signed would be a question of which key is asked first.
func (s *Source) onesOwn(tx *db.Tx, sg Signer) error {
	all, err := db.All(tx, scanSigner, "SELECT body FROM source_signers ORDER BY fingerprint")
	for _, other := range all {
		if sameOwner(other.Owner, sg.Owner) {
			continue
		}
		if i := slices.IndexFunc(sg.Emails, other.bears); i >= 0 {
			return fault.Exists.Errorf("%s is the address of %s, who signs for it with %s", sg.Emails[i], other.Owner, other.Fingerprint)
		}
	}
	return err
}

// sameOwner tells whether two owners are one: a user may be named by their ARN, or by their name alone.
func sameOwner(a, b string) bool {
	name := func(s string) string {
		if _, user, ok := strings.Cut(s, ":user/"); ok {
			return user[strings.LastIndexByte(user, '/')+1:]
		}
		return s
	}
	return name(a) == name(b)
}

// called is somebody with the addresses, too, for which they sign: by these as well commits tell that they made them.
func (s *Source) called(ctx context.Context, who Person) (Person, error) {
	all, err := s.Signers(ctx)
	for _, sg := range all {
		if sg.Owner == who.ARN || strings.Contains(who.ARN, ":user/") && sameOwner(sg.Owner, who.ARN) {
			who.Emails = slices.Concat(who.Emails, sg.Emails)
		}
	}
	return who, err
}

// bears tells whether a commit that bears an address may be signed with the key.
func (sg Signer) bears(email string) bool {
	return slices.ContainsFunc(sg.Emails, func(e string) bool { return strings.EqualFold(e, email) })
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

// Signature is what is known of the signature of a commit or tag.
type Signature struct {
	Commit   string // or tag
	Verified bool
	Signer   Signer // whose key it is, where it is known
	Why      string // why it is not verified, or by whom it is signed
}

// Verify looks at the signatures of commits that are here already: keys count that were good when they signed.
func (s *Source) Verify(ctx context.Context, repository string, commits ...string) (all []Signature, err error) {
	repo, err := s.Git(repository)
	if err != nil {
		return nil, err
	}
	return s.verify(ctx, repo, commits, time.Time{})
}

// verify looks at the signatures of commits that came at a time: then their keys must have been good, too. The
// zero time is that of the signatures.
func (s *Source) verify(ctx context.Context, repo *git.Repo, commits []string, at time.Time) (all []Signature, err error) {
	known, err := s.keyring(ctx)
	if err != nil {
		return nil, err
	}
	err = repo.EachSigned(ctx, commits, func(c git.Signed, err error) error {
		if errors.Is(err, fault.Limit) {
			all = append(all, Signature{Commit: c.ID, Why: "is too large to be verified"})
			return nil
		}
		all = append(all, known.verdict(c.ID, c.Payload, c.Signature, c.Committer.Email, "committed", at))
		return err
	})
	return all, err
}

// VerifyTags looks at the signatures of tags that are here already, by the names of their objects.
func (s *Source) VerifyTags(ctx context.Context, repository string, tags ...string) (all []Signature, err error) {
	repo, err := s.Git(repository)
	if err != nil {
		return nil, err
	}
	return s.verifyTags(ctx, repo, tags, time.Time{})
}

func (s *Source) verifyTags(ctx context.Context, repo *git.Repo, tags []string, at time.Time) (all []Signature, err error) {
	known, err := s.keyring(ctx)
	if err != nil {
		return nil, err
	}
	err = repo.EachSignedTag(ctx, tags, func(t git.SignedTag, err error) error {
		if errors.Is(err, fault.Limit) {
			all = append(all, Signature{Commit: t.ID, Why: "is too large to be verified"})
			return nil
		}
		all = append(all, known.verdict(t.ID, t.Payload, t.Signature, t.Tagger.Email, "tagged", at))
		return err
	})
	return all, err
}

// keyring are the signers: those of ssh by fingerprint, the server itself among them, those of OpenPGP by the
// IDs of their keys, which are short enough for two to have one.
type keyring struct {
	byFingerprint map[string]Signer
	byID          map[string][]Signer
}

func (s *Source) keyring(ctx context.Context) (*keyring, error) {
	all, err := s.Signers(ctx)
	if err != nil {
		return nil, err
	}
	k := &keyring{map[string]Signer{}, map[string][]Signer{}}
	for _, sg := range all {
		k.byFingerprint[sg.Fingerprint] = sg
		for _, id := range sg.IDs {
			k.byID[id] = append(k.byID[id], sg)
		}
	}
	if s.config.Key != nil {
		key := s.config.Key.PublicKey()
		f := ssh.FingerprintSHA256(key)
		k.byFingerprint[f] = Signer{Owner: Haechi, Emails: nil, Key: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), Fingerprint: f}
	}
	return k, nil
}

// Haechi is who signs what the server makes.
const Haechi = "haechi"

// verdict says whether a signature counts over a text that bears an address and came at a time.
func (k *keyring) verdict(id string, text []byte, signature, email, did string, at time.Time) Signature {
	v := Signature{Commit: id}
	sg, err := k.signer(text, signature, at)
	if err != nil {
		v.Why = err.Error()
		return v
	}
	v.Signer = sg
	if sg.Owner != Haechi && !sg.bears(email) {
		v.Why = fmt.Sprintf("is signed with the key of %s, and %s as %s", sg.Owner, did, clip(email, 100))
		return v
	}
	v.Verified, v.Why = true, "is signed by "+sg.Owner
	return v
}

// signer is whose key signed a text.
func (k *keyring) signer(text []byte, signature string, at time.Time) (Signer, error) {
	switch {
	case signature == "":
		return Signer{}, errors.New("is not signed")
	case strings.Contains(signature, "BEGIN PGP"):
		return k.byPGP(text, signature, at)
	case strings.Contains(signature, "BEGIN SIGNED MESSAGE"):
		return Signer{}, errors.New("is not verified: X.509; sign with ssh or OpenPGP (git config gpg.format ssh)")
	}
	key, err := checkSSH(text, signature)
	if err != nil {
		return Signer{}, holdsNot{err}
	}
	sg, ok := k.byFingerprint[ssh.FingerprintSHA256(key)]
	if !ok {
		return sg, errors.New("is signed with a key that nobody here owns: " + ssh.FingerprintSHA256(key))
	}
	return sg, nil
}

// unsigned are the commits that head has and target lacks whose signatures are not verified, for what came at a time.
func (s *Source) unsigned(ctx context.Context, repo *git.Repo, target, head string, at time.Time) (bad []Signature, err error) {
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
	all, err := s.verify(ctx, repo, ids, at)
	for _, v := range all {
		if !v.Verified && len(bad) < 20 {
			bad = append(bad, v)
		}
	}
	return bad, err
}
