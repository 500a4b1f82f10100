package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/jwt"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/word/fault"
)

const (
	signingFor = 30 * 24 * time.Hour // that a key signs, before the next one does
	keptFor    = 24 * time.Hour      // that it is told of after that
	longestJWT = time.Hour
)

func signerRow(id string) seal.Row { return seal.Row{Table: "access_things", ID: id, Column: "key"} }

// signers are the keys that tokens may be signed with, the newest last: one is
// made where there is none, or the newest has served its time, and one that
// nothing that is valid was signed with goes.
func (a *Access) signers(ctx context.Context) (all []jwt.Signer, err error) {
	now := a.config.Now()
	var kept []signer
	err = a.config.DB.Read(ctx, func(tx *db.Tx) error {
		kept, err = list[signer](tx, aSigner)
		return err
	})
	if err != nil {
		return nil, err
	}
	newest := newestOf(kept)
	if newest == nil || now.Sub(newest.Created) > signingFor {
		err = a.config.DB.Write(ctx, func(tx *db.Tx) error { kept, err = a.rotate(tx); return err })
		if err != nil {
			return nil, err
		}
		newest = newestOf(kept)
	}
	for _, s := range kept {
		if s.ID == newest.ID || now.Sub(s.Created) > signingFor+keptFor+longestJWT {
			continue
		}
		if err := a.openSigner(&all, s); err != nil {
			return nil, err
		}
	}
	return all, a.openSigner(&all, *newest)
}

func newestOf(all []signer) (newest *signer) {
	for i := range all {
		if newest == nil || all[i].Created.After(newest.Created) {
			newest = &all[i]
		}
	}
	return newest
}

func (a *Access) openSigner(all *[]jwt.Signer, s signer) error {
	raw, err := a.config.Sealer.Open(signerRow(s.ID), s.Key)
	if err != nil {
		return err
	}
	parsed, err := x509.ParsePKCS8PrivateKey([]byte(raw.Reveal()))
	if err != nil {
		return err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return errors.New("a signing key is of another kind")
	}
	*all = append(*all, jwt.Signer{ID: s.ID, Key: key})
	return nil
}

// rotate makes a new key where it is still needed: another node may have been faster.
func (a *Access) rotate(tx *db.Tx) ([]signer, error) {
	kept, err := list[signer](tx, aSigner)
	if err != nil {
		return nil, err
	}
	now := a.config.Now()
	if newest := newestOf(kept); newest != nil && now.Sub(newest.Created) <= signingFor {
		return kept, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	s := signer{ID: newID("k"), Created: now}
	if s.Key, err = a.config.Sealer.Seal(signerRow(s.ID), seal.Secret(raw)); err != nil {
		return nil, err
	}
	if err := create(tx, aSigner, s.ID, s); err != nil {
		return nil, err
	}
	kept = append(kept, s)
	for _, old := range kept {
		if now.Sub(old.Created) > signingFor+keptFor+longestJWT {
			if err := remove(tx, aSigner, old.ID); err != nil {
				return nil, err
			}
		}
	}
	return kept, nil
}

// JWKS are the public keys of the tokens that this installation signs.
func (a *Access) JWKS(ctx context.Context) ([]byte, error) {
	signers, err := a.signers(ctx)
	if err != nil {
		return nil, err
	}
	set := jwt.Set{Keys: []jwt.JWK{}}
	for _, s := range signers {
		public, err := s.Public()
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, public)
	}
	return json.Marshal(set)
}

func (a *Access) ownKeys(ctx context.Context) (jwt.Keys, error) {
	text, err := a.JWKS(ctx)
	if err != nil {
		return jwt.Keys{}, err
	}
	return jwt.ParseKeys(text)
}

// Vouch signs a token that says who subject is, for an audience, for a while of
// at most an hour; claims are what else it says.
func (a *Access) Vouch(ctx context.Context, subject, audience string, lasts time.Duration, claims map[string]string) (seal.Secret, error) {
	issuer := ""
	if a.config.Issuer != nil {
		issuer = a.config.Issuer()
	}
	if issuer == "" {
		return "", fault.Unavailable.Errorf("tokens cannot be signed as long as nobody can say how this server is reached (url in haechi.yaml)")
	}
	signers, err := a.signers(ctx)
	if err != nil {
		return "", err
	}
	now := a.config.Now()
	all := map[string]any{}
	for name, value := range claims {
		all[name] = value
	}
	for name, value := range map[string]any{
		"iss": issuer, "sub": subject, "aud": audience, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(min(lasts, longestJWT)).Unix(), "jti": newToken(),
	} {
		all[name] = value
	}
	text, err := signers[len(signers)-1].Sign(all)
	return seal.Secret(text), err
}
