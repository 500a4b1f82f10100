package route

import (
	"context"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/event"
)

// CheckEntryForTest holds an entry that is accepted against what comes of it.
func CheckEntryForTest(t *testing.T, source, kind, detail string) {
	e := Entry{Source: source, Type: kind, Detail: detail}
	if e.check().Code != "" || !jsontext.Value(detail).IsValid() {
		return
	}
	body, err := envelope(event.Event{Source: source, Type: kind, Detail: jsontext.Value(detail)})
	if err != nil || !body.IsValid() {
		t.Fatalf("%q %q %q: %v", source, kind, detail, err)
	}
}

// NewForBench is the fold of a router that has a rule to a command, told as people are.
func NewForBench(b *testing.B, c Config) func(*db.Tx, event.Event) error {
	r := New(c)
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	arn, err := r.PutReceiver(b.Context(), Receiver{Kind: "email", Name: "m", Settings: map[string]string{"server": "m:25", "from": "a@b", "to": "a@b"}})
	must(err)
	_, err = r.PutRule(b.Context(), Rule{Name: "r", Pattern: `{"source":["aws.securityhub"]}`}, nil)
	must(err)
	_, err = r.PutTargets(b.Context(), "", "r", RuleTarget{ID: "t", ARN: arn})
	must(err)
	return func(tx *db.Tx, e event.Event) error {
		e.ID = bus.ID()
		return r.fold(tx, e)
	}
}

// ForgetForTest lets go of what is old, now.
func (r *Router) ForgetForTest(ctx context.Context) error {
	for more := true; more; {
		var err error
		if more, err = r.forget(ctx); err != nil {
			return err
		}
	}
	return nil
}
