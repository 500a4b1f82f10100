package events_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/base/sigv4/sigv4test"
	"github.com/haechi-dev/haechi/door/wire/events"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/room/route"
)

var update = flag.Bool("update", false, "write ops.txt anew")

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestOps(t *testing.T) { wiretest.Ops(t, events.Service(nil), "ops.txt", *update) }

// open makes a router on a database of its own, with a webhook to send to, at
// the first of urls if there is one.
func open(t *testing.T, urls ...string) *route.Router {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), bus.Schema(), route.Schema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	key, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	r := route.New(route.Config{DB: d, Bus: bus.New(d), Account: wiretest.Account, Region: wiretest.Region, Seal: key, HTTP: http.DefaultClient})
	_, err = r.PutReceiver(t.Context(), route.Receiver{Kind: "webhook", Name: "w", Settings: map[string]string{"url": append(urls, "https://example.com/")[0]},
		Secrets: map[string]seal.Secret{"secret": "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const target = `arn:aws:haechi:us-east-1:111122223333:target/webhook/w`

// step is a call and what its answer holds.
type step struct{ operation, input, want string }

// Every operation answers what its model promises, in an order in which all are of use.
func TestOperations(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, events.Service(open(t)))
	connection := remember(t, s, "CreateConnection", `{"Name":"c","AuthorizationType":"API_KEY","AuthParameters":{"ApiKeyAuthParameters":{"ApiKeyName":"X-Key","ApiKeyValue":"hush-hush"}}}`, "ConnectionArn")
	destination := remember(t, s, "CreateApiDestination", `{"Name":"d","ConnectionArn":"`+connection+`","InvocationEndpoint":"https://example.com/*","HttpMethod":"POST","InvocationRateLimitPerSecond":5}`, "ApiDestinationArn")
	const arn = "arn:aws:events:us-east-1:111122223333:"
	for _, c := range []step{
		{"CreateEventBus", `{"Name":"shop","Description":"d","Tags":[{"Key":"a","Value":"b"}]}`, `"EventBusArn":"` + arn + `event-bus/shop"`},
		{"DescribeEventBus", `{"Name":"` + arn + `event-bus/shop"}`, `"Description":"d"`},
		{"DescribeEventBus", `{}`, `"Name":"default"`},
		{"ListEventBuses", `{"Limit":1}`, `"NextToken":"default"`},
		{"ListEventBuses", `{"NextToken":"default"}`, `"Name":"shop"`},
		{"UpdateEventBus", `{"Name":"shop","Description":"e","DeadLetterConfig":{"Arn":"arn:aws:sqs:us-east-1:111122223333:q"}}`, `"Description":"e"`},
		{"PutPermission", `{"EventBusName":"shop","Action":"events:PutEvents","Principal":"444455556666","StatementId":"s","Condition":{"Type":"StringEquals","Key":"aws:PrincipalOrgID","Value":"o-1"}}`, ``},
		{"DescribeEventBus", `{"Name":"shop"}`, `arn:aws:iam::444455556666:root`},
		{"RemovePermission", `{"EventBusName":"shop","StatementId":"s"}`, ``},
		{"PutRule", `{"Name":"r","EventPattern":"{\"source\":[\"shop\"]}","State":"ENABLED","Description":"d","RoleArn":"arn:aws:iam::111122223333:role/r","Tags":[{"Key":"k","Value":"v"}]}`, `"RuleArn":"` + arn + `rule/r"`},
		{"PutRule", `{"Name":"s","ScheduleExpression":"rate(5 minutes)"}`, `rule/s"`},
		{"PutRule", `{"Name":"r","EventBusName":"shop","EventPattern":"{\"source\":[\"shop\"]}"}`, `rule/shop/r"`},
		{"DescribeRule", `{"Name":"r"}`, `"CreatedBy":"111122223333"`},
		{"ListRules", `{"Limit":1}`, `"NextToken":"r"`},
		{"ListRules", `{"NamePrefix":"s"}`, `"ScheduleExpression":"rate(5 minutes)"`},
		{"DisableRule", `{"Name":"r"}`, ``},
		{"DescribeRule", `{"Name":"r"}`, `"State":"DISABLED"`},
		{"EnableRule", `{"Name":"r","EventBusName":"default"}`, ``},
		{"PutTargets", `{"Rule":"r","Targets":[{"Id":"a","Arn":"` + target + `","InputTransformer":{"InputPathsMap":{"t":"$.detail.t"},"InputTemplate":"\"<t>\""},"RetryPolicy":{"MaximumRetryAttempts":3,"MaximumEventAgeInSeconds":3600},"DeadLetterConfig":{"Arn":"arn:aws:sqs:us-east-1:111122223333:q"}},` +
			`{"Id":"b","Arn":"` + destination + `","HttpParameters":{"PathParameterValues":["$.detail.id"],"HeaderParameters":{"X-A":"b"},"QueryStringParameters":{"q":"1"}}},{"Id":"c","Arn":"arn:aws:events:us-east-1:111122223333:event-bus/shop"},` +
			`{"Id":"x","Arn":"arn:aws:sns:us-east-1:111122223333:alerts"}]}`, `"FailedEntryCount":1,"FailedEntries":[{"TargetId":"x","ErrorCode":"InvalidArgument"`},
		{"ListTargetsByRule", `{"Rule":"r"}`, `"InputPathsMap":{"t":"$.detail.t"}`},
		{"ListTargetsByRule", `{"Rule":"r","Limit":1}`, `"NextToken":"a"`},
		{"ListRuleNamesByTarget", `{"TargetArn":"` + target + `"}`, `{"RuleNames":["r"]}`},
		{"RemoveTargets", `{"Rule":"r","Ids":["a","b","c","nobody"]}`, `"FailedEntryCount":1`},
		{"ListTagsForResource", `{"ResourceARN":"` + arn + `rule/r"}`, `{"Tags":[{"Key":"k","Value":"v"}]}`},
		{"TagResource", `{"ResourceARN":"` + arn + `event-bus/shop","Tags":[{"Key":"z","Value":""}]}`, ``},
		{"UntagResource", `{"ResourceARN":"` + arn + `event-bus/shop","TagKeys":["a"]}`, ``},
		{"ListTagsForResource", `{"ResourceARN":"` + arn + `event-bus/shop"}`, `{"Tags":[{"Key":"z","Value":""}]}`},
		{"TestEventPattern", `{"EventPattern":"{\"source\":[\"a\"]}","Event":"{\"id\":\"1\",\"account\":\"1\",\"source\":\"a\",\"time\":\"2026-01-01T00:00:00Z\",\"region\":\"r\",\"resources\":[],\"detail-type\":\"x\",\"detail\":{}}"}`, `{"Result":true}`},
		{"PutEvents", `{"Entries":[{"Source":"shop","DetailType":"Order","Detail":"{}","Time":1767225600,"EventBusName":"shop"},{"Source":"aws.s3","DetailType":"x","Detail":"{}"},{"DetailType":"x","Detail":"{}"}]}`, `"FailedEntryCount":2`},
		{"CreateArchive", `{"ArchiveName":"a","EventSourceArn":"` + arn + `event-bus/shop","EventPattern":"{\"source\":[\"shop\"]}","RetentionDays":30,"Description":"d"}`, `"State":"ENABLED"`},
		{"UpdateArchive", `{"ArchiveName":"a","RetentionDays":7}`, `archive/a"`},
		{"DescribeArchive", `{"ArchiveName":"a"}`, `"RetentionDays":7,"SizeBytes":0`},
		{"ListArchives", `{"EventSourceArn":"` + arn + `event-bus/shop"}`, `"ArchiveName":"a"`},
		{"StartReplay", `{"ReplayName":"p","EventSourceArn":"` + arn + `archive/a","EventStartTime":1767225600,"EventEndTime":1767312000,"Destination":{"Arn":"` + arn + `event-bus/shop","FilterArns":["` + arn + `rule/shop/r"]}}`, `"State":"STARTING"`},
		{"DescribeReplay", `{"ReplayName":"p"}`, `"FilterArns":["` + arn + `rule/shop/r"]`},
		{"ListReplays", `{"State":"STARTING"}`, `"ReplayName":"p"`},
		{"CancelReplay", `{"ReplayName":"p"}`, `"State":"CANCELLING"`},
		{"DescribeConnection", `{"Name":"c"}`, `"AuthParameters":{"ApiKeyAuthParameters":{"ApiKeyName":"X-Key"}}`},
		{"ListConnections", `{}`, `"AuthorizationType":"API_KEY"`},
		{"UpdateConnection", `{"Name":"c","Description":"d","AuthParameters":{"ApiKeyAuthParameters":{"ApiKeyName":"X-Other"}}}`, `"ConnectionState":"AUTHORIZED"`},
		{"DescribeApiDestination", `{"Name":"d"}`, `"InvocationRateLimitPerSecond":5`},
		{"ListApiDestinations", `{"ConnectionArn":"` + connection + `"}`, `"Name":"d"`},
		{"UpdateApiDestination", `{"Name":"d","HttpMethod":"PUT"}`, `"ApiDestinationState":"ACTIVE"`},
		{"DeauthorizeConnection", `{"Name":"c"}`, `"ConnectionState":"DEAUTHORIZED"`},
		{"DescribeApiDestination", `{"Name":"d"}`, `"ApiDestinationState":"INACTIVE"`},
		{"DeleteApiDestination", `{"Name":"d"}`, ``},
		{"DeleteConnection", `{"Name":"c"}`, `"ConnectionState":"DELETING"`},
		{"DeleteArchive", `{"ArchiveName":"a"}`, ``},
		{"DeleteRule", `{"Name":"r","EventBusName":"shop"}`, ``},
		{"DeleteRule", `{"Name":"r"}`, ``},
		{"DeleteEventBus", `{"Name":"shop"}`, ``},
	} {
		response, body := s.Call(t, "events", "POST", "/", "AWSEvents."+c.operation, c.input)
		if response.StatusCode != http.StatusOK || !strings.Contains(string(body), c.want) {
			t.Errorf("%s %s:\n got %d %s\nwant %s", c.operation, c.input, response.StatusCode, body, c.want)
			continue
		}
		if strings.Contains(string(body), "hush-hush") {
			t.Errorf("%s tells a secret: %s", c.operation, body)
		}
		wiretest.Valid(t, events.Service(nil).Model, c.operation, body)
	}
}

// remember calls an operation and gives one member of its answer.
func remember(t *testing.T, s *wiretest.Server, operation, input, member string) string {
	t.Helper()
	response, body := s.Call(t, "events", "POST", "/", "AWSEvents."+operation, input)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", operation, response.Status, body)
	}
	wiretest.Valid(t, events.Service(nil).Model, operation, body)
	_, after, _ := strings.Cut(string(body), `"`+member+`":"`)
	value, _, _ := strings.Cut(after, `"`)
	return value
}

// What is wrong is said in the model's words.
func TestErrors(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{Deny: func(r iam.Request) bool { return strings.HasSuffix(r.Resource, "rule/secret") }}, events.Service(open(t)))
	const arn = "arn:aws:events:us-east-1:111122223333:"
	remember(t, s, "PutRule", `{"Name":"r","EventPattern":"{\"source\":[\"a\"]}"}`, "RuleArn")
	remember(t, s, "PutTargets", `{"Rule":"r","Targets":[{"Id":"t","Arn":"`+target+`"}]}`, "x")
	remember(t, s, "CreateArchive", `{"ArchiveName":"a","EventSourceArn":"`+arn+`event-bus/default"}`, "ArchiveArn")
	remember(t, s, "StartReplay", `{"ReplayName":"p","EventSourceArn":"`+arn+`archive/a","EventStartTime":1,"EventEndTime":2,"Destination":{"Arn":"`+arn+`event-bus/default"}}`, "ReplayArn")
	for _, c := range []step{
		{"PutRule", `{"Name":"x","EventPattern":"{\"source\":\"a\"}"}`, "InvalidEventPatternException"},
		{"PutRule", `{"Name":"x"}`, "ValidationException"},
		{"PutRule", `{"Name":"x","ScheduleExpression":"rate(1 minutes)"}`, "ValidationException"},
		{"PutRule", `{"Name":"x y","EventPattern":"{}"}`, "ValidationException"},
		{"PutRule", `{"Name":"x","EventBusName":"nowhere","EventPattern":"{\"source\":[\"a\"]}"}`, "ResourceNotFoundException"},
		{"PutRule", `{"Name":"x","EventBusName":"arn:aws:events:us-east-1:999999999999:event-bus/default","EventPattern":"{\"source\":[\"a\"]}"}`, "ResourceNotFoundException"},
		{"PutRule", `{"Name":"secret","EventPattern":"{\"source\":[\"a\"]}"}`, "AccessDeniedException"},
		{"DescribeRule", `{"Name":"secret"}`, "AccessDeniedException"},
		{"DescribeRule", `{"Name":"x"}`, "ResourceNotFoundException"},
		{"DeleteRule", `{"Name":"r"}`, "ValidationException"},
		{"PutTargets", `{"Rule":"x","Targets":[{"Id":"t","Arn":"` + target + `"}]}`, "ResourceNotFoundException"},
		{"TestEventPattern", `{"EventPattern":"{}","Event":"{}"}`, "InvalidEventPatternException"},
		{"TestEventPattern", `{"EventPattern":"{\"a\":[1]}","Event":"{}"}`, "ValidationException"},
		{"CreateEventBus", `{"Name":"default"}`, "ResourceAlreadyExistsException"},
		{"CreateEventBus", `{"Name":"x","KmsKeyIdentifier":"k"}`, "ValidationException"},
		{"CreateArchive", `{"ArchiveName":"a","EventSourceArn":"` + arn + `event-bus/default"}`, "ResourceAlreadyExistsException"},
		{"CreateArchive", `{"ArchiveName":"b","EventSourceArn":"` + arn + `event-bus/default","EventPattern":"{}"}`, "InvalidEventPatternException"},
		{"DeleteArchive", `{"ArchiveName":"x"}`, "ResourceNotFoundException"},
		{"StartReplay", `{"ReplayName":"p","EventSourceArn":"` + arn + `archive/a","EventStartTime":1,"EventEndTime":2,"Destination":{"Arn":"` + arn + `event-bus/default"}}`, "ResourceAlreadyExistsException"},
		{"CreateConnection", `{"Name":"c","AuthorizationType":"BASIC","AuthParameters":{"ApiKeyAuthParameters":{"ApiKeyName":"a","ApiKeyValue":"b"}}}`, "ValidationException"},
		{"CreateApiDestination", `{"Name":"d","ConnectionArn":"` + arn + `connection/c/1","InvocationEndpoint":"https://example.com","HttpMethod":"POST"}`, "ResourceNotFoundException"},
		{"TagResource", `{"ResourceARN":"` + arn + `rule/x","Tags":[{"Key":"a","Value":"b"}]}`, "ResourceNotFoundException"},
		{"RemovePermission", `{"StatementId":"x"}`, "ResourceNotFoundException"},
		{"PutPermission", `{"Policy":"[]"}`, "ValidationException"},
		{"PutPermission", `{"Policy":"{\"a\":\"` + strings.Repeat("x", 10300) + `\"}"}`, "PolicyLengthExceededException"},
		{"PutEvents", `{"Entries":[]}`, "ValidationException"},
		{"PutEvents", `{"Entries":[{}]}`, "ValidationException"},
		{"CreateEndpoint", `{"Name":"x"}`, "NotImplemented"},
		{"Nonsense", `{}`, "UnknownOperationException"},
	} {
		response, body := s.Call(t, "events", "POST", "/", "AWSEvents."+c.operation, c.input)
		if response.StatusCode < 400 || !strings.Contains(string(body), `"__type":"`+c.want+`"`) {
			t.Errorf("%s %.200s:\n got %d %s\nwant %s", c.operation, c.input, response.StatusCode, body, c.want)
		}
	}
}

