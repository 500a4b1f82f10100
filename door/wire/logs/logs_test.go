package logs_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/door/wire/logs"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

var update = flag.Bool("update", false, "write ops.txt anew")

func TestOps(t *testing.T) {
	wiretest.Ops(t, logs.Service(logs.Config{}), "ops.txt", *update)
}

// house is the service on a real queue, whose clock the test turns.
type house struct {
	testing.TB
	*wiretest.Server
	work  *work.Work
	db    *db.DB
	model *wire.Model

	mu     sync.Mutex
	now    time.Time
	leases map[string]work.Lease
}

type gate func(iam.Request) bool

func (g gate) Allow(_ context.Context, requests ...iam.Request) error {
	for _, r := range requests {
		if g != nil && g(r) {
			return fault.Denied.Errorf("User: %s is not authorized to perform: %s on resource: %s", r.Principal.ARN, r.Action, r.Resource)
		}
	}
	return nil
}

var began = time.Now().Add(-time.Hour).Truncate(time.Second).UTC()

func open(t testing.TB, deny gate) *house {
	t.Helper()
	return openFor(t, nil, deny)
}

// openFor is the service for callers with these keys.
func openFor(t testing.TB, keys wire.Keys, may wire.Gate) *house {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), work.Schema())
	must(t, err)
	t.Cleanup(func() { d.Close() })
	h := &house{TB: t, db: d, now: began, leases: map[string]work.Lease{}}
	h.work = work.New(work.Config{DB: d, Log: slog.New(slog.DiscardHandler), Now: h.clock, Lease: 24 * time.Hour, Poll: 20 * time.Millisecond})
	s := logs.Service(logs.Config{Work: h.work, Gate: may, Account: wiretest.Account, Region: wiretest.Region})
	h.model = s.Model
	h.Server = wiretest.Serve(t, wiretest.Options{Keys: keys, Gate: may}, s)
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// say logs lines to a stream, as one piece, a second after what was said before.
func (h *house) say(group, name string, lines ...string) {
	h.Helper()
	id := group + "!" + name
	if _, known := h.leases[id]; !known {
		must(h, h.db.Write(h.Context(), func(tx *db.Tx) error {
			if err := h.work.Name(tx, id, group, name); err != nil {
				return err
			}
			return h.work.Add(tx, work.Job{ID: id, Kind: id})
		}))
		l, ok, err := h.work.Claim(h.Context(), "me", id)
		if must(h, err); !ok {
			h.Fatal("no job")
		}
		h.leases[id] = l
	}
	h.pass(time.Second)
	if len(lines) > 0 {
		must(h, h.work.Append(h.Context(), h.leases[id], id, []byte(strings.Join(lines, "\n")+"\n")))
	}
}

// call is an answer, which is held against the model.
func (h *house) call(operation string, in any) (answer map[string]any, status int, text string) {
	h.Helper()
	body, err := json.Marshal(in)
	must(h, err)
	response, raw := h.Call(h, "logs", "POST", "/", "Logs_20140328."+operation, string(body))
	if response.StatusCode == 200 && !strings.HasPrefix(operation, "ListTags") { // a map of no tags is CloudWatch Logs' own answer, and not its model's
		wiretest.Valid(h, h.model, operation, raw)
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		h.Fatalf("%s: %v\n%s", operation, err, raw)
	}
	return answer, response.StatusCode, string(raw)
}

type object = map[string]any

func at(d time.Duration) int64 { return began.Add(d).UnixMilli() }

