package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/record"
)

func TestMain(m *testing.M) {
	if address := os.Getenv("HAECHI_TEST_AUDIT_UNTIL_KILLED"); address != "" {
		keepUntilKilled(address)
		return
	}
	dbtest.Main(m)
}

// clock is a time that moves when it is looked at.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Second)
	return c.now
}

type paper struct {
	mu  sync.Mutex
	ids map[string]bool
	all []record.Record
}

func (p *paper) Append(_ context.Context, id string, records ...record.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ids[id] {
		p.ids[id] = true
		p.all = append(p.all, records...)
	}
	return nil
}

// house is an installation: a database, a root key, and nodes.
type house struct {
	t      *testing.T
	db     *db.DB
	sealer *seal.Sealer
	clock  *clock
	paper  *paper
}

func newHouse(t *testing.T, d *db.DB) *house {
	t.Helper()
	s, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "root.key"))
	must(t, err)
	return &house{t, d, s, &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, &paper{ids: map[string]bool{}}}
}

func (h *house) node(name, folder string) *audit.Trail {
	h.t.Helper()
	t, err := audit.New(audit.Config{DB: h.db, Sealer: h.sealer, Node: name, Account: "111122223333", Region: "eu-central-1", Folder: folder, Journal: h.paper, Now: h.clock.Now, Log: slog.New(slog.DiscardHandler)})
	must(h.t, err)
	return t
}

func (h *house) verify(noted ...audit.Head) audit.Report {
	h.t.Helper()
	r, err := audit.Verify(dbtest.Context(h.t), h.db, h.sealer, noted...)
	must(h.t, err)
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func kim() iam.Principal {
	return iam.Principal{ARN: "arn:aws:iam::111122223333:user/kim", Account: "111122223333", ID: "AIDAKIM", Type: "User", Name: "kim"}
}

func change(n int) audit.Entry {
	return audit.Entry{Principal: kim(), Key: "AKIAKIM", Action: "iam:CreateUser", SourceIP: "198.51.100.7", UserAgent: "aws-cli/2", RequestID: fmt.Sprint("r", n), Parameters: jsontext.Value(fmt.Sprintf(`{"UserName":"u%d"}`, n))}
}

func read() audit.Entry {
	return audit.Entry{Principal: kim(), Action: "securityhub:GetFindings", Read: true, RequestID: "read"}
}

func each(t *testing.T, test func(t *testing.T, ctx context.Context, h *house)) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		test(t, dbtest.Context(t), newHouse(t, open(audit.Schema())))
	})
}

// What was kept is found again, the newest first, by who did it, what it was and what came of it.
func TestFind(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		trail := h.node("n1", "")
		for i := range 5 {
			must(t, trail.Keep(ctx, change(i)))
		}
		for range 3 {
			must(t, trail.Keep(ctx, read()))
		}
		must(t, trail.Flush(ctx))
		denied := audit.Entry{Principal: kim(), Action: "iam:DeleteUser", Read: true, Refused: true, Code: "AccessDenied", Reason: "User: kim is not authorized"}
		must(t, trail.Keep(ctx, denied))
		must(t, trail.Keep(ctx, audit.Entry{Action: "sts:GetCallerIdentity", Read: true, Refused: true, Code: "UnrecognizedClientException"}))
		for _, c := range []struct {
			q    audit.Query
			want string
		}{
			{audit.Query{}, "GetCallerIdentity DeleteUser GetFindings GetFindings GetFindings CreateUser CreateUser CreateUser CreateUser CreateUser"},
			{audit.Query{Limit: 4}, "GetCallerIdentity DeleteUser GetFindings GetFindings GetFindings CreateUser CreateUser CreateUser CreateUser CreateUser"},
			{audit.Query{Changes: true}, "GetCallerIdentity DeleteUser CreateUser CreateUser CreateUser CreateUser CreateUser"},
			{audit.Query{Refused: true, User: "KIM"}, "DeleteUser"},
			{audit.Query{Action: "securityhub:get*", Limit: 2}, "GetFindings GetFindings GetFindings"},
			{audit.Query{Action: "DeleteUser"}, "DeleteUser"},
			{audit.Query{Text: `"u3"`}, "CreateUser"},
			{audit.Query{Code: "*"}, "GetCallerIdentity DeleteUser"},
			{audit.Query{User: "nobody"}, ""},
			{audit.Query{Until: time.Date(2026, 3, 1, 12, 0, 3, 0, time.UTC)}, "CreateUser CreateUser"},
			{audit.Query{Since: time.Date(2026, 3, 1, 12, 0, 5, 0, time.UTC), Changes: true}, "GetCallerIdentity DeleteUser CreateUser"},
		} {
			var names []string
			for pages := 0; ; pages++ {
				page, next, err := trail.Find(ctx, c.q)
				must(t, err)
				for _, f := range page {
					names = append(names, f.Record.Name)
				}
				if c.q.Before = next; next == "" {
					break
				}
				if pages > 10 {
					t.Fatal("it does not end")
				}
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("%+v: got %s, want %s", c.q, got, c.want)
			}
		}
		if _, _, err := trail.Find(ctx, audit.Query{Before: "nowhere"}); err == nil {
			t.Error("a place that is none was taken")
		}
	})
}

