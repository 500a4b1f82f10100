package source

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/pgp"
	"github.com/haechi-dev/haechi/word/fault"
)

// readPGP reads a public key of OpenPGP into a signer.
func readPGP(sg Signer) (Signer, error) {
	k, err := pgp.ParseKey(sg.Key)
	if err != nil {
		return sg, err
	}
	if len(sg.Emails) == 0 {
		sg.Emails = k.Emails
	}
	sg.Key, sg.Fingerprint, sg.IDs, sg.Expires, sg.Revoked = k.Text, k.Fingerprint, k.IDs, k.Expires, k.Revoked
	return sg, nil
}

// newer refuses a copy of a known key that is older than it: what was revoked or ended would be good again.
func newer(was, now Signer) error {
	if len(was.IDs) == 0 {
		return nil
	}
	old, err := pgp.ParseKey(was.Key)
	if err != nil {
		return nil // what cannot be read any more may be replaced by anything
	}
	k, err := pgp.ParseKey(now.Key)
	if err != nil {
		return err
	}
	if old.Revoked != "" && k.Revoked == "" {
		return fault.Conflict.Errorf("the key %s is known to be given up (it %s): a copy from before does not undo that", was.Fingerprint, old.Revoked)
	}
	if k.Signed.Before(old.Signed) {
		return fault.Conflict.Errorf("the key %s is known as it was on %s, and this copy of it is older", was.Fingerprint, old.Signed.UTC().Format(time.DateTime))
	}
	return nil
}

// byPGP is whose signature of OpenPGP stands over a text that came at a time.
func (k *keyring) byPGP(text []byte, armoured string, at time.Time) (Signer, error) {
	sig, err := pgp.ParseSignature(armoured)
	if err != nil {
		return Signer{}, holdsNot{err}
	}
	known := k.byID[sig.Issuer]
	if len(known) == 0 {
		return Signer{}, fmt.Errorf("is signed with a key that nobody here owns: OpenPGP %s", sig.Issuer)
	}
	var wrong error
	for _, sg := range known {
		key, err := pgp.ParseKey(sg.Key)
		if err == nil {
			err = key.Verify(text, sig, at)
		}
		if err == nil {
			return sg, nil
		}
		wrong = errors.Join(wrong, err)
	}
	return Signer{}, holdsNot{errors.New(strings.ReplaceAll(wrong.Error(), "\n", "; "))}
}

// holdsNot is a signature that is none.
type holdsNot struct{ why error }

func (h holdsNot) Error() string { return "has a signature that does not hold: " + h.why.Error() }