// Every operation answers as CloudWatch Logs does, in good and in bad cases.
func TestOperations(t *testing.T) {
	h := open(t, nil)
	h.say("/aws/codebuild/shop", "b1", "installing", "ERROR 404 none", `{"n": 5, "level": "warn"}`)
	h.say("/aws/codebuild/shop", "b2", "installing too", "ERROR 500 broken")
	h.say("/aws/codebuild/shop", "b1", "done", "")
	h.say("/aws/codebuild/hats", "h1", "hats")
	h.say("/aws/codebuild/shop", "silent")
	const shop = "/aws/codebuild/shop"
	arn := "arn:aws:logs:" + wiretest.Region + ":" + wiretest.Account + ":log-group:" + shop
	for i, c := range []struct {
		operation string
		in        object
		status    int
		want      string
	}{
		{"DescribeLogGroups", object{}, 200, `"arn":"` + arn + `:*"`},
		{"DescribeLogGroups", object{"logGroupNamePrefix": "/aws/codebuild/h"}, 200, `{"logGroups":[{"logGroupName":"/aws/codebuild/hats"`},
		{"DescribeLogGroups", object{"logGroupNamePattern": "sho"}, 200, `"storedBytes":90`},
		{"DescribeLogGroups", object{"logGroupNamePattern": "Sho"}, 200, `{"logGroups":[]}`},
		{"DescribeLogGroups", object{"logGroupNamePattern": "x", "logGroupNamePrefix": "x"}, 400, "InvalidParameterException"},
		{"DescribeLogGroups", object{"logGroupIdentifiers": []string{arn}}, 200, `"retentionInDays":90`},
		{"DescribeLogGroups", object{"logGroupClass": "INFREQUENT_ACCESS"}, 200, `{"logGroups":[]}`},
		{"DescribeLogGroups", object{"accountIdentifiers": []string{"999999999999"}}, 200, `{"logGroups":[]}`},
		{"DescribeLogGroups", object{"limit": 1}, 200, `"nextToken":`},
		{"DescribeLogGroups", object{"nextToken": "x!"}, 400, "InvalidParameterException"},
		{"DescribeLogGroups", object{"limit": 51}, 400, "InvalidParameterException"},
		{"ListLogGroups", object{"logGroupNamePattern": "^/aws/codebuild/ha|none"}, 200, `{"logGroups":[{"logGroupName":"/aws/codebuild/hats","logGroupArn":"` + arn[:len(arn)-4] + `hats","logGroupClass":"STANDARD"}]}`},
		{"ListLogGroups", object{"logGroupNamePattern": "^shop"}, 200, `{"logGroups":[]}`},
		{"DescribeLogStreams", object{"logGroupName": shop}, 200, `"arn":"` + arn + `:log-stream:b1"`},
		{"DescribeLogStreams", object{"logGroupIdentifier": arn, "logStreamNamePrefix": "b2"}, 200, fmt.Sprintf(`{"logStreams":[{"logStreamName":"b2","creationTime":%d,"firstEventTimestamp":%d,"lastEventTimestamp":%d,`, at(time.Second), at(2*time.Second), at(2*time.Second))},
		{"DescribeLogStreams", object{"logGroupIdentifier": arn, "orderBy": "LastEventTime", "descending": true, "limit": 1}, 200, `{"logStreams":[{"logStreamName":"b1"`},
		{"DescribeLogStreams", object{"logGroupName": shop, "orderBy": "LastEventTime", "logStreamNamePrefix": "b"}, 400, "Cannot order by LastEventTime"},
		{"DescribeLogStreams", object{"logGroupName": "none"}, 400, "ResourceNotFoundException"},
		{"DescribeLogStreams", object{}, 400, "InvalidParameterException"},
		{"DescribeLogStreams", object{"logGroupName": shop, "logGroupIdentifier": arn}, 400, "InvalidParameterException"},
		{"GetLogEvents", object{"logGroupName": shop, "logStreamName": "b1"}, 200, fmt.Sprintf(`{"events":[{"timestamp":%d,"message":"installing\n","ingestionTime":%[1]d},`, at(time.Second))},
		{"GetLogEvents", object{"logGroupName": shop, "logStreamName": "b1"}, 200, fmt.Sprintf(`{"timestamp":%d,"message":"\n","ingestionTime":%[1]d}],"nextForwardToken":"f/%056[2]d/s","nextBackwardToken":"b/%056[3]d/s"}`, at(3*time.Second), 58, 0)},
		{"GetLogEvents", object{"logGroupName": shop, "logStreamName": "b1", "limit": 2}, 200, `{"events":[{"timestamp":` + fmt.Sprint(at(3*time.Second)) + `,"message":"done\n"`},
		{"GetLogEvents", object{"logGroupName": shop, "logStreamName": "b1", "limit": 1, "startFromHead": true}, 200, `"message":"installing\n"`},
		{"GetLogEvents", object{"logGroupName": shop, "logStreamName": "b1", "startTime": at(3 * time.Second)}, 200, `{"events":[{"timestamp":` + fmt.Sprint(at(3*time.Second)) + `,"message":"done\n"`},
		{"GetLogEvents", object{"logGroupName": shop, "logStreamName": "b1", "endTime": at(3 * time.Second), "limit": 1}, 200, `"message":"{\"n\": 5`},
		{"GetLogEvents", object{"logGroupName": shop, "logStreamName": "silent"}, 200, `{"events":[],"nextForwardToken":"f/00000000000000000000000000000000000000000000000000000000/s"`},
		{"GetLogEvents", object{"logGroupName": shop, "logStreamName": "b1", "nextToken": "f/1"}, 400, "InvalidParameterException"},
		{"GetLogEvents", object{"logGroupName": shop, "logStreamName": "b1", "nextToken": fmt.Sprintf("b/%056d/s", 0)}, 200, `{"events":[],"nextForwardToken":"f/00000000000000000000000000000000000000000000000000000000/s"`},
		{"GetLogEvents", object{"logGroupName": shop, "logStreamName": "b3"}, 400, "The specified log stream does not exist."},
		{"GetLogEvents", object{"logGroupName": "none", "logStreamName": "b3"}, 400, "The specified log group does not exist."},
		{"FilterLogEvents", object{"logGroupName": shop, "filterPattern": "ERROR"}, 200, fmt.Sprintf(`{"events":[{"logStreamName":"b1","timestamp":%d,"message":"ERROR 404 none\n"`, at(time.Second))},
		{"FilterLogEvents", object{"logGroupName": shop, "filterPattern": "ERROR", "limit": 1}, 200, `"nextToken":`},
		{"FilterLogEvents", object{"logGroupName": shop, "filterPattern": "[level = ERROR, code > 404, ...]"}, 200, `{"events":[{"logStreamName":"b2"`},
		{"FilterLogEvents", object{"logGroupName": shop, "filterPattern": `{ $.n >= 5 && $.level = "w*" }`}, 200, `"message":"{\"n\": 5, \"level\": \"warn\"}\n"`},
		{"FilterLogEvents", object{"logGroupName": shop, "logStreamNames": []string{"b2"}, "filterPattern": "installing"}, 200, `{"events":[{"logStreamName":"b2"`},
		{"FilterLogEvents", object{"logGroupName": shop, "logStreamNamePrefix": "b1", "startTime": at(3 * time.Second), "endTime": at(3 * time.Second)}, 200, `"message":"done\n"`},
		{"FilterLogEvents", object{"logGroupName": shop, "logStreamNames": []string{"b2", "b3"}}, 400, "ResourceNotFoundException"},
		{"FilterLogEvents", object{"logGroupName": shop, "logStreamNames": []string{"b2"}, "logStreamNamePrefix": "b"}, 400, "mutually exclusive"},
		{"FilterLogEvents", object{"logGroupName": shop, "filterPattern": "a:b"}, 400, "Invalid character(s) in term ':'"},
		{"FilterLogEvents", object{"logGroupName": shop, "filterPattern": "nothing of this"}, 200, `{"events":[],"searchedLogStreams":[]}`},
		{"FilterLogEvents", object{"logGroupName": "none"}, 400, "ResourceNotFoundException"},
		{"TestMetricFilter", object{"filterPattern": "[ip, ..., size > 3]", "logEventMessages": []string{"a 3", "b c 4"}}, 200, `{"matches":[{"eventNumber":2,"eventMessage":"b c 4","extractedValues":{"$2":"c","$ip":"b","$size":"4"}}]}`},
		{"TestMetricFilter", object{"filterPattern": "(", "logEventMessages": []string{"a"}}, 400, "InvalidParameterException"},
		{"ListTagsForResource", object{"resourceArn": arn}, 200, `{"tags":{}}`},
		{"ListTagsForResource", object{"resourceArn": arn + "x"}, 400, "ResourceNotFoundException"},
		{"ListTagsLogGroup", object{"logGroupName": shop}, 200, `{"tags":{}}`},
		{"DeleteLogStream", object{"logGroupName": shop, "logStreamName": "b1"}, 501, "NotImplemented"},
		{"PutLogEvents", object{"logGroupName": shop, "logStreamName": "b1", "logEvents": []object{{"timestamp": 1, "message": "x"}}}, 501, "NotImplemented"},
	} {
		if _, status, text := h.call(c.operation, c.in); status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%d: %s %v: %d %s\nwant %d %s", i, c.operation, c.in, status, text, c.status, c.want)
		}
	}
}