// A record has CloudTrail's members, and who asked in CloudTrail's words.
func TestRecord(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		trail := h.node("n1", "")
		must(t, trail.Keep(ctx, change(7)))
		page, _, err := trail.Find(ctx, audit.Query{})
		must(t, err)
		var got map[string]jsontext.Value
		must(t, json.Unmarshal(page[0].JSON, &got))
		for name, want := range map[string]string{
			"eventVersion": `"1.11"`, "eventSource": `"iam.amazonaws.com"`, "eventName": `"CreateUser"`, "awsRegion": `"eu-central-1"`, "sourceIPAddress": `"198.51.100.7"`,
			"userAgent": `"aws-cli/2"`, "requestParameters": `{"UserName":"u7"}`, "responseElements": `null`, "requestID": `"r7"`, "readOnly": `false`, "eventType": `"AwsApiCall"`,
			"managementEvent": `true`, "recipientAccountId": `"111122223333"`, "eventCategory": `"Management"`, "eventTime": `"2026-03-01T12:00:01Z"`,
			"userIdentity": `{"type":"IAMUser","principalId":"AIDAKIM","arn":"arn:aws:iam::111122223333:user/kim","accountId":"111122223333","accessKeyId":"AKIAKIM","userName":"kim"}`,
		} {
			if string(got[name]) != want {
				t.Errorf("%s: got %s, want %s", name, got[name], want)
			}
		}
		if len(got["eventID"]) != 38 {
			t.Errorf("eventID: %s", got["eventID"])
		}
	})
}

// Many at once are each kept, and none is told of before it is there.
func TestAtOnce(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		trail := h.node("n1", "")
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				if err := trail.Keep(ctx, change(i)); err != nil {
					t.Error(err)
				}
				page, _, err := trail.Find(ctx, audit.Query{Text: fmt.Sprintf(`"u%d"`, i)})
				if err != nil || len(page) != 1 {
					t.Errorf("change %d was acknowledged and is not there: %v", i, err)
				}
			})
		}
		all.Wait()
		r := h.verify()
		if len(r.Problems) > 0 || r.Chains[0].Records != 40 {
			t.Errorf("got %+v", r)
		}
	})
}

// Every record comes to the journal once, also after a restart.
func TestFlow(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		for n := range 2 {
			trail := h.node("n1", "")
			ctx, stop := context.WithCancel(ctx)
			done := make(chan error)
			go func() { done <- trail.Run(ctx) }()
			must(t, trail.Keep(ctx, change(n)))
			must(t, trail.Keep(ctx, read()))
			stop()
			must(t, <-done)
		}
		var names []string
		for _, r := range h.paper.all {
			if r.Source != "aws.cloudtrail" || r.Time.IsZero() {
				t.Errorf("got %+v", r)
			}
			names = append(names, r.Text[strings.Index(r.Text, `"eventName"`):][13:23])
		}
		if got := strings.Join(names, " "); got != "CreateUser GetFinding CreateUser GetFinding" {
			t.Errorf("got %s", got)
		}
	})
}
