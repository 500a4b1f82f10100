package haechi

import (
	"context"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// Records are those of the audit trail.
type Records interface {
	Find(ctx context.Context, q audit.Query) (page []audit.Found, next string, err error)
}

type (
	lookupInput struct {
		User, Action, Code, Contains string
		Since, Until                 string // RFC 3339
		Changes, Refused             bool
		Limit                        int
		Before                       string
	}
	lookupOutput struct {
		Records []jsontext.Value
		Next    string `json:"Next,omitzero"`
	}
)

// askLookup asks for what CloudTrail calls the same.
func askLookup(c *wire.Call, _ *lookupInput) []iam.Request {
	return c.AskFor("cloudtrail:LookupEvents")
}

// lookup answers records of the audit trail, the newest first.
func (s *service) lookup(ctx context.Context, _ *wire.Call, in *lookupInput) (*lookupOutput, error) {
	q := audit.Query{User: in.User, Action: in.Action, Code: in.Code, Text: in.Contains, Changes: in.Changes, Refused: in.Refused, Limit: in.Limit, Before: in.Before}
	for _, t := range []struct {
		text string
		at   *time.Time
	}{{in.Since, &q.Since}, {in.Until, &q.Until}} {
		if t.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, t.text)
		if err != nil {
			return nil, fault.Invalid.Errorf("%q is no time (2026-01-31T09:00:00Z)", t.text)
		}
		*t.at = at
	}
	found, next, err := s.records.Find(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &lookupOutput{Records: []jsontext.Value{}, Next: next}
	for _, f := range found {
		out.Records = append(out.Records, f.JSON)
	}
	return out, nil
}