// messages are those of an answer.
func messages(answer object) (all []string) {
	for _, e := range answer["events"].([]any) {
		all = append(all, strings.TrimSuffix(e.(object)["message"].(string), "\n"))
	}
	return all
}

// Pages in every direction hold each event once, in order, whatever the pieces; and at the end the same token comes back.
func TestPages(t *testing.T) {
	h := open(t, nil)
	var want []string
	for i := range 40 {
		var lines []string
		for j := range i%7 + 1 {
			lines = append(lines, fmt.Sprintf("%d-%d", i, j))
		}
		h.say("g", "one", lines...)
		h.say("g", "two", lines[0]+" of two")
		want = append(want, lines...)
	}
	for _, limit := range []int{1, 3, 10, 1000} {
		var got []string
		in := object{"logGroupName": "g", "logStreamName": "one", "limit": limit, "startFromHead": true}
		for {
			answer, _, _ := h.call("GetLogEvents", in)
			got = append(got, messages(answer)...)
			if len(got) > len(want) || answer["nextForwardToken"] == in["nextToken"] {
				break
			}
			in["nextToken"] = answer["nextForwardToken"]
		}
		if !slices.Equal(got, want) {
			t.Errorf("forward by %d: %v", limit, got)
		}
		got = nil
		in = object{"logGroupName": "g", "logStreamName": "one", "limit": limit}
		for {
			answer, _, _ := h.call("GetLogEvents", in)
			got = append(messages(answer), got...)
			if len(got) > len(want) || answer["nextBackwardToken"] == in["nextToken"] {
				break
			}
			in["nextToken"] = answer["nextBackwardToken"]
		}
		if !slices.Equal(got, want) {
			t.Errorf("backward by %d: %v", limit, got)
		}
		got, in = nil, object{"logGroupName": "g", "limit": limit}
		ids := map[string]bool{}
		for {
			answer, _, _ := h.call("FilterLogEvents", in)
			got = append(got, messages(answer)...)
			for _, e := range answer["events"].([]any) {
				ids[e.(object)["eventId"].(string)] = true
			}
			if in["nextToken"] = answer["nextToken"]; in["nextToken"] == nil {
				break
			}
		}
		if len(got) != len(want)+40 || len(ids) != len(got) || !slices.Equal(slices.DeleteFunc(got, func(s string) bool { return strings.HasSuffix(s, "two") }), want) {
			t.Errorf("filtered by %d: %d events, %d ids: %v", limit, len(got), len(ids), got)
		}
	}
	// What is said later comes with the token of the end.
	answer, _, _ := h.call("GetLogEvents", object{"logGroupName": "g", "logStreamName": "one", "startFromHead": true})
	h.say("g", "one", "later")
	if next, _, _ := h.call("GetLogEvents", object{"logGroupName": "g", "logStreamName": "one", "nextToken": answer["nextForwardToken"]}); !slices.Equal(messages(next), []string{"later"}) {
		t.Errorf("%v", next)
	}
	// Streams and groups come in pages, too.
	for i := range 7 {
		h.say(fmt.Sprint("group-", i), "s", "x")
		h.say("g", fmt.Sprint("s", i), "x")
	}
	for operation, in := range map[string]object{
		"DescribeLogGroups": {"limit": 2, "logGroupNamePrefix": "group-"}, "ListLogGroups": {"limit": 3, "logGroupNamePattern": "group"}, "DescribeLogStreams": {"logGroupName": "g", "limit": 2, "logStreamNamePrefix": "s"},
	} {
		all := 0
		for {
			answer, _, text := h.call(operation, in)
			for _, key := range []string{"logGroups", "logStreams"} {
				if list, ok := answer[key].([]any); ok {
					all += len(list)
				}
			}
			if in["nextToken"] = answer["nextToken"]; in["nextToken"] == nil {
				break
			}
			if all > 7 {
				t.Fatal(text)
			}
		}
		if all != 7 {
			t.Errorf("%s: %d", operation, all)
		}
	}
}

