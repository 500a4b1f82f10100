package intake_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/intake"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/river/journal"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/record"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// house is the door with a real access and a real journal behind it.
type house struct {
	t       testing.TB
	url     string
	journal *journal.Journal
	full    atomic.Bool // the journal refuses
	token   string      // of one who may
	weak    string      // of one who may not
	git     string      // for another purpose
}

func (h *house) Append(ctx context.Context, id string, records ...record.Record) error {
	if h.full.Load() {
		return fault.Unavailable.Errorf("no room in /a/secret/path")
	}
	return h.journal.Append(ctx, id, records...)
}

func build(t testing.TB) *house {
	t.Helper()
	dir := t.TempDir()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(dir, "state.db"), access.Schema())
	must(t, err)
	t.Cleanup(func() { d.Close() })
	sealer, err := seal.OpenOrCreate(filepath.Join(dir, "root.key"))
	must(t, err)
	a := access.New(access.Config{DB: d, Sealer: sealer, Account: "111122223333", Folder: dir})
	j, err := journal.Open(journal.Config{Dir: filepath.Join(dir, "journal")})
	must(t, err)
	t.Cleanup(func() { j.Close() })
	h := &house{t: t, journal: j}
	token := func(user string, purpose access.Purpose) string {
		_, value, err := a.CreateToken(t.Context(), user, purpose)
		must(t, err)
		return value.Reveal()
	}
	must(t, a.CreateUser(t.Context(), "shipper", access.Administrator))
	must(t, a.CreateUser(t.Context(), "weak", access.Developer))
	h.token, h.weak, h.git = token("shipper", access.Intake), token("weak", access.Intake), token("shipper", access.Git)
	server := httptest.NewServer(intake.Handler(intake.Config{Journal: h, Access: a, Now: func() time.Time { return now }}))
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type answer struct {
	status    int
	header    http.Header
	RequestID string `json:"requestId"`
	Timestamp int64  `json:"timestamp"`
	Records   int    `json:"records"`
	Error     string `json:"errorMessage"`
}

