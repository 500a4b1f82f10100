package pipeline

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// A worker elsewhere gets keys with each job, which read the job's inputs and
// write its outputs, and nothing else. They are made of the job and its lease
// and of a key of this installation, so that nothing of them is kept; and they
// are good for as long as the lease is.

// Credentials are keys for a job's artifacts.
type Credentials struct {
	KeyID         string
	Secret, Token seal.Secret
}

// Lent is what keys for a job's artifacts let their bearer do.
type Lent struct {
	Secret seal.Secret
	Job    string
	Who    string     // ARN of the worker that has the job; "" until it has said so
	Reads  []Artifact // by bucket and key
	Writes []Artifact
}

// lentToken is how session tokens of such keys begin.
const lentToken = "haechi.job."

// IsLent tells whether a session token is one of a job's keys.
func IsLent(token string) bool { return strings.HasPrefix(token, lentToken) }

func (p *Pipelines) mac(parts ...string) []byte {
	m := hmac.New(sha256.New, p.config.JobKey)
	m.Write([]byte(strings.Join(parts, "\x00")))
	return m.Sum(nil)
}

// lend makes the keys of a job's lease.
func (p *Pipelines) lend(job, nonce string) *Credentials {
	if len(p.config.JobKey) == 0 || p.config.Shelf == nil {
		return nil
	}
	return &Credentials{
		KeyID:  "ASIA" + base32.StdEncoding.EncodeToString(p.mac("id", job, nonce)[:10]),
		Secret: seal.Secret(base64.StdEncoding.EncodeToString(p.mac("secret", job, nonce)[:30])),
		Token:  seal.Secret(lentToken + base64.RawURLEncoding.EncodeToString([]byte(job+"\x00"+nonce))),
	}
}

// Lent is what a key for a job's artifacts stands for (fault.NotFound: it is none of
// ours; fault.Unauthenticated: the job is at its end, or another has it now).
func (p *Pipelines) Lent(ctx context.Context, keyID, token string) (l Lent, err error) {
	stranger := fault.NotFound.Errorf("there is no access key %s with that session token", clip(keyID, 40))
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, lentToken))
	job, nonce, ok := strings.Cut(string(text), "\x00")
	if err != nil || !ok || job == "" || nonce == "" {
		return l, stranger
	}
	own := p.lend(job, nonce)
	if own == nil || !hmac.Equal([]byte(own.KeyID), []byte(keyID)) {
		return l, stranger
	}
	over := fault.Unauthenticated.Errorf("the job %s is at its end, or was handed out again", clip(job, 100))
	var j Job
	var lease string
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		e, s, a, err := p.custom(tx, job)
		if err != nil || a.Status != InProgress {
			return over
		}
		lease, l.Who = a.Lease, a.By
		j, err = e.job(s, a)
		return err
	})
	if err != nil {
		return l, err
	}
	if l.Who == "" {
		if _, err := p.config.Queue.Find(ctx, job, nonce); errors.Is(err, work.ErrLost) {
			return l, over
		} else if err != nil {
			return l, err
		}
	} else if lease != nonce {
		return l, over
	}
	l.Secret, l.Job = own.Secret, job
	if err := p.place(ctx, &j); err != nil {
		return l, err
	}
	for _, in := range j.Inputs {
		if in.Key != "" {
			l.Reads = append(l.Reads, in)
		}
	}
	l.Writes = j.Made
	return l, nil
}