// A page holds no more than a megabyte, and a filter that finds nothing looks at no more than it may before it answers.
func TestBounds(t *testing.T) {
	h := open(t, nil)
	line := strings.Repeat("x", 9999)
	lines := slices.Repeat([]string{line}, 300)
	h.say("g", "s", lines...)
	for operation, in := range map[string]object{
		"GetLogEvents": {"logGroupName": "g", "logStreamName": "s"}, "FilterLogEvents": {"logGroupName": "g"},
	} {
		if answer, _, _ := h.call(operation, in); len(messages(answer)) != 1<<20/10_000 {
			t.Errorf("%s: %d events", operation, len(messages(answer)))
		}
	}
	for range 12 {
		h.say("g", "s", lines...)
	}
	h.say("g", "s", "needle")
	answer, _, _ := h.call("FilterLogEvents", object{"logGroupName": "g", "filterPattern": "needle"})
	if len(messages(answer)) != 0 || answer["nextToken"] == nil {
		t.Fatalf("%v", answer)
	}
	answer, _, _ = h.call("FilterLogEvents", object{"logGroupName": "g", "filterPattern": "needle", "nextToken": answer["nextToken"]})
	if !slices.Equal(messages(answer), []string{"needle"}) {
		t.Errorf("%v", answer)
	}
}

