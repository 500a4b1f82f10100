package wire_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

func model(t testing.TB, service string) *wire.Model {
	t.Helper()
	table, err := os.ReadFile(filepath.Join(service, "model.json"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := wire.ReadModel(table)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// echo answers an operation with nothing, and keeps what it was given.
func echo(got *string) wire.Operation {
	return wire.Op(wire.AskAll[jsontext.Value], func(_ context.Context, _ *wire.Call, in *jsontext.Value) (*struct{}, error) {
		*got = string(*in)
		return nil, nil
	})
}

func service(t testing.TB, name string, operations map[string]wire.Operation) wire.Service {
	return wire.Service{Model: model(t, name), Operations: operations, Faults: map[string]wire.Faults{
		"securityhub": {
			fault.Invalid: {"InvalidInputException", "ValidationException"}, fault.NotFound: {"ResourceNotFoundException"},
			fault.Internal: {"InternalException", "InternalServerException"}, fault.Limit: {"LimitExceededException"},
			fault.Conflict: {"ResourceConflictException", "ConflictException"}, fault.Exists: {"ResourceConflictException", "ConflictException"},
		},
		"events": {
			fault.Invalid: {"ValidationException"}, fault.NotFound: {"ResourceNotFoundException"}, fault.Internal: {"InternalException"},
			fault.Exists: {"ResourceAlreadyExistsException"}, fault.Conflict: {"ConcurrentModificationException"}, fault.Limit: {"LimitExceededException"},
		},
		"sts": {fault.Invalid: {"ValidationError"}},
	}[name]}
}

const insight = "arn:aws:securityhub:us-east-1:111122223333:insight/111122223333/custom/a1b2"

// What a client says in path, query, form or body arrives as one JSON value in
// wire names, whatever the protocol; what the model does not know is kept.
func TestInputs(t *testing.T) {
	for _, test := range []struct {
		service, operation         string
		method, path, target, body string
		want                       string
	}{
		{"securityhub", "GetInsightResults", "GET", "/insights/results/" + strings.ReplaceAll(insight, ":", "%3A"), "", "", `{"InsightArn":"` + insight + `"}`},
		{"securityhub", "GetInsightResults", "GET", "/insights/results/" + insight + "/", "", "", `{"InsightArn":"` + insight + `"}`},
		{"securityhub", "ListTagsForResource", "GET", "/tags/arn%3Aaws%3Asecurityhub%3Aus-east-1%3A111122223333%3Ahub%2Fdefault", "", "", `{"ResourceArn":"arn:aws:securityhub:us-east-1:111122223333:hub/default"}`},
		{"securityhub", "UntagResource", "DELETE", "/tags/arn%3Aaws%3Asecurityhub%3Ahub%2Fa%25b?tagKeys=a&tagKeys=b%20c", "", "", `{"ResourceArn":"arn:aws:securityhub:hub/a%b","tagKeys":["a","b c"]}`},
		{"securityhub", "ListMembers", "GET", "/members?OnlyAssociated=true&MaxResults=5", "", "", `{"OnlyAssociated":true,"MaxResults":5}`},
		{"securityhub", "ListAutomationRulesV2", "GET", "/automationrulesv2/list", "", "", `{}`},
		{"securityhub", "GetAutomationRuleV2", "GET", "/automationrulesv2/other", "", "", `{"Identifier":"other"}`},
		{"securityhub", "UpdateInsight", "PATCH", "/insights/" + insight, "", ` { "Name" : "n", "Extra": {"a":1.10,"é":"é"} } `, `{"InsightArn":"` + insight + `","Name":"n","Extra":{"a":1.10,"é":"é"}}`},
		{"securityhub", "GetFindings", "POST", "/findings", "", `{"MaxResults":5,"NextToken":null,"Filters":{"Id":[{"Value":"x","Comparison":"EQUALS"}]}}`, `{"MaxResults":5,"Filters":{"Id":[{"Value":"x","Comparison":"EQUALS"}]}}`},
		{"securityhub", "GetFindings", "POST", "/findings", "", ``, `{}`},
		{"events", "PutEvents", "POST", "/", "AWSEvents.PutEvents", `{"Entries":[{"Time":1767225600.5,"Detail":"{}","Source":"s","DetailType":"t"}]}`, `{"Entries":[{"Time":"2026-01-01T00:00:00.5Z","Detail":"{}","Source":"s","DetailType":"t"}]}`},
		{"events", "ListRules", "POST", "/", "AWSEvents.ListRules", ``, `{}`},
		{"sts", "AssumeRole", "POST", "/", "", "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fci&RoleSessionName=s%2B1&DurationSeconds=900&Tags.member.2.Key=b&Tags.member.2.Value=&Tags.member.1.Key=a&Tags.member.1.Value=x%3Dy&PolicyArns=",
			`{"RoleArn":"arn:aws:iam::111122223333:role/ci","RoleSessionName":"s+1","PolicyArns":[],"DurationSeconds":900,"Tags":[{"Key":"a","Value":"x=y"},{"Key":"b","Value":""}]}`},
	} {
		var got string
		s := wiretest.Serve(t, wiretest.Options{}, service(t, test.service, map[string]wire.Operation{test.operation: echo(&got)}))
		response, body := s.Call(t, test.service, test.method, test.path, test.target, test.body)
		if response.StatusCode != http.StatusOK || got != test.want {
			t.Errorf("%s %s %s\n%v %s\n got %s\nwant %s", test.operation, test.path, test.body, response.Status, body, got, test.want)
		}
	}
}

// Times and lists are answered as each protocol writes them, and the model agrees.
func TestOutputs(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 250e6, time.UTC)
	type archive struct {
		ArchiveName  string
		CreationTime time.Time
	}
	type record struct {
		FindingIdentifier struct {
			ID         string `json:"Id"`
			ProductARN string `json:"ProductArn"`
		}
		UpdateTime time.Time
	}
	type history struct{ Records []record }
	type credentials struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      time.Time
	}
	type session struct {
		PackedPolicySize int
		Credentials      credentials
	}
	describe := func(context.Context, *wire.Call, *struct{}) (*archive, error) { return &archive{"a", at}, nil }
	get := func(context.Context, *wire.Call, *struct{}) (*history, error) {
		var r record
		r.FindingIdentifier.ID, r.FindingIdentifier.ProductARN, r.UpdateTime = "f", "p", at
		return &history{[]record{r}}, nil
	}
	assume := func(context.Context, *wire.Call, *struct{}) (*session, error) {
		return &session{7, credentials{"AK", "s<&>", "t", at.Truncate(time.Second)}}, nil
	}
	s := wiretest.Serve(t, wiretest.Options{},
		service(t, "events", map[string]wire.Operation{"DescribeArchive": wire.Op(wire.AskAll, describe)}),
		service(t, "securityhub", map[string]wire.Operation{"GetFindingHistory": wire.Op(wire.AskAll, get)}),
		service(t, "sts", map[string]wire.Operation{"AssumeRole": wire.Op(wire.AskAll, assume)}))
	for _, test := range []struct{ service, operation, path, target, body, kind, want string }{
		{"events", "DescribeArchive", "/", "AWSEvents.DescribeArchive", `{"ArchiveName":"a"}`, "application/x-amz-json-1.1", `"CreationTime":1767225600.250`},
		{"securityhub", "GetFindingHistory", "/findingHistory/get", "", `{"FindingIdentifier":{"Id":"f","ProductArn":"p"}}`, "application/json", `"UpdateTime":"2026-01-01T00:00:00.25Z"`},
		{"sts", "AssumeRole", "/", "", "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fci&RoleSessionName=sess", "text/xml",
			`<Credentials><AccessKeyId>AK</AccessKeyId><SecretAccessKey>s&lt;&amp;&gt;</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2026-01-01T00:00:00Z</Expiration></Credentials><PackedPolicySize>7</PackedPolicySize>`},
	} {
		response, body := s.Call(t, test.service, "POST", test.path, test.target, test.body)
		if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != test.kind || !strings.Contains(string(body), test.want) {
			t.Errorf("%s: %v %s %s", test.operation, response.Status, response.Header.Get("Content-Type"), body)
		}
		wiretest.Valid(t, model(t, test.service), test.operation, body)
	}
}

// What breaks the model never reaches the handler; the service's own error
// says where and why, and never repeats a value.
func TestInputsAreChecked(t *testing.T) {
	var got string
	s := wiretest.Serve(t, wiretest.Options{Limits: wire.Limits{Body: 100_000, Depth: 20, Elements: 200}},
		service(t, "securityhub", map[string]wire.Operation{
			"GetFindings": echo(&got), "BatchImportFindings": echo(&got).Loose("Findings"), "ListMembers": echo(&got), "CreateConnectorV2": echo(&got), "CreateInsight": echo(&got), "GetFindingsV2": echo(&got)}),
		service(t, "events", map[string]wire.Operation{"PutRule": echo(&got), "PutEvents": echo(&got), "PutPermission": echo(&got)}),
		service(t, "sts", map[string]wire.Operation{"AssumeRole": echo(&got)}))
	hush := strings.Repeat("hush", 100)
	for _, test := range []struct {
		service, method, path, target, body string
		status                              int
		code, want                          string
	}{
		{"securityhub", "POST", "/insights", "", `{"Filters":{}}`, 400, "InvalidInputException", "2 validation errors detected: Value at 'Name' failed to satisfy constraint: Member must not be null"},
		{"securityhub", "POST", "/insights", "", `{"Filters":{},"Name":null,"GroupByAttribute":" "}`, 400, "InvalidInputException", "Value at 'GroupByAttribute' failed to satisfy constraint: Member must satisfy regular expression pattern"},
		{"securityhub", "POST", "/findings", "", `{"MaxResults":101}`, 400, "InvalidInputException", "Value at 'MaxResults' failed to satisfy constraint: Member must have value less than or equal to 100"},
		{"securityhub", "POST", "/findings", "", `{"Filters":{"Id":[{"Value":"hush","Comparison":"hush"}]}}`, 400, "InvalidInputException", "Value at 'Filters.Id[0].Comparison' failed to satisfy constraint: Member must satisfy enum value set: [EQUALS, "},
		{"securityhub", "POST", "/findingsv2", "", `{"MaxResults":0}`, 400, "ValidationException", "greater than or equal to 1"},
		{"securityhub", "GET", "/members?MaxResults=many", "", ``, 400, "SerializationException", "MaxResults: expected an integer"},
		{"securityhub", "POST", "/findings", "", `{"MaxResults":1.5}`, 400, "SerializationException", "MaxResults: expected an integer"},
		{"securityhub", "POST", "/findings", "", `{"MaxResults":99999999999}`, 400, "SerializationException", "MaxResults: expected an integer"},
		{"securityhub", "POST", "/findings", "", `{"Filters":[]}`, 400, "SerializationException", "Filters: expected an object"},
		{"securityhub", "POST", "/findings", "", `{"Filters":{"Id":{}}}`, 400, "SerializationException", "Filters.Id: expected a list"},
		{"securityhub", "POST", "/findings", "", `{"MaxResults":1`, 400, "SerializationException", ""},
		{"securityhub", "POST", "/findings", "", `{"MaxResults":1,"MaxResults":2}`, 400, "SerializationException", "duplicate"},
		{"securityhub", "POST", "/findings", "", `{} {}`, 400, "SerializationException", "nothing after the value"},
		{"securityhub", "POST", "/findings", "", "{\"NextToken\":\"\xff\"}", 400, "SerializationException", "UTF-8"},
		{"securityhub", "POST", "/findings", "", strings.Repeat(`{"a":`, 21) + "1" + strings.Repeat("}", 21), 400, "SerializationException", "nested 21 levels deep, 20 are allowed"},
		{"securityhub", "POST", "/findings", "", `{"Filters":{"Id":[` + strings.Repeat("{},", 200) + `{}]}}`, 400, "SerializationException", "no more than 200 elements"},
		{"securityhub", "POST", "/findings", "", strings.Repeat(" ", 100_001), 413, "RequestEntityTooLargeException", "100000"},
		{"securityhub", "POST", "/findings/import", "", `{"Findings":[]}`, 400, "InvalidInputException", "Value at 'Findings' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"securityhub", "POST", "/connectorsv2", "", `{"Name":"n","Provider":{"JiraCloud":{"ProjectKey":"k"},"ServiceNow":{"InstanceName":"i","SecretArn":"arn:aws:s"}}}`, 400, "ValidationException", "Value at 'Provider' failed to satisfy constraint: Member must have exactly one member"},
		{"events", "POST", "/", "AWSEvents.PutRule", `{"Name":"` + hush + `"}`, 400, "ValidationException", "1 validation error detected: Value at 'Name' failed to satisfy constraint: Member must have length less than or equal to 64"},
		{"events", "POST", "/", "AWSEvents.PutRule", `{"Name":"hush hush"}`, 400, "ValidationException", "must satisfy regular expression pattern"},
		{"events", "POST", "/", "AWSEvents.PutEvents", `{"Entries":[{"Time":"yesterday"}]}`, 400, "SerializationException", "Entries[0].Time: expected a timestamp"},
		{"events", "POST", "/", "AWSEvents.PutEvents", `{"Entries":[{"Time":1e300}]}`, 400, "SerializationException", "Entries[0].Time: expected a timestamp"},
		{"events", "POST", "/", "AWSEvents.PutPermission", `{"StatementId":7}`, 400, "SerializationException", "StatementId: expected a string"},
		{"sts", "POST", "/", "", "Action=AssumeRole&RoleArn=short&RoleSessionName=hush+hush&DurationSeconds=1", 400, "ValidationError", "3 validation errors detected: Value at 'RoleArn'"},
		{"sts", "POST", "/", "", "Action=AssumeRole&DurationSeconds=soon", 400, "MalformedInput", "DurationSeconds: expected an integer"},
		{"sts", "POST", "/", "", "Action=AssumeRole&Tags.member.x.Key=a", 400, "MalformedInput", "no number"},
		{"sts", "POST", "/", "", "Action=AssumeRole&RoleArn=a&RoleArn=b", 400, "MalformedInput", "twice"},
		{"sts", "POST", "/", "", "Action=AssumeRole&" + strings.Repeat("a.", 60) + "=1", 400, "MalformedInput", "levels"},
		{"sts", "POST", "/", "", "Action=AssumeRole&%zz=1", 400, "MalformedInput", "the form cannot be read"},
		{"sts", "POST", "/", "", "Action=AssumeRole" + strings.Repeat("&a", 20_000), 413, "RequestEntityTooLarge", "parameters"},
	} {
		got = ""
		response, body := s.Call(t, test.service, test.method, test.path, test.target, test.body)
		code, message := problem(t, response, body)
		if response.StatusCode != test.status || code != test.code || !strings.Contains(message, test.want) {
			t.Errorf("%s %.100s\n got %d %s %s\nwant %d %s %s", test.path, test.body, response.StatusCode, code, message, test.status, test.code, test.want)
		}
		if got != "" {
			t.Errorf("%s %.100s reached the handler", test.path, test.body)
		}
		if strings.Contains(string(body), "hush") {
			t.Errorf("%s %.100s: the value is said back: %s", test.path, test.body, body)
		}
	}
	// One bad element of a batch does not cost the others.
	if response, body := s.Call(t, "securityhub", "POST", "/findings/import", "", `{"Findings":[{"Id":7},"x",{}]}`); response.StatusCode != 200 || got != `{"Findings":[{"Id":7},"x",{}]}` {
		t.Errorf("%v %s %s", response.Status, body, got)
	}
}

// problem reads an error as each protocol's clients do; every answer has a
// request id and none is HTML.
func problem(t testing.TB, response *http.Response, body []byte) (code, message string) {
	t.Helper()
	if response.Header.Get("X-Amzn-Requestid") == "" || strings.Contains(strings.ToLower(string(body)), "<html") {
		t.Errorf("no request id, or HTML: %v %s", response.Header, body)
	}
	switch kind := response.Header.Get("Content-Type"); {
	case kind == "text/xml":
		text := string(body)
		between := func(name string) string {
			_, rest, _ := strings.Cut(text, "<"+name+">")
			inner, _, _ := strings.Cut(rest, "</"+name+">")
			return strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&amp;", "&").Replace(inner)
		}
		if !strings.HasPrefix(text, "<ErrorResponse") || between("RequestId") != response.Header.Get("X-Amzn-Requestid") {
			t.Errorf("not an error of the query protocol: %s", body)
		}
		return between("Code"), between("Message")
	case strings.HasPrefix(kind, "application/x-amz-json-1."):
		var e struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal(body, &e, json.RejectUnknownMembers(true)); err != nil {
			t.Errorf("%v: %s", err, body)
		}
		return e.Type, e.Message
	case kind == "application/json":
		var e struct{ Message, Code string }
		if err := json.Unmarshal(body, &e, json.RejectUnknownMembers(true)); err != nil || response.Header.Get("X-Amzn-Errortype") != e.Code {
			t.Errorf("%v: %s %v", err, body, response.Header)
		}
		return e.Code, e.Message
	default:
		t.Errorf("content type %q: %s", kind, body)
	}
	return "", ""
}

// Each way of not being let in is said in each protocol's own words.
func TestRefusals(t *testing.T) {
	var got string
	var heard []wire.Heard
	s := wiretest.Serve(t, wiretest.Options{Deny: func(r iam.Request) bool { return r.Context["aws:useragent"][0] == "denied" }, Heard: func(_ context.Context, h wire.Heard) error { heard = append(heard, h); return nil }},
		service(t, "securityhub", map[string]wire.Operation{"GetFindings": echo(&got)}),
		service(t, "events", map[string]wire.Operation{"ListRules": echo(&got)}),
		service(t, "sts", map[string]wire.Operation{"AssumeRole": echo(&got)}))
	calls := map[string]func() *http.Request{
		"securityhub": func() *http.Request { return request(t, s.URL+"/findings", "application/json", "", `{}`) },
		"events": func() *http.Request {
			return request(t, s.URL+"/", "application/x-amz-json-1.1", "AWSEvents.ListRules", `{}`)
		},
		"sts": func() *http.Request {
			return request(t, s.URL+"/", "application/x-www-form-urlencoded", "", "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fci&RoleSessionName=sess")
		},
	}
	type said struct {
		status int
		code   string
	}
	good := sigv4.Signer{AccessKey: wiretest.AccessKey, Secret: wiretest.Secret, Region: "eu-north-1"}
	for _, test := range []struct {
		name            string
		signer          func(sigv4.Signer) sigv4.Signer
		at              time.Duration
		change          func(*http.Request)
		hub, json, form said
	}{
		{name: "nothing wrong", hub: said{200, ""}, json: said{200, ""}, form: said{200, ""}},
		{name: "no signature", change: func(r *http.Request) { r.Header.Del("Authorization") },
			hub: said{403, "MissingAuthenticationTokenException"}, json: said{400, "MissingAuthenticationTokenException"}, form: said{403, "MissingAuthenticationToken"}},
		{name: "unknown key", signer: func(s sigv4.Signer) sigv4.Signer { s.AccessKey = "AKIDNOBODY"; return s },
			hub: said{403, "UnrecognizedClientException"}, json: said{400, "UnrecognizedClientException"}, form: said{403, "InvalidClientTokenId"}},
		{name: "wrong token", signer: func(s sigv4.Signer) sigv4.Signer { s.Token = "made up"; return s },
			hub: said{403, "UnrecognizedClientException"}, json: said{400, "UnrecognizedClientException"}, form: said{403, "InvalidClientTokenId"}},
		{name: "session over", signer: func(s sigv4.Signer) sigv4.Signer { s.Token = "over"; return s },
			hub: said{403, "ExpiredTokenException"}, json: said{400, "ExpiredTokenException"}, form: said{403, "ExpiredToken"}},
		{name: "wrong secret", signer: func(s sigv4.Signer) sigv4.Signer { s.Secret = "guess"; return s },
			hub: said{403, "InvalidSignatureException"}, json: said{400, "InvalidSignatureException"}, form: said{403, "SignatureDoesNotMatch"}},
		{name: "late", at: -6 * time.Minute,
			hub: said{403, "InvalidSignatureException"}, json: said{400, "InvalidSignatureException"}, form: said{403, "SignatureDoesNotMatch"}},
		{name: "early", at: 6 * time.Minute,
			hub: said{403, "InvalidSignatureException"}, json: said{400, "InvalidSignatureException"}, form: said{403, "SignatureDoesNotMatch"}},
		{name: "malformed", change: func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 nonsense") },
			hub: said{403, "IncompleteSignatureException"}, json: said{400, "IncompleteSignatureException"}, form: said{403, "IncompleteSignature"}},
		{name: "SigV4A", change: func(r *http.Request) { r.Header.Set("Authorization", "AWS4-ECDSA-P256-SHA256 Credential=x") },
			hub: said{403, "IncompleteSignatureException"}, json: said{400, "IncompleteSignatureException"}, form: said{403, "IncompleteSignature"}},
		{name: "changed", change: func(r *http.Request) { r.URL.RawQuery = "x=1" },
			hub: said{403, "InvalidSignatureException"}, json: said{400, "InvalidSignatureException"}, form: said{403, "SignatureDoesNotMatch"}},
		{name: "unsigned header", change: func(r *http.Request) { r.Header.Set("X-Amz-Meta", "1") },
			hub: said{403, "InvalidSignatureException"}, json: said{400, "InvalidSignatureException"}, form: said{403, "SignatureDoesNotMatch"}},
		{name: "denied", change: func(r *http.Request) { r.Header.Set("User-Agent", "denied") },
			hub: said{403, "AccessDeniedException"}, json: said{400, "AccessDeniedException"}, form: said{403, "AccessDenied"}},
	} {
		for service, want := range map[string]said{"securityhub": test.hub, "events": test.json, "sts": test.form} {
			got, heard = "", nil
			r, signer := calls[service](), good
			signer.Service = service
			if test.signer != nil {
				signer = test.signer(signer)
			}
			signer.Sign(r, sigv4.Hash(bodyOf(r)), time.Now().Add(test.at))
			if test.change != nil {
				test.change(r)
			}
			response, body := s.Do(t, r)
			code := ""
			if response.StatusCode != http.StatusOK {
				code, _ = problem(t, response, body)
			}
			if (said{response.StatusCode, code}) != want {
				t.Errorf("%s, %s: %d %s, want %v", test.name, service, response.StatusCode, body, want)
			}
			if (got != "") != (want.status == 200) {
				t.Errorf("%s, %s: the handler got %q", test.name, service, got)
			}
			if len(heard) != 1 || heard[0].Status != want.status || heard[0].Code != want.code {
				t.Errorf("%s, %s: heard %+v", test.name, service, heard)
			}
		}
	}
}

func request(t testing.TB, address, kind, target, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	if target != "" {
		r.Header.Set("X-Amz-Target", target)
	}
	return r
}

func bodyOf(r *http.Request) []byte {
	body, _ := r.GetBody()
	var b bytes.Buffer
	_, _ = b.ReadFrom(body)
	return b.Bytes()
}

// What is not there is said so: an operation nobody knows, one that we do not
// answer, a service that we do not answer, a path that only looks right.
func TestUnknown(t *testing.T) {
	var got string
	s := wiretest.Serve(t, wiretest.Options{}, service(t, "securityhub", map[string]wire.Operation{"GetInsightResults": echo(&got), "GetFindings": echo(&got)}), service(t, "events", nil), service(t, "sts", nil))
	for _, test := range []struct {
		service, method, path, target, body string
		status                              int
		code                                string
	}{
		{"securityhub", "POST", "/nothing", "", "{}", 404, "UnknownOperationException"},
		{"securityhub", "PUT", "/findings", "", "{}", 404, "UnknownOperationException"},
		{"securityhub", "POST", "/findings/x", "", "{}", 404, "UnknownOperationException"},
		{"securityhub", "GET", "/insights/results/", "", "", 404, "UnknownOperationException"},
		{"securityhub", "GET", "/insights//results/a", "", "", 404, "UnknownOperationException"},
		{"securityhub", "GET", "/x/../insights/results/a", "", "", 404, "UnknownOperationException"},
		{"securityhub", "GET", "/insights/results/a/../b", "", "", 404, "UnknownOperationException"},
		{"securityhub", "POST", "/members", "", "{}", 501, "NotImplemented"},
		{"events", "POST", "/", "AWSEvents.ListRules", "{}", 501, "NotImplemented"},
		{"events", "POST", "/", "AWSEvents.Nothing", "{}", 400, "UnknownOperationException"},
		{"events", "POST", "/", "Other.ListRules", "{}", 400, "UnknownOperationException"},
		{"events", "POST", "/", "", "{}", 400, "UnknownOperationException"},
		{"sts", "POST", "/", "", "Action=AssumeRole&Version=2011-06-15", 501, "NotImplemented"},
		{"sts", "POST", "/", "", "Action=AssumeRole&Version=2010-05-08", 400, "InvalidAction"},
		{"sts", "POST", "/", "", "Action=Nothing", 400, "InvalidAction"},
		{"sts", "POST", "/", "", "", 400, "InvalidAction"},
		{"kms", "POST", "/", "TrentService.ListKeys", "{}", 501, "NotImplemented"},
		{"s3", "GET", "/", "", "", 501, "NotImplemented"},
	} {
		response, body := s.Call(t, test.service, test.method, test.path, test.target, test.body)
		if code, message := problem(t, response, body); response.StatusCode != test.status || code != test.code {
			t.Errorf("%s %s %s%s: %d %s %s, want %d %s", test.service, test.method, test.path, test.target, response.StatusCode, code, message, test.status, test.code)
		}
	}
	if got != "" {
		t.Errorf("a handler was called with %s", got)
	}
}

// Only the calls that begin a session are read without a signature, and only they.
func TestUnsigned(t *testing.T) {
	called := ""
	answer := func(_ context.Context, c *wire.Call, _ *struct{}) (*struct{}, error) {
		called = c.Operation + c.Principal.ARN
		return nil, nil
	}
	s := wiretest.Serve(t, wiretest.Options{}, service(t, "sts", map[string]wire.Operation{"AssumeRoleWithWebIdentity": wire.OpenOp(answer), "AssumeRole": wire.OpenOp(answer)}))
	role := "&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fci&RoleSessionName=sess"
	for _, test := range []struct {
		body, code, called string
		status             int
	}{
		{"Action=AssumeRoleWithWebIdentity&WebIdentityToken=a.b.c" + role, "", "AssumeRoleWithWebIdentity", 200},
		{"Action=AssumeRoleWithSAML" + role, "NotImplemented", "", 501},
		{"Action=AssumeRole" + role, "MissingAuthenticationToken", "", 403},
		{"Action=AssumeRoleWithNothing", "InvalidAction", "", 400},
		{"Action=AssumeRoleWithWebIdentity&Action=AssumeRole&WebIdentityToken=a.b.c" + role, "MalformedInput", "", 400},
		{"Action=AssumeRoleWithWebIdentity&" + strings.Repeat("x", 70_000), "RequestEntityTooLarge", "", 413},
	} {
		called = ""
		response, body := s.Do(t, request(t, s.URL+"/", "application/x-www-form-urlencoded; charset=utf-8", "", test.body))
		code := ""
		if response.StatusCode != 200 {
			code, _ = problem(t, response, body)
		}
		if response.StatusCode != test.status || code != test.code || called != test.called {
			t.Errorf("%.80s: %d %s, called %q", test.body, response.StatusCode, body, called)
		}
	}
}

// A handler's errors come out as the operation's modelled ones; what is ours
// to mend is logged with the request id, and not told.
func TestFaults(t *testing.T) {
	var fails error
	fail := wire.Op(wire.AskAll, func(context.Context, *wire.Call, *struct{}) (*struct{}, error) {
		if errors.Is(fails, errPanic) {
			panic("hush: a secret in a panic")
		}
		return nil, fails
	})
	var log bytes.Buffer
	h, err := wire.New(wire.Config{Keys: one{}, Gate: one{}, Log: slog.New(slog.NewJSONHandler(&log, nil)), Services: []wire.Service{
		service(t, "securityhub", map[string]wire.Operation{"GetInsights": fail, "GetFindingsV2": fail}), service(t, "events", map[string]wire.Operation{"DescribeRule": fail}), service(t, "sts", map[string]wire.Operation{"GetAccessKeyInfo": fail})}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	calls := []struct{ service, path, target, body string }{
		{"securityhub", "/insights/get", "", "{}"}, {"securityhub", "/findingsv2", "", "{}"},
		{"events", "/", "AWSEvents.DescribeRule", `{"Name":"r"}`}, {"sts", "/", "", "Action=GetAccessKeyInfo&AccessKeyId=AKIAIOSFODNN7EXAMPLE"},
	}
	for _, test := range []struct {
		err  error
		want [4]string // for each call
	}{
		{fault.Invalid.Errorf("bad"), [4]string{"400 InvalidInputException: bad", "400 ValidationException: bad", "400 ValidationException: bad", "400 ValidationError: bad"}},
		{fault.NotFound.Errorf("gone"), [4]string{"404 ResourceNotFoundException: gone", "404 ResourceNotFoundException: gone", "400 ResourceNotFoundException: gone", "404 NoSuchEntity: gone"}},
		{fault.Conflict.Errorf("moved"), [4]string{"409 ResourceConflictException: moved", "409 ConflictException: moved", "400 ConcurrentModificationException: moved", "409 ConcurrentModification: moved"}},
		{fault.Limit.Errorf("many"), [4]string{"429 LimitExceededException: many", "429 LimitExceededException: many", "400 LimitExceededException: many", "400 LimitExceeded: many"}},
		{fault.Denied.Errorf("no"), [4]string{"403 AccessDeniedException: no", "403 AccessDeniedException: no", "400 AccessDeniedException: no", "403 AccessDenied: no"}},
		{fault.Unavailable.Errorf("later"), [4]string{"503 ServiceUnavailableException: later", "503 ServiceUnavailableException: later", "503 ServiceUnavailableException: later", "503 ServiceUnavailable: later"}},
		{fault.Unsupported.Errorf("never"), [4]string{"501 NotImplemented: never", "501 NotImplemented: never", "501 NotImplemented: never", "501 NotImplemented: never"}},
		{wire.Errorf("ResourceConflictException", "own %s", "words"), [4]string{"409 ResourceConflictException: own words", "409 ResourceConflictException: own words", "400 ResourceConflictException: own words", "400 ResourceConflictException: own words"}},
		{errors.New("hush: a secret in an error"), [4]string{"500 InternalException: internal failure", "500 InternalServerException: internal failure", "500 InternalException: internal failure", "500 InternalFailure: internal failure"}},
		{errPanic, [4]string{"500 InternalException: internal failure", "500 InternalServerException: internal failure", "500 InternalException: internal failure", "500 InternalFailure: internal failure"}},
	} {
		fails = test.err
		for i, call := range calls {
			kind := map[string]string{"securityhub": "application/json", "events": "application/x-amz-json-1.1", "sts": "application/x-www-form-urlencoded"}[call.service]
			r := request(t, server.URL+call.path, kind, call.target, call.body)
			sigv4.Signer{AccessKey: "AK", Secret: "s", Region: "r", Service: call.service}.Sign(r, sigv4.Hash([]byte(call.body)), time.Now())
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			_, _ = b.ReadFrom(response.Body)
			response.Body.Close()
			code, message := problem(t, response, b.Bytes())
			if got := fmt.Sprintf("%d %s: %s", response.StatusCode, code, message); !strings.HasPrefix(got, test.want[i]) || strings.Contains(got, "hush") {
				t.Errorf("%v from %s: got %s, want %s", test.err, call.service, got, test.want[i])
			}
			if id := response.Header.Get("X-Amzn-Requestid"); response.StatusCode == 500 && (!strings.Contains(log.String(), id) || !strings.Contains(log.String(), "hush")) {
				t.Errorf("%v from %s: the log lacks %s", test.err, call.service, id)
			}
		}
	}
}

var errPanic = errors.New("panic")

// one knows one key, and lets it do everything.
type one struct{}

func (one) Secret(context.Context, string, string) (seal.Secret, iam.Principal, error) {
	return "s", iam.Principal{ARN: "arn:aws:iam::111122223333:user/one"}, nil
}
func (one) Allow(context.Context, ...iam.Request) error { return nil }

// The gate is asked for what the operation asks, with the keys that every
// request has; an operation that asks nothing, or for somebody else, is not answered.
func TestGate(t *testing.T) {
	var asked []iam.Request
	var asks func(*wire.Call, *struct{}) []iam.Request
	operation := wire.Op(func(c *wire.Call, in *struct{}) []iam.Request { return asks(c, in) },
		func(context.Context, *wire.Call, *struct{}) (*struct{}, error) { return nil, nil })
	s := wiretest.Serve(t, wiretest.Options{Deny: func(r iam.Request) bool { asked = append(asked, r); return false }}, service(t, "securityhub", map[string]wire.Operation{"GetFindings": operation}))
	call := func() int {
		response, _ := s.Call(t, "securityhub", "POST", "/findings", "", "{}")
		return response.StatusCode
	}
	asks = func(c *wire.Call, _ *struct{}) []iam.Request { return c.Ask("arn:a", "arn:b") }
	if status := call(); status != 200 || len(asked) != 2 {
		t.Fatalf("%d, asked %v", status, asked)
	}
	r := asked[1]
	if r.Action != "securityhub:GetFindings" || r.Resource != "arn:b" || r.Principal != wiretest.Caller() {
		t.Errorf("asked %+v", r)
	}
	for key, want := range map[string]string{"aws:securetransport": "false", "aws:sourceip": "127.0.0.1", "aws:requestedregion": wiretest.Region, "aws:username": "tester", "aws:principalarn": wiretest.Caller().ARN} {
		if diff := cmp.Diff(r.Context[key], []string{want}); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
	}
	asks = func(*wire.Call, *struct{}) []iam.Request { return nil }
	if status := call(); status != 500 {
		t.Errorf("asking nothing: %d", status)
	}
	asks = func(*wire.Call, *struct{}) []iam.Request { return []iam.Request{{Action: "a:B", Resource: "*"}} }
	asked = nil
	if status := call(); status != 200 || len(asked) != 1 || asked[0].Principal != wiretest.Caller() {
		t.Errorf("asking without a principal: %d, asked %v", status, asked)
	}
	asks = func(*wire.Call, *struct{}) []iam.Request {
		return []iam.Request{{Principal: iam.Principal{Name: "somebody else"}, Action: "a:B", Resource: "*"}}
	}
	if status := call(); status != 500 {
		t.Errorf("asking for somebody else: %d", status)
	}
}

// A compressed body is verified as it came and read as it was meant, within the limit.
func TestGzip(t *testing.T) {
	var got string
	s := wiretest.Serve(t, wiretest.Options{Limits: wire.Limits{Body: 10_000}}, service(t, "securityhub", map[string]wire.Operation{"GetFindings": echo(&got)}))
	for _, test := range []struct {
		plain, encoding string
		status          int
	}{{`{"MaxResults":7}`, "gzip", 200}, {strings.Repeat(" ", 50_000) + "{}", "gzip", 413}, {"{}", "br", 400}} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(test.plain))
		_ = z.Close()
		r := request(t, s.URL+"/findings", "application/json", "", b.String())
		r.Header.Set("Content-Encoding", test.encoding)
		sigv4.Signer{AccessKey: wiretest.AccessKey, Secret: wiretest.Secret, Region: "r", Service: "securityhub"}.Sign(r, sigv4.Hash(b.Bytes()), time.Now())
		if response, body := s.Do(t, r); response.StatusCode != test.status {
			t.Errorf("%s of %d bytes: %v %s", test.encoding, len(test.plain), response.Status, body)
		}
	}
	if got != `{"MaxResults":7}` {
		t.Errorf("got %s", got)
	}
}

// A request is for this door by its signature, or by the marks of a call that begins a session.
func TestMine(t *testing.T) {
	form := "application/x-www-form-urlencoded"
	for _, test := range []struct {
		r    *http.Request
		want bool
	}{
		{request(t, "http://h/", form, "", "Action=AssumeRoleWithWebIdentity&x"), true},
		{request(t, "http://h/", form, "", "Version=1&Action=AssumeRoleWithSAML"), true},
		{request(t, "http://h/", form, "", "user=alice&password=x"), false},
		{request(t, "http://h/sign-in", form, "", "Action=AssumeRoleWithWebIdentity"), false},
		{request(t, "http://h/", "application/x-amz-json-1.1", "AWSEvents.ListRules", "{}"), true},
		{request(t, "http://h/findings", "application/json", "", "{}"), false},
		{request(t, "http://h/?X-Amz-Signature=1", "", "", ""), true},
	} {
		body := string(bodyOf(test.r))
		if got := wire.Mine(test.r); got != test.want {
			t.Errorf("%v %s: %v", test.r.URL, body, got)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(test.r.Body); err != nil || b.String() != body {
			t.Errorf("%v: the body is now %q, %v", test.r.URL, b.String(), err)
		}
	}
}

// A service that does not fit its model is found before anybody calls it.
func TestNewRefuses(t *testing.T) {
	var got string
	for name, services := range map[string][]wire.Service{
		"unknown operation": {service(t, "sts", map[string]wire.Operation{"Nothing": echo(&got)})},
		"twice":             {service(t, "sts", nil), service(t, "sts", nil)},
		"no model":          {{}},
	} {
		if _, err := wire.New(wire.Config{Keys: one{}, Gate: one{}, Services: services}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := wire.New(wire.Config{}); err == nil {
		t.Error("without keys and gate it is taken")
	}
	for _, table := range []string{`{`, `{"protocol":"rest-xml"}`, `{"protocol":"json","operations":{"A":{"method":"POST","uri":"/","in":"Nothing"}}}`, `{"protocol":"json","shapes":{"A":{"t":"list","element":{"shape":"Nothing"}}}}`, `{"protocol":"json","novel":1}`} {
		if _, err := wire.ReadModel([]byte(table)); err == nil {
			t.Errorf("%s is taken", table)
		}
	}
}

// Every way in which an answer can break its model is seen.
func TestCheckAnswer(t *testing.T) {
	events, hub, sts := model(t, "events"), model(t, "securityhub"), model(t, "sts")
	for _, test := range []struct {
		m               *wire.Model
		operation, body string
		want            string // "" for a good answer
	}{
		{events, "DescribeRule", `{"Name":"r","State":"ENABLED"}`, ""},
		{events, "DescribeRule", `{"Name":"r","Novel":1}`, "'Novel' failed to satisfy constraint: Member is not a member of the shape"},
		{events, "DescribeRule", `{"Name":7}`, "Name: expected a string"},
		{events, "DescribeRule", `{"Name":null}`, "is null"},
		{events, "DescribeRule", `{"State":"ON"}`, "enum"},
		{events, "DescribeRule", ``, "EOF"},
		{events, "DescribeArchive", `{"CreationTime":1767225600}`, ""},
		{events, "DescribeArchive", `{"CreationTime":"2026-01-01T00:00:00Z"}`, "timestamp written as unixTimestamp"},
		{events, "PutPermission", ``, ""},
		{hub, "GetFindings", `{}`, "'Findings' failed to satisfy constraint: Member must not be null"},
		{hub, "GetFindings", `{"Findings":[{"Id":"x"}]}`, "'Findings[0].SchemaVersion'"},
		{hub, "GetFindingHistory", `{"Records":[{"UpdateTime":1767225600}]}`, "timestamp written as iso8601"},
		{hub, "GetFindingHistory", `{"Records":{}}`, "Records: expected a list"},
		{hub, "Nothing", `{}`, "no operation"},
		{sts, "GetCallerIdentity", `<GetCallerIdentityResponse xmlns="x"><GetCallerIdentityResult><Arn>a</Arn></GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>`, ""},
		{sts, "GetCallerIdentity", `<GetCallerIdentityResponse><GetCallerIdentityResult><Novel>a</Novel></GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>`, "Novel"},
		{sts, "GetCallerIdentity", `<GetCallerIdentityResponse><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>`, "has no GetCallerIdentityResult"},
		{sts, "GetCallerIdentity", `<GetCallerIdentityResponse/>`, "request id"},
		{sts, "GetCallerIdentity", `{}`, "elements at the top"},
	} {
		err := test.m.CheckAnswer(test.operation, []byte(test.body))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: %v, want %q", test.operation, test.body, err, test.want)
		}
	}
}