// post sends a body with header lines "Name: value".
func (h *house) post(path, body string, header ...string) answer {
	h.t.Helper()
	r, err := http.NewRequest("POST", h.url+path, strings.NewReader(body))
	must(h.t, err)
	for _, line := range header {
		if name, value, ok := strings.Cut(line, ": "); ok {
			r.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultClient.Do(r)
	must(h.t, err)
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if err := json.UnmarshalRead(resp.Body, &a); err != nil {
		h.t.Fatalf("%s: the answer is not JSON: %v", path, err)
	}
	return a
}

func (h *house) bearer() string { return "Authorization: Bearer " + h.token }

func (h *house) kept() []record.Record {
	h.t.Helper()
	b, err := h.journal.Read(h.t.Context(), journal.Oldest, 1e6)
	must(h.t, err)
	return b.Records
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

func delivery(id string, datas ...string) string {
	var all []string
	for _, d := range datas {
		all = append(all, `{"data":"`+base64.StdEncoding.EncodeToString([]byte(d))+`"}`)
	}
	return fmt.Sprintf(`{"requestId":%q,"timestamp":1772366400000,"records":[%s]}`, id, strings.Join(all, ","))
}

const trail = `{"eventVersion":"1.08","userIdentity":{"type":"Root"},"eventTime":"2026-02-01T10:00:00Z","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","password":"hunter2"}`

// Every route refuses who is nobody, who has a wrong token, one for another purpose, and who may not.
func TestWho(t *testing.T) {
	h := build(t)
	for _, path := range []string{"/intake/firehose", "/intake/lines", "/intake/", "/intake/other"} {
		for name, c := range map[string]struct {
			header string
			want   int
		}{
			"nobody": {"X: y", 401}, "wrong": {"Authorization: Bearer x" + h.token, 401}, "empty": {"Authorization: Bearer ", 401},
			"basic": {"Authorization: Basic " + h.token, 401}, "git": {"Authorization: Bearer " + h.git, 401},
			"weak": {"Authorization: Bearer " + h.weak, 403}, "weak key": {"X-Amz-Firehose-Access-Key: " + h.weak, 403},
		} {
			a := h.post(path, delivery("id", "x"), "X-Amz-Firehose-Request-Id: id", c.header)
			if a.status != c.want || a.Error == "" || a.RequestID != "id" {
				t.Errorf("%s as %s: %+v, want %d", path, name, a, c.want)
			}
		}
	}
	if a := h.post("/intake/other", "", h.bearer()); a.status != 404 {
		t.Errorf("another route: %d", a.status)
	}
	if len(h.kept()) != 0 {
		t.Errorf("kept %v", h.kept())
	}
}

// A delivery is kept once, and answered as Firehose asks for it, also when it comes again.
func TestFirehose(t *testing.T) {
	h := build(t)
	text := delivery("id-1", trail+"\n"+trail, "", "plain line\n", zipped(`{"Records":[`+trail+`]}`))
	for i, body := range []string{text, zipped(text), text} {
		header := []string{"X-Amz-Firehose-Request-Id: id-1", "X-Amz-Firehose-Access-Key: " + h.token, "X-Amz-Firehose-Source-Arn: arn:aws:firehose:us-east-1:111122223333:deliverystream/s",
			`X-Amz-Firehose-Common-Attributes: {"commonAttributes":{"env":"prod"}}`}
		if i == 1 {
			header = append(header, "Content-Encoding: gzip")
		}
		a := h.post("/intake/firehose", body, header...)
		if a.status != 200 || a.RequestID != "id-1" || a.Timestamp != now.UnixMilli() || a.Error != "" {
			t.Fatalf("%+v", a)
		}
		if a.header.Get("Content-Type") != "application/json" || a.header.Get("Content-Length") == "" || a.header.Get("Content-Encoding") != "" {
			t.Errorf("%v", a.header)
		}
	}
	masked := strings.Replace(trail, "hunter2", "****", 1)
	fields := map[string]string{"env": "prod", "stream": "arn:aws:firehose:us-east-1:111122223333:deliverystream/s"}
	ct := record.Record{Time: time.Date(2026, 2, 1, 10, 0, 0, 0, time.UTC), Source: "aws.cloudtrail", Text: masked, Fields: fields}
	want := []record.Record{ct, ct, {Time: now, Source: "text", Text: "plain line", Fields: fields}, ct}
	if diff := cmp.Diff(want, h.kept()); diff != "" {
		t.Error(diff)
	}
}

// What a delivery may not be like is refused whole, with a reason.
func TestFirehoseRefuses(t *testing.T) {
	h := build(t)
	big := strings.Repeat("x", 1_100_000)
	for _, c := range []struct {
		name, id, body string
		header         string
		status         int
		want           string
	}{
		{"no id", "", delivery("a", "x"), "", 400, "X-Amz-Firehose-Request-Id is required"},
		{"other id", "b", delivery("a", "x"), "", 400, "requestId in the body"},
		{"strange id", "\xff\xfe", delivery("a", "x"), "", 400, "requestId in the body"},
		{"strange message", "a", `{"requestId":"a","records":[{"data":"\xff"}]}`, "", 400, "the body is no delivery"},
		{"no JSON", "a", "{", "", 400, "the body is no delivery"},
		{"duplicate members", "a", `{"requestId":"b","requestId":"a"}`, "", 400, "duplicate"},
		{"no records", "a", delivery("a"), "", 400, "no records"},
		{"no base64", "a", `{"requestId":"a","timestamp":1,"records":[{"data":"?"}]}`, "", 400, "record 0: its data is not base64"},
		{"too long", "a", delivery("a", "x", big), "", 413, "record 1: its data is longer"},
		{"too many", "a", delivery("a", strings.Split(strings.Repeat("x ", 10_001), " ")...), "", 413, "10002 records"},
		{"bad gzip", "a", delivery("a", "x"), "Content-Encoding: gzip", 400, "not gzip"},
		{"bad inner gzip", "a", delivery("a", "\x1f\x8b\x08rubbish"), "", 400, "not gzip"},
		{"bomb", "a", zipped(strings.Repeat(" ", 65<<20)), "Content-Encoding: gzip", 413, "inflates to more"},
		{"inner bomb", "a", delivery("a", zipped(strings.Repeat(" ", 40<<20)), zipped(strings.Repeat(" ", 40<<20))), "", 413, "inflates to more"},
		{"zstd", "a", delivery("a", "x"), "Content-Encoding: zstd", 415, `"zstd" is not supported`},
		{"attributes", "a", delivery("a", "x"), "X-Amz-Firehose-Common-Attributes: {", 400, "Common-Attributes"},
		{"long line", "a", delivery("a", zipped(big)), "", 413, "longer than"},
	} {
		a := h.post("/intake/firehose", c.body, "X-Amz-Firehose-Request-Id: "+c.id, h.bearer(), c.header)
		if a.status != c.status || !strings.Contains(a.Error, c.want) || a.RequestID != strings.ToValidUTF8(c.id, "\ufffd\ufffd") {
			t.Errorf("%s: %d %q, want %d %q", c.name, a.status, a.Error, c.status, c.want)
		}
	}
	if len(h.kept()) != 0 {
		t.Errorf("kept %d records", len(h.kept()))
	}
}

// When nothing can be kept the sender is told to try again, and not where our files lie.
func TestFullJournal(t *testing.T) {
	h := build(t)
	h.full.Store(true)
	a := h.post("/intake/lines", "x", h.bearer())
	if a.status != 503 || a.header.Get("Retry-After") == "" || strings.Contains(a.Error, "secret") {
		t.Errorf("%+v", a)
	}
	h.full.Store(false)
	if a := h.post("/intake/lines", "x", h.bearer()); a.status != 200 || len(h.kept()) != 1 {
		t.Errorf("%+v", a)
	}
}

// Lines, JSON lines and files come in as records, by what they are.
func TestLines(t *testing.T) {
	h := build(t)
	flow := "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK"
	cloudWatch := func(kind string, messages ...string) string {
		var events []string
		for i, m := range messages {
			quoted, _ := json.Marshal(m)
			events = append(events, fmt.Sprintf(`{"id":"%d","timestamp":1700000000000,"message":%s}`, i, quoted))
		}
		return `{"messageType":"` + kind + `","owner":"111122223333","logGroup":"g","logStream":"s","subscriptionFilters":["f"],"logEvents":[` + strings.Join(events, ",") + `]}`
	}
	type kept struct{ Source, Text, At string }
	for _, c := range []struct {
		name, query, body string
		want              []kept
	}{
		{"plain", "", "one\r\n\n two \nthree", []kept{{"text", "one", ""}, {"text", "two", ""}, {"text", "three", ""}}},
		{"named", "?source=nginx.access", "one\n{\"a\":1}", []kept{{"nginx.access", "one", ""}, {"nginx.access", `{"a":1}`, ""}}},
		{"JSON lines", "", `{"a":1,"timestamp":1700000000}` + "\n" + `{"time":"2026-01-02T03:04:05+01:00"}`, []kept{{"json", `{"a":1,"timestamp":1700000000}`, "2023-11-14T22:13:20Z"}, {"json", `{"time":"2026-01-02T03:04:05+01:00"}`, "2026-01-02T02:04:05Z"}}},
		{"one broken line", "", `{"a":1}` + "\n{\"a\":\n" + `{"a":3}`, []kept{{"json", `{"a":1}`, ""}, {"text", `{"a":`, ""}, {"json", `{"a":3}`, ""}}},
		{"indented", "", "{\n \"a\": [1,\n 2]\n}", []kept{{"json", `{"a":[1,2]}`, ""}}},
		{"list", "", `[{"a":1},{"b":[2]}]`, []kept{{"json", `{"a":1}`, ""}, {"json", `{"b":[2]}`, ""}}},
		{"list of numbers", "", `[1,2]`, []kept{{"json", `[1,2]`, ""}}},
		{"file", "", zipped(`{"Records":[{"eventSource":"a","eventName":"b","userIdentity":{},"eventTime":"2026-02-01T10:00:00Z"}]}`), []kept{{"aws.cloudtrail", `{"eventSource":"a","eventName":"b","userIdentity":{},"eventTime":"2026-02-01T10:00:00Z"}`, "2026-02-01T10:00:00Z"}}},
		{"digest", "", `{"digestS3Bucket":"b","logFiles":[]}`, nil},
		{"bus", "", `{"detail-type":"AWS API Call via CloudTrail","source":"aws.iam","detail":{"eventSource":"a","eventName":"b","userIdentity":{},"eventTime":"2026-02-01T10:00:00Z"}}`, []kept{{"aws.cloudtrail", `{"eventSource":"a","eventName":"b","userIdentity":{},"eventTime":"2026-02-01T10:00:00Z"}`, "2026-02-01T10:00:00Z"}}},
		{"guardduty", "", `{"detail-type":"GuardDuty Finding","detail":{"type":"t","accountId":"1","updatedAt":"2026-02-01T10:00:00.000Z","service":{"serviceName":"guardduty"}}}`, []kept{{"aws.guardduty", `{"type":"t","accountId":"1","updatedAt":"2026-02-01T10:00:00.000Z","service":{"serviceName":"guardduty"}}`, "2026-02-01T10:00:00Z"}}},
		{"flow", "", flow, []kept{{"aws.vpcflow", flow, "2014-12-14T04:06:50Z"}}},
		{"flow with header", "", "version srcaddr dstaddr start\n5 10.0.0.1 10.0.0.2 1418530010\n", []kept{{"aws.vpcflow", "5 10.0.0.1 10.0.0.2 1418530010", "2014-12-14T04:06:50Z"}}},
		{"cloudwatch", "", zipped(cloudWatch("DATA_MESSAGE", `{"eventSource":"a","eventName":"b","userIdentity":{},"eventTime":"2026-02-01T10:00:00Z"}`, "two\nlines\n", flow)) + "", []kept{
			{"aws.cloudtrail", `{"eventSource":"a","eventName":"b","userIdentity":{},"eventTime":"2026-02-01T10:00:00Z"}`, "2026-02-01T10:00:00Z"}, {"text", "two\nlines", "2023-11-14T22:13:20Z"}, {"aws.vpcflow", flow, "2014-12-14T04:06:50Z"}}},
		{"cloudwatch asks", "", cloudWatch("CONTROL_MESSAGE", "CWL CONTROL MESSAGE: Checking health of destination Firehose."), nil},
		{"waf", "", `{"timestamp":1576280412771,"webaclId":"arn:x","httpRequest":{}}`, []kept{{"aws.waf", `{"timestamp":1576280412771,"webaclId":"arn:x","httpRequest":{}}`, "2019-12-13T23:40:12.771Z"}}},
		{"audit", "", `{"kind":"Event","auditID":"x","verb":"get","requestURI":"/","requestReceivedTimestamp":"2026-02-01T10:00:00.000000Z"}`, []kept{{"kubernetes.audit", `{"kind":"Event","auditID":"x","verb":"get","requestURI":"/","requestReceivedTimestamp":"2026-02-01T10:00:00.000000Z"}`, "2026-02-01T10:00:00Z"}}},
		{"no UTF-8", "", "a\xffb", []kept{{"text", "a\ufffdb", ""}}},
		{"packages without end", "", strings.Repeat(`{"Records":[`, 50) + strings.Repeat(`]}`, 50), []kept{{"json", strings.Repeat(`{"Records":[`, 46) + strings.Repeat(`]}`, 46), ""}}},
	} {
		before := len(h.kept())
		a := h.post("/intake/lines"+c.query, c.body, h.bearer())
		if a.status != 200 || a.Records != len(c.want) || a.RequestID == "" {
			t.Errorf("%s: %+v", c.name, a)
			continue
		}
		var got []kept
		for _, r := range h.kept()[before:] {
			at := ""
			if !r.Time.Equal(now) {
				at = r.Time.Format(time.RFC3339Nano)
			}
			got = append(got, kept{r.Source, r.Text, at})
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	for body, want := range map[string]int{strings.Repeat("x", 1<<20+1): 413, strings.Repeat("a\n", 500_001): 413, strings.Repeat("x", 65<<20): 413} {
		if a := h.post("/intake/lines", body, h.bearer()); a.status != want || a.Error == "" {
			t.Errorf("%d bytes: %+v", len(body), a)
		}
	}
	if a := h.post("/intake/lines?source=Bad%20Name", "x", h.bearer()); a.status != 400 {
		t.Errorf("%+v", a)
	}
}

// The same request id of the same sender is kept once.
func TestLinesAgain(t *testing.T) {
	h := build(t)
	for range 3 {
		if a := h.post("/intake/lines", "x", h.bearer(), "X-Amz-Firehose-Request-Id: mine"); a.status != 200 {
			t.Errorf("%+v", a)
		}
	}
	if n := len(h.kept()); n != 1 {
		t.Errorf("kept %d", n)
	}
}