// Policies speak of groups and streams as CloudWatch Logs' do, and a caller sees only the groups that he may.
func TestPolicies(t *testing.T) {
	var asked []string
	var mu sync.Mutex
	prefix := "arn:aws:logs:" + wiretest.Region + ":" + wiretest.Account + ":log-group:"
	h := open(t, func(r iam.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		name := strings.TrimPrefix(r.Resource, prefix)
		asked = append(asked, r.Action+" "+name)
		return !strings.HasPrefix(name, "/mine")
	})
	h.say("/mine/a", "s", "x")
	h.say("/other", "s", "x")
	h.say("/mine/b", "s", "x")
	for _, operation := range []string{"DescribeLogGroups", "ListLogGroups"} {
		answer, status, text := h.call(operation, object{})
		if status != 200 || len(answer["logGroups"].([]any)) != 2 || strings.Contains(text, "other") {
			t.Errorf("%s: %s", operation, text)
		}
	}
	for _, c := range []struct {
		operation string
		in        object
		want      string
	}{
		{"GetLogEvents", object{"logGroupName": "/other", "logStreamName": "s"}, "logs:GetLogEvents /other:log-stream:s"},
		{"FilterLogEvents", object{"logGroupName": "/other"}, "logs:FilterLogEvents /other:log-stream:"},
		{"DescribeLogStreams", object{"logGroupIdentifier": prefix + "/other"}, "logs:DescribeLogStreams /other:log-stream:"},
		{"ListTagsForResource", object{"resourceArn": prefix + "/other"}, "logs:ListTagsForResource /other:log-stream:"},
		{"GetLogEvents", object{"logGroupName": "/none", "logStreamName": "s"}, "logs:GetLogEvents /none:log-stream:s"},
	} {
		asked = nil
		if _, status, text := h.call(c.operation, c.in); status != 400 || !strings.Contains(text, "AccessDeniedException") || len(asked) == 0 || asked[0] != c.want {
			t.Errorf("%s: %s, asked %v, want %s", c.operation, text, asked, c.want)
		}
	}
	nobody := open(t, func(iam.Request) bool { return true })
	nobody.say("/mine/a", "s", "x")
	if _, status, text := nobody.call("DescribeLogGroups", object{}); status != 400 || !strings.Contains(text, prefix+":log-stream:") {
		t.Error(text)
	}
}

