package hub_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/finding"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const (
	account = "111122223333"
	product = "arn:aws:securityhub:us-east-1:111122223333:product/111122223333/default"
	prowler = "arn:aws:securityhub:us-east-1::product/prowler/prowler"
)

// house is a hub with its database and a clock that one can turn.
type house struct {
	*hub.Hub
	t   *testing.T
	db  *db.DB
	bus *bus.Bus

	mu  sync.Mutex
	now time.Time
}

func (h *house) time() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func each(t *testing.T, test func(t *testing.T, h *house)) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		test(t, build(t, open(bus.Schema(), hub.Schema())))
	})
}

func build(t *testing.T, d *db.DB) *house {
	t.Helper()
	h := &house{t: t, db: d, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	h.bus = bus.New(d, bus.Config{Now: h.time})
	made, err := hub.New(t.Context(), hub.Config{DB: d, Bus: h.bus, Now: h.time, Account: account, Region: "us-east-1", Standards: standards()})
	if err != nil {
		t.Fatal(err)
	}
	h.Hub = made
	return h
}

func (h *house) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// events are those published so far, the oldest first.
func (h *house) events() (list []event.Event) {
	h.t.Helper()
	h.check(h.db.Read(context.Background(), func(tx *db.Tx) error {
		bodies, err := db.All(tx, db.Value[[]byte], "SELECT body FROM bus_events ORDER BY position")
		for _, b := range bodies {
			var e event.Event
			if err := json.Unmarshal(b, &e); err != nil {
				return err
			}
			list = append(list, e)
		}
		return err
	}))
	return list
}

// told is the finding in an event.
func told(t *testing.T, e event.Event) finding.Finding {
	t.Helper()
	var d struct {
		Findings []finding.Finding `json:"findings"`
	}
	if err := json.Unmarshal(e.Detail, &d); err != nil || len(d.Findings) != 1 {
		t.Fatalf("event holds %d findings: %v", len(d.Findings), err)
	}
	return d.Findings[0]
}

func (h *house) get(id string) *finding.Finding {
	h.t.Helper()
	f, err := h.Get(h.t.Context(), hub.Ref{ProductARN: product, ID: id})
	h.check(err)
	return &f
}

// importing is an import over the API that must succeed.
func (h *house) importing(list ...finding.Finding) hub.Imported {
	h.t.Helper()
	did, err := h.Import(h.t.Context(), finding.Scan{}, list...)
	h.check(err)
	if len(did.Failed) > 0 {
		h.t.Fatalf("failed: %v", did.Failed)
	}
	return did
}

func (h *house) update(d hub.Decision, ids ...string) {
	h.t.Helper()
	u := hub.Update{Decision: d, By: "arn:aws:iam::111122223333:user/alice"}
	for _, id := range ids {
		u.Refs = append(u.Refs, hub.Ref{ProductARN: product, ID: id})
	}
	did, err := h.Update(h.t.Context(), u)
	h.check(err)
	if len(did.Failed) > 0 {
		h.t.Fatalf("failed: %v", did.Failed)
	}
}

func (h *house) ids(q hub.Query) (ids []string) {
	h.t.Helper()
	page, err := h.Find(h.t.Context(), q)
	h.check(err)
	for _, f := range page.Findings {
		ids = append(ids, f.ID)
	}
	return ids
}

// simple is a valid finding. Edits are made in order.
func simple(id string, edits ...func(*finding.Finding)) finding.Finding {
	f := finding.Finding{
		SchemaVersion: finding.SchemaVersion, ID: id, ProductARN: product, GeneratorID: "rule/1", AccountID: account,
		CreatedAt: "2026-01-01T00:00:00Z", UpdatedAt: "2026-01-01T00:00:00Z", Title: "title of " + id, Description: "what is wrong",
		Provider:  &finding.ProviderFields{Severity: &finding.Severity{Label: finding.High}, Types: []string{"Effects/Data Exposure"}},
		Resources: []finding.Resource{{Type: "AwsS3Bucket", ID: "arn:aws:s3:::" + id, Partition: "aws", Region: "us-east-1"}},
	}
	for _, e := range edits {
		e(&f)
	}
	return f
}

func updated(at string) func(*finding.Finding) {
	return func(f *finding.Finding) { f.UpdatedAt = at }
}

func label(l finding.Label) func(*finding.Finding) {
	return func(f *finding.Finding) { f.Provider.Severity = &finding.Severity{Label: l} }
}

func number(n int) *int { return &n }

func standards() []hub.Standard {
	return []hub.Standard{{
		ARN: "arn:aws:securityhub:us-east-1::standards/k-isms/v/1.0.0", Name: "K-ISMS", Description: "Korean standard", Company: "Haechi", Product: "Haechi", EnabledByDefault: true,
		Controls: []hub.Control{
			{ID: "S3.1", Title: "no public buckets", Description: "d", RemediationURL: "https://example.com/s3.1", Severity: finding.High, Requirements: []string{"K-ISMS 2.6"}, Parameters: []byte(`{"days":{"Description":"d","ConfigurationOptions":{"Integer":{"Min":1}}}}`)},
			{ID: "IAM.1", Title: "no root keys", Description: "d", RemediationURL: "https://example.com/iam.1", Severity: finding.Critical},
		},
	}, {ARN: "arn:aws:securityhub:us-east-1::standards/other/v/1.0.0", Name: "Other", Description: "another", Company: "Haechi", Product: "Haechi",
		Controls: []hub.Control{{ID: "S3.1", Title: "no public buckets", Description: "d", RemediationURL: "https://example.com/s3.1", Severity: finding.High}}}}
}

func many(n int) (list []finding.Finding) {
	for i := range n {
		list = append(list, simple(fmt.Sprintf("f-%04d", i)))
	}
	return list
}