// The recorded calls of real clients are answered as the model promises.
func TestRecorded(t *testing.T) {
	recordings := sigv4test.Recordings(t)
	order := []string{"create-event-bus", "put-rule", "put-targets", "list-rules", "describe-rule", "list-targets-by-rule", "test-event-pattern", "create-archive", "start-replay", "put-events", "create-connection", "create-api-destination"}
	answered := 0
	for _, client := range []string{"awscli-1.45.11", "awscli-2.9.19", "aws-sdk-go-v2"} {
		s := wiretest.Serve(t, wiretest.Options{}, events.Service(open(t)))
		for _, name := range order {
			for _, r := range recordings {
				if r.Client != client || !strings.Contains(r.Name, "events") || !strings.HasSuffix(strings.TrimSuffix(r.Name, ".http"), name) {
					continue
				}
				request, err := r.Request()
				if err != nil {
					t.Fatal(err)
				}
				operation := request.Header.Get("X-Amz-Target")
				response, body := s.Call(t, "events", "POST", "/", operation, string(r.Body))
				if name == "create-api-destination" { // its connection was made up by whoever recorded it
					if !strings.Contains(string(body), `"__type":"ResourceNotFoundException"`) {
						t.Errorf("%s %s: %s", client, r.Name, body)
					}
					answered++
					continue
				}
				if response.StatusCode != http.StatusOK {
					t.Errorf("%s %s: %s %s", client, r.Name, response.Status, body)
					continue
				}
				wiretest.Valid(t, events.Service(nil).Model, strings.TrimPrefix(operation, "AWSEvents."), body)
				answered++
			}
		}
	}
	if answered < 24 {
		t.Errorf("only %d recorded calls were answered", answered)
	}
}