// The policies that come along let developers and readers read, and one that names a group in AWS's way lets in to that alone.
func TestManagedPolicies(t *testing.T) {
	const own = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"arn:aws:logs:*:*:log-group:/aws/codebuild/shop:*"}]}`
	for policy, may := range map[string]bool{access.Administrator: true, access.Developer: true, "ReadOnlyAccess": true, access.SecurityAudit: true, "HaechiSelfService": false, own: false} {
		d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), access.Schema())
		must(t, err)
		defer d.Close()
		key, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "root.key"))
		must(t, err)
		a := access.New(access.Config{DB: d, Sealer: key, Account: wiretest.Account})
		if policy == own {
			must(t, a.CreateUser(t.Context(), "tester"))
			must(t, a.PutInline(t.Context(), access.UserNamed("tester"), "own", own))
		} else {
			must(t, a.CreateUser(t.Context(), "tester", policy))
		}
		must(t, a.PutKey(t.Context(), "tester", wiretest.AccessKey, wiretest.Secret))
		h := openFor(t, a, a)
		h.say("/aws/codebuild/shop", "b1", "x")
		h.say("/aws/codebuild/hats", "b1", "x")
		for operation, in := range map[string]object{"GetLogEvents": {"logStreamName": "b1"}, "FilterLogEvents": {}, "DescribeLogStreams": {}} {
			for group, want := range map[string]bool{"/aws/codebuild/shop": may || policy == own, "/aws/codebuild/hats": may} {
				in["logGroupName"] = group
				if _, status, text := h.call(operation, in); (status == 200) != want {
					t.Errorf("%s: %s of %s: %s", policy, operation, group, text)
				}
			}
		}
		answer, status, text := h.call("DescribeLogGroups", object{})
		groups, _ := answer["logGroups"].([]any)
		if want := map[bool]int{true: 2}[may]; policy == own && len(groups) != 1 || policy != own && len(groups) != want || (status == 200) != (len(groups) > 0) {
			t.Errorf("%s: %s", policy, text)
		}
	}
}

// What a build says may be no text: it comes as text all the same.
func TestNoText(t *testing.T) {
	h := open(t, nil)
	h.say("g", "s", "\xff\xfe\x00\x1b[31mred\x1b[0m", "{\"a\": \"\xff\"}")
	answer, _, text := h.call("FilterLogEvents", object{"logGroupName": "g", "filterPattern": "red"})
	if got := messages(answer); len(got) != 1 || got[0] != "\ufffd\ufffd\x00\x1b[31mred\x1b[0m" {
		t.Errorf("%s", text)
	}
	if answer, _, text := h.call("FilterLogEvents", object{"logGroupName": "g", "filterPattern": "{ $.a EXISTS }"}); len(messages(answer)) != 1 {
		t.Errorf("%s", text)
	}
}

// A query answers about one group or several, and each event can be asked for by its pointer.
func TestQueries(t *testing.T) {
	h := open(t, nil)
	h.say("shop", "b1", `{"level": "error", "user": {"id": 7}, "list": [{"x": 1}, 2]}`, "plain ERROR")
	h.say("hats", "h1", `{"level": "info"}`, "plain")
	h.say("shop", "b2", "last ERROR")
	h.say("other", "o", "ERROR of another group")
	begin, end := began.Unix(), began.Add(time.Minute).Unix()
	ask := func(in object) (string, object) {
		t.Helper()
		for k, v := range (object{"startTime": begin, "endTime": end}) {
			if _, said := in[k]; !said {
				in[k] = v
			}
		}
		answer, status, text := h.call("StartQuery", in)
		if status != 200 {
			return text, nil
		}
		answer, _, _ = h.call("GetQueryResults", object{"queryId": answer["queryId"]})
		var b strings.Builder
		for _, row := range answer["results"].([]any) {
			for _, f := range row.([]any) {
				if f := f.(object); f["field"] != "@ptr" {
					fmt.Fprintf(&b, "%s=%s ", f["field"], f["value"])
				}
			}
			b.WriteString("; ")
		}
		return strings.TrimSpace(b.String()), answer
	}
	stamp := func(n int) string { return began.Add(time.Duration(n) * time.Second).Format("2006-01-02 15:04:05.000") }
	both := []string{"shop", "hats"}
	for _, c := range []struct {
		in   object
		want string
	}{
		{object{"logGroupNames": both, "queryString": "fields @message | filter @message like /ERROR/"}, "@message=last ERROR ; @message=plain ERROR ;"},
		{object{"logGroupNames": both, "queryString": "filter @message = 'plain'"}, "@timestamp=" + stamp(2) + " @message=plain ;"},
		{object{"logGroupNames": both, "queryString": "stats count(*) as n by @log | sort @log"}, "@log=" + wiretest.Account + ":hats n=2 ; @log=" + wiretest.Account + ":shop n=3 ;"},
		{object{"logGroupName": "shop", "queryString": "filter level = 'error' | fields user.id, list.0.x, list.1, @logStream"}, "user.id=7 list.0.x=1 list.1=2 @logStream=b1 ;"},
		{object{"logGroupIdentifiers": []string{"arn:aws:logs:" + wiretest.Region + ":" + wiretest.Account + ":log-group:hats"}, "queryString": "stats count(*)"}, "count(*)=2 ;"},
		{object{"logGroupName": "shop", "queryString": "fields @message", "startTime": begin + 3}, "@message=last ERROR ;"},
		{object{"logGroupName": "shop", "queryString": "fields @message", "endTime": (begin + 2) * 1000}, "@message=plain ERROR ; @message={\"level\": \"error\", \"user\": {\"id\": 7}, \"list\": [{\"x\": 1}, 2]} ;"},
		{object{"logGroupName": "shop", "queryString": "fields @message", "limit": 1}, "@message=last ERROR ;"},
	} {
		if got, _ := ask(c.in); got != c.want {
			t.Errorf("%v:\n got %s\nwant %s", c.in, got, c.want)
		}
	}
	for want, in := range map[string]object{
		"MalformedQueryException":   {"logGroupName": "shop", "queryString": "fields a b"},
		"before start time":         {"logGroupName": "shop", "queryString": "fields a", "endTime": 0},
		"ResourceNotFoundException": {"logGroupNames": []string{"shop", "none"}, "queryString": "fields a"},
		"Exactly one":               {"logGroupName": "shop", "logGroupNames": both, "queryString": "fields a"},
		"SQL is not spoken":         {"logGroupName": "shop", "queryString": "SELECT 1", "queryLanguage": "SQL"},
	} {
		if got, _ := ask(in); !strings.Contains(got, want) {
			t.Errorf("%v: %s", in, got)
		}
	}
	_, answer := ask(object{"logGroupName": "shop", "queryString": "filter ispresent(level)"})
	if s := answer["statistics"].(object); s["recordsMatched"] != 1.0 || s["recordsScanned"] != 3.0 || answer["status"] != "Complete" {
		t.Errorf("%v", answer)
	}
	row := answer["results"].([]any)[0].([]any)
	record, _, text := h.call("GetLogRecord", object{"logRecordPointer": row[len(row)-1].(object)["value"]})
	if r, _ := record["logRecord"].(object); r["user.id"] != "7" || r["list.0.x"] != "1" || r["@logStream"] != "b1" || r["@timestamp"] != fmt.Sprint(at(time.Second)) {
		t.Error(text)
	}
	for _, bad := range []string{"x", "e30"} {
		if _, status, text := h.call("GetLogRecord", object{"logRecordPointer": bad}); status != 400 {
			t.Error(text)
		}
	}
	if _, status, text := h.call("GetQueryResults", object{"queryId": "none"}); status != 400 || !strings.Contains(text, "ResourceNotFoundException") {
		t.Error(text)
	}
	first, _, _ := h.call("StartQuery", object{"logGroupNames": both, "queryString": "fields @message", "startTime": begin, "endTime": end})
	n := 0
	for in := (object{"queryId": first["queryId"], "maxItems": 2}); ; {
		page, _, _ := h.call("GetQueryResults", in)
		n += len(page["results"].([]any))
		if in["nextToken"] = page["nextToken"]; in["nextToken"] == nil || n > 5 {
			break
		}
	}
	if n != 5 {
		t.Errorf("%d rows in pages", n)
	}
}

// No token breaks a page: it is refused, or stands for some place.
func FuzzTokens(f *testing.F) {
	for _, seed := range []string{"f/00000000000000000000000000000000000000000000000000000007/s", "b/0/s", "f/-1/s", "eyJ0IjoxLCJzIjoieCIsInAiOjAsImEiOjB9", "eyJ0IjoxZTk5OX0", "Im4i", "e30"} {
		f.Add(seed)
	}
	h := open(f, nil)
	h.say("g", "s", "one", "two")
	f.Fuzz(func(t *testing.T, token string) {
		if h.TB = t; !utf8.ValidString(token) { // it could not be sent
			t.Skip()
		}
		for operation, in := range map[string]object{
			"GetLogEvents": {"logStreamName": "s"}, "FilterLogEvents": {}, "DescribeLogStreams": {"orderBy": "LastEventTime"}, "DescribeLogGroups": nil,
		} {
			all := object{"nextToken": token}
			for k, v := range in {
				all[k] = v
			}
			if in != nil {
				all["logGroupName"] = "g"
			}
			if _, status, text := h.call(operation, all); status != 200 && status != 400 {
				t.Fatalf("%s %q: %d %s", operation, token, status, text)
			}
		}
	})
}
