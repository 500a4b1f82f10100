package app

import (
	"context"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

// objectAccess is who may do what to buckets: everybody as IAM has it, and
// workers of pipelines with the keys that came with their job.
type objectAccess struct {
	watchedAccess
	runs    *pipeline.Pipelines
	account string
}

// Secret is the secret of an access key, or of a job's keys.
func (o objectAccess) Secret(ctx context.Context, id, token string) (seal.Secret, iam.Principal, error) {
	if !pipeline.IsLent(token) {
		return o.watchedAccess.Secret(ctx, id, token)
	}
	noteOf(ctx).key = id
	l, err := o.runs.Lent(ctx, id, token)
	who := iam.Principal{
		ARN: "arn:aws:sts::" + o.account + ":assumed-role/codepipeline-job/" + l.Job, Account: o.account, ID: "codepipeline-job:" + l.Job, Type: "AssumedRole", Issuer: l.Who, Session: &l,
	}
	return l.Secret, who, err
}

// Allow asks whether all of that is allowed. A job's keys read its inputs and write its outputs.
func (o objectAccess) Allow(ctx context.Context, requests ...iam.Request) error {
	for _, r := range requests {
		l, ok := r.Principal.Session.(*pipeline.Lent)
		if !ok {
			if err := o.watchedAccess.Allow(ctx, r); err != nil {
				return err
			}
			continue
		}
		n := noteOf(ctx)
		r = n.known(r)
		n.who, n.asks = r.Principal, append(n.asks, r)
		if !lets(l, r) {
			return fault.Denied.Errorf("the keys of job %s read its inputs and write its outputs, and nothing else: not %s on %s", l.Job, r.Action, r.Resource)
		}
	}
	return nil
}

func lets(l *pipeline.Lent, r iam.Request) bool {
	among := func(all []pipeline.Artifact) bool {
		return slices.ContainsFunc(all, func(a pipeline.Artifact) bool {
			return r.Resource == "arn:aws:s3:::"+a.Bucket+"/"+a.Key
		})
	}
	switch strings.TrimPrefix(r.Action, "s3:") {
	case "GetObject", "GetObjectTagging":
		return among(l.Reads) || among(l.Writes)
	case "PutObject", "AbortMultipartUpload", "ListMultipartUploadParts":
		return among(l.Writes)
	}
	return false
}