// AWS's own clients drive a rule from its making to its end, and raise what is wrong.
func TestRealClients(t *testing.T) {
	for _, aws := range wiretest.Clients(t) {
		heard := make(chan string, 10)
		receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			heard <- string(body)
		}))
		router := open(t, receiver.URL)
		running, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- router.Run(running) }()
		s := wiretest.Serve(t, wiretest.Options{}, events.Service(router))
		for _, c := range []struct {
			arguments []string
			want      string // in the output, or in the errors if it begins with (
		}{
			{[]string{"put-rule", "--name", "r", "--event-pattern", `{"source":["shop"]}`}, "rule/r"},
			{[]string{"put-targets", "--rule", "r", "--targets", `[{"Id":"t","Arn":"` + target + `","InputPath":"$.detail"}]`}, `"FailedEntryCount": 0`},
			{[]string{"list-targets-by-rule", "--rule", "r"}, `"InputPath": "$.detail"`},
			{[]string{"put-events", "--entries", `[{"Source":"shop","DetailType":"Order","Detail":"{\"n\":1}","Time":"2026-01-01T00:00:00Z"}]`}, `"EventId"`},
			{[]string{"remove-targets", "--rule", "r", "--ids", "t"}, `"FailedEntryCount": 0`},
			{[]string{"delete-rule", "--name", "r"}, ""},
			{[]string{"describe-rule", "--name", "r"}, "(ResourceNotFoundException)"},
			{[]string{"put-rule", "--name", "r", "--event-pattern", `{"source":"shop"}`}, "(InvalidEventPatternException)"},
		} {
			out, problems, err := aws.Run(t, s, append([]string{"events", "--output", "json"}, c.arguments...)...)
			if strings.HasPrefix(c.want, "(") {
				if err == nil || !strings.Contains(problems, c.want) {
					t.Errorf("%s %v: %v %s, want %s", aws.Path, c.arguments, err, problems, c.want)
				}
			} else if err != nil || !strings.Contains(out, c.want) {
				t.Errorf("%s %v: %v %s %s, want %s", aws.Path, c.arguments, err, out, problems, c.want)
			}
		}
		if got := <-heard; got != `{"n":1}` {
			t.Errorf("%s: the target heard %s", aws.Path, got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		receiver.Close()
	}
}

// boto3 raises each error as the class that the model has for it.
func TestBoto(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, events.Service(open(t)))
	out, problems, err := s.Python(t, `
e = client('events')
def raised(f, **k):
    try: f(**k); return 'nothing'
    except botocore.exceptions.ClientError as x: return type(x).__name__
print(raised(e.describe_rule, Name='x'))
print(raised(e.put_rule, Name='x', EventPattern='{}'))
print(raised(e.create_event_bus, Name='default'))
e.create_archive(ArchiveName='a', EventSourceArn='arn:aws:events:us-east-1:111122223333:event-bus/default')
import datetime
a = e.describe_archive(ArchiveName='a')
print(type(a['CreationTime']).__name__, a['RetentionDays'], a['State'])
r = e.start_replay(ReplayName='p', EventSourceArn=a['ArchiveArn'], EventStartTime=datetime.datetime(2026,1,1), EventEndTime=datetime.datetime(2026,1,2), Destination={'Arn': a['EventSourceArn']})
print(r['State'], e.describe_replay(ReplayName='p')['EventStartTime'].isoformat())
print(raised(e.put_permission, Policy='{"a":"' + 'x'*10300 + '"}'))
print([b['Name'] for page in e.get_paginator('list_rules').paginate() for b in page['Rules']])
`)
	want := fmt.Sprintf("ResourceNotFoundException\nInvalidEventPatternException\nResourceAlreadyExistsException\ndatetime 0 ENABLED\nSTARTING %s\nPolicyLengthExceededException\n[]\n", "2026-01-01T00:00:00")
	if got := out; err != nil || !sameButZone(got, want) {
		t.Errorf("boto3: %v %s\ngot\n%s\nwant\n%s", err, problems, got, want)
	}
}

// sameButZone compares line by line; a time may be in the machine's own zone.
func sameButZone(got, want string) bool {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if zone, ok := strings.CutPrefix(a[i], "STARTING "); ok {
			at, err := time.Parse(time.RFC3339, zone)
			if err != nil || !at.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
				return false
			}
		} else if a[i] != b[i] {
			return false
		}
	}
	return true
}
